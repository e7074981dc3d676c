# Two commands: `make run` runs the host, `make test` tests it. `make demo` shows it from end to end.

export CARGO_TARGET_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/punktfunk/target
HOST = $(CARGO_TARGET_DIR)/release/punktfunk-host
PROBE = $(CARGO_TARGET_DIR)/release/punktfunk-probe

.PHONY: run test demo lint build help

help:
	@echo "make run    install what is needed, build, run the host"
	@echo "make test   install what the tests need, run all of them"
	@echo "make demo   host and probe: pair, stream 10 s, type into the streamed desktop; results in demo/"

run: build
	exec $(HOST) serve $(ARGS)

build:
	@scripts/setup run
	@scripts/console
	cargo build --release --locked -p punktfunk-host -p punktfunk-probe

demo: build
	scripts/demo $(HOST) $(PROBE)

test:
	@scripts/setup test
	scripts/test

lint:
	scripts/lint
