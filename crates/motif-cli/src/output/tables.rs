//! Tables for people.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use motif_wire::{
    statistics::{
        ComparisonRow, Comparisons, ConditionSummary, IntervalRow, LeaderRow, Leaderboard, Summary,
    },
    sweeps::{StateCounts, SweepRow},
};

/// A line under the header, nothing else.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with the given header; columns named in `right` are right-aligned.
pub(crate) fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(RULED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|title| Cell::new(*title)));
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// `12 succeeded, 1 failed`.
pub(crate) fn counts(counts: &StateCounts) -> String {
    let named = [
        (counts.succeeded, "succeeded"),
        (counts.leased, "running"),
        (counts.queued, "queued"),
        (counts.diverged, "diverged"),
        (counts.stopped, "stopped early"),
        (counts.failed, "failed"),
        (counts.dead, "dead"),
        (counts.cancelled, "cancelled"),
    ];
    let parts: Vec<String> =
        named.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    if parts.is_empty() { "no trials".to_owned() } else { parts.join(", ") }
}

/// How a metric is written: accuracies as percentages, the rest with four significant digits.
struct Scale {
    percent: bool,
}

impl Scale {
    fn of(metric: &str) -> Self {
        Self { percent: metric.ends_with("accuracy") }
    }

    fn value(&self, x: f64) -> String {
        if self.percent { format!("{:.2} %", 100.0 * x) } else { format!("{x:.4}") }
    }

    fn signed(&self, x: f64) -> String {
        if self.percent { format!("{:+.2}", 100.0 * x) } else { format!("{x:+.4}") }
    }

    fn half_width(&self, interval: &IntervalRow) -> String {
        let half = (interval.high - interval.low) / 2.0;
        if self.percent { format!("± {:.2}", 100.0 * half) } else { format!("± {half:.4}") }
    }
}

pub(crate) fn p_value(p: Option<f64>) -> String {
    match p {
        None => "–".to_owned(),
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

/// Mean ± interval per condition with the test against the baseline, and lines that say how they were made.
pub(crate) fn sweep(summary: &Summary, comparisons: &Comparisons) -> String {
    let scale = Scale::of(&summary.metric);
    let tested = comparisons.baseline.is_some();
    let mut header = vec!["condition", "n", "mean", "95 % interval"];
    if tested {
        header.extend(["− baseline", "95 % interval", "p (adjusted)", "d_z"]);
    }
    let mut table = table(&header, &[1, 2, 3, 4, 5, 6, 7]);
    for row in &summary.conditions {
        let mut cells = condition_cells(&scale, row);
        if tested {
            let test = comparisons.rows.iter().find(|test| test.condition == row.condition);
            cells.extend(comparison_cells(&scale, test));
        }
        table.add_row(cells);
    }
    let mut text = format!("{}\n{table}\nmean over n seeds, {}\n", summary.metric, interval_methods(summary));
    if tested {
        text.push_str(&format!("difference paired on shared seeds, {}\n", difference_methods(comparisons)));
        text.push_str(&format!("p: {}, {}\n", comparisons.family, correction(&comparisons.correction)));
    }
    for row in &summary.conditions {
        for note in &row.notes {
            text.push_str(&format!("note: {}: {note}\n", row.label));
        }
    }
    text.push_str(&comparison_notes(comparisons));
    text
}

/// Labels that a note names by themselves; more are counted.
const NOTE_LABELS_MAX: usize = 3;

/// What must be known of the differences, each said once.
fn comparison_notes(comparisons: &Comparisons) -> String {
    let mut noted: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in &comparisons.rows {
        for note in &row.notes {
            match noted.iter_mut().find(|(known, _)| known == note) {
                Some((_, labels)) => labels.push(&row.label),
                None => noted.push((note, vec![&row.label])),
            }
        }
    }
    let line = |(note, labels): (&str, Vec<&str>)| {
        let of = match labels.len() {
            n if n > NOTE_LABELS_MAX => format!("{n} conditions"),
            _ => labels.join(", "),
        };
        format!("note: {of}, against the baseline: {note}\n")
    };
    noted.into_iter().map(line).collect()
}

/// How the intervals of the means were made, and from how many seeds.
fn interval_methods(summary: &Summary) -> String {
    methods(summary.conditions.iter().filter_map(|row| row.interval.as_ref()))
}

fn difference_methods(comparisons: &Comparisons) -> String {
    methods(comparisons.rows.iter().filter_map(|row| row.interval.as_ref()))
}

/// `with 95 % intervals by Student t, n = 3 to 5`.
fn methods<'a>(intervals: impl Iterator<Item = &'a IntervalRow> + Clone) -> String {
    let ns = intervals.clone().map(|interval| interval.n);
    let (Some(least), Some(most)) = (ns.clone().min(), ns.max()) else {
        return "without intervals".to_owned();
    };
    let mut names: Vec<String> = intervals.map(method).collect();
    names.sort_unstable();
    names.dedup();
    let n = if least == most { format!("n = {least}") } else { format!("n = {least} to {most}") };
    format!("with intervals by {}, {n}", names.join(" and "))
}

fn method(interval: &IntervalRow) -> String {
    match (interval.method.as_str(), interval.resamples, interval.seed) {
        ("student_t", ..) => "Student t".to_owned(),
        ("bca_bootstrap", Some(resamples), Some(seed)) => {
            format!("BCa bootstrap ({resamples} resamples, seed {seed}; it covers too little with few seeds)")
        }
        (other, ..) => other.replace('_', " "),
    }
}

fn correction(name: &str) -> &str {
    match name {
        "holm" => "Holm's correction",
        "benjamini_hochberg" => "Benjamini–Hochberg correction",
        other => other,
    }
}

pub(crate) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

fn condition_cells(scale: &Scale, row: &ConditionSummary) -> Vec<String> {
    vec![
        row.label.clone(),
        row.n.to_string(),
        or_dash(row.mean.map(|x| scale.value(x))),
        or_dash(row.interval.as_ref().map(|interval| scale.half_width(interval))),
    ]
}

/// The baseline itself has no test.
fn comparison_cells(scale: &Scale, test: Option<&ComparisonRow>) -> Vec<String> {
    let Some(test) = test else {
        return vec!["baseline".to_owned(), String::new(), String::new(), String::new()];
    };
    vec![
        or_dash(test.mean_difference.map(|x| scale.signed(x))),
        or_dash(test.interval.as_ref().map(|interval| scale.half_width(interval))),
        p_value(test.p_adjusted),
        or_dash(test.d_z.map(|d| format!("{d:+.2}"))),
    ]
}

/// A search's best conditions, and what a reader must know of them.
pub(crate) fn leaderboard(board: &Leaderboard) -> String {
    if board.rows.is_empty() {
        return format!("no trial has a value of {} yet", board.metric);
    }
    let scale = Scale::of(&board.metric);
    let mut table = table(&["", "condition", "n", "mean", "sd", "stopped early"], &[0, 2, 3, 4]);
    for row in &board.rows {
        table.add_row(vec![
            row.rank.to_string(),
            row.label.clone(),
            row.n.to_string(),
            scale.value(row.mean),
            or_dash(row.sd.map(|sd| scale.value(sd))),
            stopped(row),
        ]);
    }
    let direction = if board.higher_is_better { "largest" } else { "smallest" };
    let mut text = format!(
        "{}, {direction} first: {} of {} conditions\n{table}\n",
        board.metric,
        board.rows.len(),
        board.conditions
    );
    for note in &board.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

/// `2 of 3, at epoch 1 to 3`.
fn stopped(row: &LeaderRow) -> String {
    let ends = row.stopped_epochs.iter().copied();
    let (Some(first), Some(last)) = (ends.clone().reduce(f64::min), ends.reduce(f64::max)) else {
        return String::new();
    };
    let epochs = match (format!("{first:.1}"), format!("{last:.1}")) {
        (first, last) if first == last => first,
        (first, last) => format!("{first} to {last}"),
    };
    format!("{} of {}, at epoch {epochs}", row.stopped_epochs.len(), row.n)
}

/// Sweeps, a line each.
pub(crate) fn sweeps(rows: &[SweepRow]) -> String {
    if rows.is_empty() {
        return "no sweeps yet: try `motif preset submit demo --wait`".to_owned();
    }
    let mut header = vec!["id", "name", "state", "done", "trials", "submitted"];
    let prioritized = rows.iter().any(|row| row.priority != 0);
    if prioritized {
        header.push("priority");
    }
    let mut table = table(&header, &[3, 6]);
    for row in rows {
        let mut cells = vec![
            row.id.to_string(),
            row.name.clone(),
            format!("{:?}", row.state).to_lowercase(),
            format!("{:.0} %", 100.0 * row.progress),
            counts(&row.counts),
            row.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        ];
        if prioritized {
            cells.push(row.priority.to_string());
        }
        table.add_row(cells);
    }
    table.to_string()
}
