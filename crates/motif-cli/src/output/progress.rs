//! A sweep's progress: a bar on a terminal, plain lines in a pipe. Always on stderr, so that stdout stays clean.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use motif_wire::sweeps::SweepRow;

use crate::output::tables;

/// Parts of the bar: it shows the minibatches done, not only whole trials.
const BAR_PARTS: u64 = 10_000;

/// Shows how a sweep goes on.
pub(crate) enum Progress {
    /// On a terminal.
    Bar(ProgressBar),
    /// In a pipe: the text of the last line, so that a line is printed only when something changed.
    Lines(String),
}

impl Progress {
    /// A bar when stderr is a terminal, else lines.
    pub(crate) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(String::new());
        }
        let bar = ProgressBar::new(BAR_PARTS);
        let style = ProgressStyle::with_template("{prefix} {bar:30.cyan/dim} {percent:>3} %  {msg}")
            .expect("the template is well formed");
        bar.set_style(style.progress_chars("━━╌"));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self::Bar(bar)
    }

    /// Shows the sweep as it stands.
    pub(crate) fn show(&mut self, row: &SweepRow) {
        let done = format!("{}/{} trials", row.counts.finished(), row.counts.total());
        match self {
            Self::Bar(bar) => {
                bar.set_prefix(row.name.clone());
                bar.set_position((row.progress.clamp(0.0, 1.0) * BAR_PARTS as f64) as u64);
                let left = row.remaining_s.map(|s| format!(" · {} left", duration(s))).unwrap_or_default();
                bar.set_message(format!("{done} · {}{left}", tables::counts(&row.counts)));
            }
            Self::Lines(last) => {
                let line = format!("{}: {done}: {}", row.name, tables::counts(&row.counts));
                if *last != line {
                    eprintln!("{line}");
                    *last = line;
                }
            }
        }
    }

    /// Leaves the last state on the screen.
    pub(crate) fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
        }
    }
}

/// `42 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}
