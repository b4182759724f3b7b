//! What the sweep claims, and what its trials say of it.

use motif_wire::verdicts::{ClaimVerdict, Verdicts};
use serde::Deserialize as _;

use super::{Block, heading, paragraph};
use crate::{
    bundle::{
        material::Material,
        words::{MISSING, metric_name, number, p_value},
    },
    output::verdicts::in_words,
};

/// Significant digits of an effect.
const DIGITS: i32 = 3;

/// Nothing when the sweep claims nothing.
pub(super) fn blocks(material: &Material) -> Vec<Block> {
    let found = material.documents.iter().find(|(name, _)| *name == "verdicts");
    let Some(verdicts) = found.and_then(|(_, content)| Verdicts::deserialize(content).ok()) else {
        return Vec::new();
    };
    let Some(verdict) = verdicts.verdict else { return Vec::new() };
    let mut sentences = vec![
        "The claims were written into the sweep; each is decided by the interval of its effect over the seeds.".to_owned(),
        format!("{}.", verdicts.correction),
        "Trials that diverged count with the worst value seen in the sweep.".to_owned(),
        format!("That all claims hold is {}.", in_words(verdict)),
    ];
    if !verdicts.complete {
        sentences.push("This is preliminary: not every trial has ended.".to_owned());
    }
    let header = ["claim", "test", "n", "effect", "interval", "p (not corrected)", "verdict"];
    vec![
        heading("Claims"),
        paragraph(&sentences),
        Block::Table {
            header: header.map(str::to_owned).to_vec(),
            rows: verdicts.claims.iter().map(row).collect(),
        },
    ]
}

fn row(claim: &ClaimVerdict) -> Vec<String> {
    let interval = claim.interval.as_ref();
    let ends = interval.map(|one| {
        format!("[{}, {}] at {:.2} %", number(one.low, DIGITS), number(one.high, DIGITS), 100.0 * one.level)
    });
    let notes: String = claim.notes.iter().map(|note| format!("; {note}")).collect();
    vec![
        claim.group.as_ref().map_or_else(|| claim.text.clone(), |group| format!("{} ({group})", claim.text)),
        format!("{}: {}{notes}", metric_name(&claim.metric), claim.test),
        claim.n.to_string(),
        claim.effect.map_or_else(|| MISSING.to_owned(), |effect| number(effect, DIGITS)),
        ends.unwrap_or_else(|| MISSING.to_owned()),
        p_value(claim.p),
        in_words(claim.verdict).to_owned(),
    ]
}
