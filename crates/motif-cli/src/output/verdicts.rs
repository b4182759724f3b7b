//! A sweep's claims and their verdicts, for people.

use motif_wire::verdicts::{ClaimVerdict, VerdictKind, Verdicts};

use super::tables;

/// A table of the tests, and lines that say how they were made; nothing when the sweep claims nothing.
pub(crate) fn text(verdicts: &Verdicts) -> String {
    let Some(verdict) = verdicts.verdict else { return String::new() };
    let mut table = tables::table(&["claim", "verdict", "n", "effect", "interval", "p"], &[2, 3, 4, 5]);
    for row in &verdicts.claims {
        table.add_row(vec![
            name(row),
            in_words(row.verdict).to_owned(),
            row.n.to_string(),
            row.effect.map_or_else(|| "–".to_owned(), number),
            row.interval
                .as_ref()
                .map_or_else(|| "–".to_owned(), |it| format!("{} … {}", number(it.low), number(it.high))),
            tables::p_value(row.p),
        ]);
    }
    let mut text = String::from("\nclaims\n");
    let mut last = None;
    for row in &verdicts.claims {
        if last != Some(row.claim) {
            text.push_str(&format!("  {}. {}\n     {}: {}\n", row.claim + 1, row.text, row.metric, row.test));
            last = Some(row.claim);
        }
    }
    text.push_str(&format!("{table}\n"));
    let mut levels: Vec<String> = Vec::new();
    for interval in verdicts.claims.iter().filter_map(|row| row.interval.as_ref()) {
        let level = format!("{:.2} %", 100.0 * interval.level);
        if !levels.contains(&level) {
            levels.push(level);
        }
    }
    if !levels.is_empty() {
        // Two one-sided tests take the interval of twice the error.
        let levels = levels.join(" or ");
        text.push_str(&format!("intervals by Student t at {levels}; p two-sided, not corrected\n"));
    }
    text.push_str(&format!("{}\n", verdicts.correction));
    for row in &verdicts.claims {
        for note in &row.notes {
            text.push_str(&format!("note: {}: {note}\n", name(row)));
        }
    }
    let preliminary = if verdicts.complete { "" } else { " (preliminary: not every trial has ended)" };
    text.push_str(&format!("verdict: {}{preliminary}\n", in_words(verdict)));
    text
}

fn name(row: &ClaimVerdict) -> String {
    let number = row.claim + 1;
    row.group.as_ref().map_or_else(|| number.to_string(), |group| format!("{number}, {group}"))
}

/// The answer in words.
pub(crate) fn in_words(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Supported => "supported",
        VerdictKind::NotSupported => "not supported",
        VerdictKind::Undecided => "undecided at this n",
    }
}

fn number(x: f64) -> String {
    format!("{x:+.4}")
}
