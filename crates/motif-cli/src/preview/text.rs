//! A preview as people read it.

use std::fmt::Write as _;

use super::{NamedDataset, Preview, Time, UpTo};
use crate::output::{plural, progress::duration};

/// Labels shown at each end of a long list.
const LABELS_SHOWN: usize = 8;

impl Preview {
    /// The preview as text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} × {} = {} (nothing was submitted)\n",
            self.name,
            plural(self.conditions.len() as u64, "condition"),
            plural(self.seeds as u64, "seed"),
            plural(self.trials as u64, "trial")
        );
        if let Some(UpTo { metric, half_width, max_seeds, max_trials }) = &self.until {
            let _ = writeln!(
                text,
                "seeds are added until ± {half_width} on {metric}: up to {max_seeds} seeds, {max_trials} trials; what follows \
                 is of the {} that it begins with",
                self.trials
            );
        }
        self.write_conditions(&mut text);
        for (what, line) in [
            ("datasets", self.datasets.iter().map(dataset).collect::<Vec<_>>().join("; ")),
            ("steps", self.steps_line()),
            ("time", self.time.as_ref().map_or_else(|| "nothing could be measured here".to_owned(), |time| self.time_line(time))),
            ("memory", self.memory_bytes.map_or_else(unknown, |bytes| format!("up to {} per trial, beside its dataset", size(bytes)))),
            ("disk", self.disk_bytes.map_or_else(unknown, |bytes| format!("about {} in the server's store (8 bytes per logged value, 40 per point, 3000 per trial)", size(bytes)))),
        ] {
            let _ = writeln!(text, "{what:<10}{line}");
        }
        if self.stops {
            text.push_str("`stop` ends some trials early: steps, time and disk are upper bounds\n");
        }
        if self.spectra {
            text.push_str("spectra are logged, too: their time and their values are not counted here\n");
        }
        if let Some(why) = &self.why_no_server {
            let _ = writeln!(
                text,
                "no server was asked ({why}): datasets are those of the data directory, time is for one slot"
            );
        }
        for problem in &self.problems {
            let _ = writeln!(text, "would be refused: {problem}");
        }
        text
    }

    fn write_conditions(&self, text: &mut String) {
        let all = self.conditions.len();
        for (index, label) in self.conditions.iter().enumerate() {
            if all > 2 * LABELS_SHOWN + 1 && index == LABELS_SHOWN {
                let _ = writeln!(text, "  … {} more …", all - 2 * LABELS_SHOWN);
            }
            if all <= 2 * LABELS_SHOWN + 1 || index < LABELS_SHOWN || index >= all - LABELS_SHOWN {
                let baseline = if self.baseline.as_ref() == Some(label) { "  (baseline)" } else { "" };
                let _ = writeln!(text, "  {label}{baseline}");
            }
        }
    }

    fn steps_line(&self) -> String {
        match self.trial_steps {
            None => unknown(),
            Some(each) if each.least == each.greatest => {
                format!("{} per trial, {} in all", each.least, self.steps)
            }
            Some(each) => format!("{} to {} per trial, {} in all", each.least, each.greatest, self.steps),
        }
    }

    fn time_line(&self, time: &Time) -> String {
        let slots = match (&self.server, self.slots) {
            (Some(server), 1) => format!("one slot (of {server})"),
            (Some(server), slots) => format!("{slots} slots (of {server})"),
            (None, _) => "one slot".to_owned(),
        };
        let each = match (duration(time.trial_s.least), duration(time.trial_s.greatest)) {
            (least, greatest) if least == greatest => least,
            (least, greatest) => format!("{least} to {greatest}"),
        };
        format!(
            "about {:.2} h ({}) on {slots}, {each} per trial; {} measured here, others are scaled by \
             multiply-adds",
            time.elapsed_s / 3600.0,
            duration(time.elapsed_s),
            match time.measured.len() {
                1 => "1 kind of step was".to_owned(),
                kinds => format!("{kinds} kinds of step were"),
            }
        )
    }
}

fn unknown() -> String {
    "unknown, as the dataset is".to_owned()
}

fn dataset(dataset: &NamedDataset) -> String {
    match (dataset.train_examples, dataset.test_examples) {
        (Some(train), Some(test)) => format!("{} ({train} training, {test} test examples)", dataset.name),
        _ => format!("{} (unknown)", dataset.name),
    }
}

/// `3.2 MB`.
fn size(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if number < 1000.0 {
            break;
        }
        (number, unit) = (number / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") }
}
