//! Frames delivered against loss, and what recovery cost, in the emulated network.
//!
//! `cargo run --release -p punktfunk-testkit --example loss_sweep -- [frames] [figure.svg]`: 20 Mbit/s of wire budget at
//! 60 fps with the adaptive FEC controller and the real client session at the other end. Each row streams `frames`
//! frames (default 100 000) after ten seconds in which the controller settles; those ten seconds have their own column.

use std::fmt::Write as _;
use std::time::Duration;

use punktfunk_testkit::netem::{LinkConfig, Loss};
use punktfunk_testkit::pair::{Outcome, Pair, PairConfig};

const RATES: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2];
/// Ten seconds at 60 fps.
const SETTLE: u64 = 600;
const MEAN_RUN: f64 = 8.0;

struct Row {
    rate: f64,
    start: Outcome,
    steady: Outcome,
}

impl Row {
    /// Recovery packets spent per packet that the binomial bound needs.
    fn ratio(&self) -> f64 {
        self.steady.spending.recovery as f64 / self.steady.spending.bound.max(1) as f64
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let frames = args.next().map_or(100_000, |n| n.parse().expect("a number of frames"));
    let figure = args.next().unwrap_or_else(|| "docs/figures/loss_sweep.svg".into());
    println!("{frames} frames a row, 60 fps, 20 Mbit/s wire budget, shards of 1408 bytes");
    println!("                 first {SETTLE} frames | after them");
    println!(
        "loss        shape      lost | delivered %   lost   residual  recovered | overhead %  x bound | sized for %"
    );
    let random = sweep("random", frames, Loss::Random);
    let burst = sweep("bursts of 8", frames, |rate| Loss::Burst { rate, mean_run: MEAN_RUN });
    std::fs::write(&figure, plot(&random, &burst)).expect("writing the figure");
    println!("figure: {figure}");
}

fn sweep(name: &str, frames: u64, loss: impl Fn(f64) -> Loss) -> Vec<Row> {
    RATES.iter().map(|&rate| run(name, rate, frames, loss(rate))).collect()
}

fn run(name: &str, rate: f64, frames: u64, loss: Loss) -> Row {
    let down = LinkConfig { delay: Duration::from_millis(8), loss, seed: 11, ..LinkConfig::default() };
    let mut pair = Pair::new(&PairConfig { down, ..PairConfig::default() });
    let start = pair.run(SETTLE);
    let end = pair.run(frames);
    assert_eq!((end.wrong, end.out_of_order), (0, 0), "never wrong bytes, never backwards");
    let steady = end.since(&start);
    let row = Row { rate, start, steady };
    let o = &row.steady;
    println!(
        "{:>5.1} % {name:>12} {:>9} | {:>11.4} {:>6} {:>10.1e} {:>10} | {:>10.1} {:>8.2} | {:>11.1}",
        rate * 100.0,
        row.start.frames - row.start.delivered,
        100.0 * o.delivered as f64 / o.frames as f64,
        o.frames - o.delivered,
        o.residual(),
        o.recovered,
        100.0 * o.spending.overhead(),
        row.ratio(),
        f64::from(o.design_ppm) / 1e4,
    );
    row
}

/// A chart with a logarithmic loss axis.
struct Chart {
    top: f64,
    /// Value at the bottom and the top of the y axis.
    range: (f64, f64),
    title: &'static str,
    ticks: &'static [(f64, &'static str)],
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 620.0;
const HEIGHT: f64 = 210.0;

impl Chart {
    fn x(rate: f64) -> f64 {
        let (low, high) = (0.001f64.log10(), 0.2f64.log10());
        LEFT + (RIGHT - LEFT) * (rate.log10() - low) / (high - low)
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        self.top + HEIGHT * (1.0 - (value - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn frame(&self, out: &mut String) {
        let bottom = self.top + HEIGHT;
        let _ = writeln!(out, r#"<text x="{LEFT}" y="{}" class="title">{}</text>"#, self.top - 10.0, self.title);
        for &(value, label) in self.ticks {
            let y = self.y(value);
            let _ = writeln!(out, r#"<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}" class="grid"/>"#);
            let _ = writeln!(out, r#"<text x="{}" y="{:.1}" class="end">{label}</text>"#, LEFT - 6.0, y + 4.0);
        }
        for rate in RATES {
            let x = Self::x(rate);
            let _ = writeln!(out, r#"<line x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom}" class="grid"/>"#, self.top);
            let label = rate * 100.0;
            let _ = writeln!(out, r#"<text x="{x:.1}" y="{}" class="mid">{label}</text>"#, bottom + 16.0);
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        let _ = writeln!(out, r#"<text x="{middle}" y="{}" class="mid">packets lost, %</text>"#, bottom + 34.0);
    }

    fn line(&self, out: &mut String, name: &str, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let mut last = self.top;
        for (rate, value) in points {
            let (x, y) = (Self::x(rate), self.y(value));
            let _ = write!(path, "{x:.1},{y:.1} ");
            let _ = writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" class="dot {class}"/>"#);
            last = y;
        }
        let _ = writeln!(out, r#"<polyline points="{path}" class="line {class}"/>"#);
        let _ = writeln!(out, r#"<text x="{}" y="{:.1}" class="{class}">{name}</text>"#, RIGHT + 8.0, last + 4.0);
    }
}

fn plot(random: &[Row], burst: &[Row]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="620" font-family="sans-serif" font-size="12">
<style>
text {{ fill: #222 }} .title {{ font-weight: bold }} .mid {{ text-anchor: middle }} .end {{ text-anchor: end }}
.grid {{ stroke: #ddd }} .line {{ fill: none; stroke-width: 2 }}
.a {{ stroke: #1764ab }} .b {{ stroke: #c2410c }} .c {{ stroke: #777; stroke-dasharray: 4 3 }}
text.a {{ fill: #1764ab; stroke: none }} text.b {{ fill: #c2410c; stroke: none }} text.c {{ fill: #555; stroke: none }}
.dot.a {{ fill: #1764ab }} .dot.b {{ fill: #c2410c }} .dot.c {{ fill: #777 }}
</style>
<rect width="100%" height="100%" fill="white"/>"#
    );
    // Nothing lost in a row is drawn at the resolution of the row.
    let lost = |r: &Row| (r.rate, r.steady.residual().max(1.0 / r.steady.frames as f64).log10());
    let residual = Chart {
        top: 40.0,
        range: (-5.0, 0.0),
        title: "Frames not delivered, after FEC (share, logarithmic)",
        ticks: &[(-5.0, "1e-5"), (-4.0, "1e-4"), (-3.0, "1e-3"), (-2.0, "1 %"), (-1.0, "10 %"), (0.0, "all")],
    };
    residual.frame(&mut out);
    residual.line(&mut out, "random", "a", random.iter().map(lost));
    residual.line(&mut out, "bursts of 8", "b", burst.iter().map(lost));
    residual.line(&mut out, "target", "c", RATES.iter().map(|&r| (r, -4.0)));
    let spent = |r: &Row| (r.rate, 100.0 * r.steady.spending.overhead());
    let overhead = Chart {
        top: 340.0,
        range: (0.0, 150.0),
        title: "Recovery packets per 100 data packets",
        ticks: &[(0.0, "0"), (50.0, "50"), (100.0, "100"), (150.0, "150")],
    };
    overhead.frame(&mut out);
    overhead.line(&mut out, "random", "a", random.iter().map(spent));
    overhead.line(&mut out, "bursts of 8", "b", burst.iter().map(spent));
    let bound = |r: &Row| (r.rate, 100.0 * r.steady.spending.bound as f64 / r.steady.spending.data as f64);
    overhead.line(&mut out, "binomial bound", "c", random.iter().map(bound));
    out.push_str("</svg>\n");
    out
}
