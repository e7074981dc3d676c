//! The commands around a program. They run as the host's user, with the variables that lead to the stage's display, under
//! coreutils' `timeout`: so each ends in time also when the host dies meanwhile.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use punktfunk_media::StageEnvironment;

use super::record::UndoStep;
use crate::catalogue::Step;

/// Runs what prepares for a program. Blocking, at most about its timeout.
///
/// # Errors
/// A sentence: how it ended.
pub fn prepare(step: &Step, environment: &StageEnvironment) -> Result<(), String> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", &seconds(step.timeout), "sh", "-c", &step.run]);
    command.envs(environment.display.iter().cloned()).envs(environment.member.clone());
    let status = quiet(&mut command).status().map_err(|e| format!("`{}`: {e}", step.run))?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        // timeout(1): it ended when told to, or was killed, and timeout with it.
        (Some(124), _) | (_, Some(SIGKILL)) => Err(format!("`{}` took longer than {:?}", step.run, step.timeout)),
        _ => Err(format!("`{}` ended with {status}", step.run)),
    }
}

/// Runs what undoes the steps, last one first. Waits a moment for the end; commands that take longer go on by themselves,
/// each within its timeout. One that fails does not keep the others from running.
pub fn undo(steps: &[UndoStep], display: &[(String, String)]) {
    if steps.is_empty() {
        return;
    }
    // One shell for all: they come one after the other, also without us.
    let script: String = (1..=steps.len())
        .map(|n| format!("timeout --kill-after=1 ${{{}}} sh -c \"${{{}}}\"\n", 2 * n - 1, 2 * n))
        .collect();
    let mut command = Command::new("sh");
    command.args(["-c", &script, "undo"]);
    for step in steps.iter().rev() {
        command.args([&seconds(step.timeout), &step.run]);
    }
    command.envs(display.iter().cloned());
    match quiet(&mut command).spawn() {
        Ok(child) => wait_a_moment(child),
        Err(e) => tracing::error!(?steps, "what was prepared for a program could not be undone: {e}"),
    }
}

/// In a process group of its own, so that Ctrl-C in the host's terminal does not reach it.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0)
}

fn wait_a_moment(mut child: Child) {
    let until = Instant::now() + UNDO_PATIENCE;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK_AGAIN_AFTER),
            Ok(Some(_)) => return,
            Err(e) => return tracing::warn!("waiting for undo commands: {e}"),
        }
    }
    tracing::info!("undo commands take longer than {UNDO_PATIENCE:?}; they go on");
    // Only so that its exit status is taken. Without a thread it stays a zombie until the host ends.
    let _ = std::thread::Builder::new().name("undo".into()).spawn(move || child.wait());
}

/// As timeout(1) takes it; 0 would mean none.
fn seconds(timeout: Duration) -> String {
    format!("{:.3}", timeout.max(Duration::from_millis(1)).as_secs_f64())
}

/// signal(7).
const SIGKILL: i32 = 9;
/// The watchdog has 2 s for everything, and holds the journal meanwhile.
const UNDO_PATIENCE: Duration = Duration::from_millis(1500);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn step(run: &str, timeout: Duration) -> Step {
        Step { run: run.into(), undo: None, timeout }
    }

    #[test]
    fn commands_see_the_display_and_say_how_they_ended() {
        let environment = StageEnvironment {
            display: vec![("WAYLAND_DISPLAY".into(), "/x/wayland-7".into())],
            member: Some(("PART_OF".into(), "it's".into())),
        };
        let long = Duration::from_secs(60);
        prepare(&step("[ \"$WAYLAND_DISPLAY $PART_OF\" = \"/x/wayland-7 it's\" ]", long), &environment).expect("both");
        prepare(&step("", long), &environment).expect("nothing to do");
        let error = prepare(&step("exit 3", long), &environment).expect_err("it fails");
        assert!(error.contains("exit status: 3"), "{error}");
        let error = prepare(&step("sleep 60", Duration::from_millis(50)), &environment).expect_err("it is killed");
        assert!(error.contains("longer than"), "{error}");
        let error = prepare(&step("trap '' TERM; sleep 60 & wait; wait", Duration::from_millis(50)), &environment);
        assert!(error.expect_err("it is killed for good").contains("longer than"));
    }

    #[test]
    fn undoing_goes_backwards_and_past_failures() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("order");
        let display = [("ORDER".to_owned(), file.display().to_string())];
        let steps: Vec<UndoStep> = ["echo 1 >>$ORDER", "echo 2 >>$ORDER; exit 9", "sleep 60", "echo '3' >>$ORDER"]
            .iter()
            .map(|run| UndoStep { run: (*run).to_owned(), timeout: Duration::from_millis(200) })
            .collect();
        undo(&steps, &display);
        assert_eq!(std::fs::read_to_string(&file).expect("written"), "3\n2\n1\n");
        undo(&[], &display);
    }
}
