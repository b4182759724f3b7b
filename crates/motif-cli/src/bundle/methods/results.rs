//! What came of it: the estimates and how they were made, what is missing, what it takes to get the same bits.

use std::collections::BTreeSet;

use motif_wire::{
    statistics::{ComparisonRow, ConditionSummary, DivergedPolicy, IntervalRow},
    trials::Provenance,
};

use super::{Block, claims, heading, paragraph};
use crate::bundle::{
    figure::method as figure_method,
    hashes,
    material::Material,
    words::{
        MISSING, count, list, metric_difference, metric_name, metric_value, number, p_value, plural, runs,
    },
};

/// Conditions that the table lists; `data/summary.json` has all.
const CONDITIONS_LISTED_MAX: usize = 200;

pub(super) fn blocks(material: &Material) -> Vec<Block> {
    let mut blocks = vec![heading("Statistics"), statistics(material), heading("Results"), table(material)];
    blocks.extend(claims::blocks(material));
    blocks.extend(missing(material));
    blocks.extend([heading("Reproducibility"), made(material), again(material)]);
    blocks
}

fn statistics(material: &Material) -> Block {
    let summary = &material.summary;
    let intervals: Vec<&IntervalRow> =
        summary.conditions.iter().filter_map(|row| row.interval.as_ref()).collect();
    let ns: Vec<u64> = summary.conditions.iter().map(|row| row.n).collect();
    let metric = metric_name(&summary.metric);
    let mut sentences = vec![format!(
        "For each condition we report the mean of {metric} over seeds, seeds being the replicates (n = {}).",
        runs(&ns)
    )];
    if let Some(first) = intervals.first() {
        let methods: BTreeSet<String> = intervals.iter().map(|one| figure_method(&one.method)).collect();
        sentences.push(format!(
            "Intervals for the mean are {:.0} % intervals by {}.",
            100.0 * first.level,
            list(&methods.into_iter().collect::<Vec<_>>())
        ));
    } else {
        sentences.push("No condition has two values, so there is no interval.".to_owned());
    }
    sentences.extend(tests(material));
    let diverged = material.sweep.row.counts.diverged;
    sentences.push(match (summary.diverged, diverged) {
        (_, 0) => "No trial diverged.".to_owned(),
        (DivergedPolicy::Exclude, n) => {
            let (were, they) = if n == 1 { ("was", "It is") } else { ("were", "They are") };
            format!(
                "{} {were} left out of means, intervals and tests. {they} listed below.",
                plural(n, "trial that diverged", "trials that diverged")
            )
        }
        (DivergedPolicy::Worst, n) => format!(
            "{} counted with the worst value seen in the sweep.",
            plural(n, "trial that diverged", "trials that diverged")
        ),
    });
    paragraph(&sentences)
}

fn tests(material: &Material) -> Vec<String> {
    let comparisons = &material.comparisons;
    let Some(baseline) = comparisons.baseline.and_then(|index| material.condition(index)) else {
        return vec!["The sweep declares no baseline, so nothing was tested.".to_owned()];
    };
    let correction = match comparisons.correction.as_str() {
        "holm" => "Holm’s method",
        "benjamini_hochberg" => "Benjamini and Hochberg’s method",
        other => other,
    };
    let tested = comparisons.rows.iter().filter(|row| row.p_adjusted.is_some()).count() as u64;
    let mut sentences = vec![
        format!(
            "Each other condition is compared with the baseline “{}” by the mean difference over shared seeds with its \
             interval, and tested by a two-sided paired t test.",
            baseline.label
        ),
        format!(
            "p-values are adjusted by {correction} over {} ({}).",
            plural(tested, "test", "tests"),
            comparisons.family
        ),
        "The effect size d_z is the mean difference over the standard deviation of the differences."
            .to_owned(),
    ];
    let exact = |name: &str, of: fn(&ComparisonRow) -> Option<f64>| {
        comparisons.rows.iter().any(|row| of(row).is_some()).then(|| name.to_owned())
    };
    let exact: Vec<String> = [
        exact("the exact Wilcoxon signed-rank test", |row| row.p_wilcoxon),
        exact("the exact sign-flip permutation test of the mean", |row| row.p_permutation),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !exact.is_empty() {
        let p = if exact.len() == 1 { "The p-value" } else { "The p-values" };
        let are = if exact.len() == 1 { "is" } else { "are" };
        sentences.push(format!("{p} of {} {are} in data/comparisons.json.", list(&exact)));
    }
    sentences
}

fn half(interval: Option<&IntervalRow>) -> Option<f64> {
    interval.map(|interval| (interval.high - interval.low) / 2.0)
}

fn table(material: &Material) -> Block {
    let metric = &material.summary.metric;
    let tested = material.comparisons.baseline.is_some();
    let mut header = vec!["condition", "n", "mean", "interval"];
    if tested {
        header.extend(["difference", "interval of the difference", "p (adjusted)", "d_z"]);
    }
    let rows = material.summary.conditions.iter().take(CONDITIONS_LISTED_MAX).map(|row| {
        let mut cells = estimate(metric, row);
        if tested {
            let test = material.comparisons.rows.iter().find(|test| test.condition == row.condition);
            let baseline = material.comparisons.baseline == Some(row.condition);
            cells.extend(if baseline { baseline_cells() } else { difference(metric, test) });
        }
        cells
    });
    Block::Table { header: header.into_iter().map(str::to_owned).collect(), rows: rows.collect() }
}

fn baseline_cells() -> Vec<String> {
    ["baseline", "", "", ""].map(str::to_owned).to_vec()
}

fn estimate(metric: &str, row: &ConditionSummary) -> Vec<String> {
    let interval = row.interval.as_ref();
    let width = half(interval);
    let ends = interval.map(|one| {
        let end = |end| metric_value(metric, Some(end), width);
        format!("[{}, {}]", end(one.low), end(one.high))
    });
    vec![
        row.label.clone(),
        row.n.to_string(),
        metric_value(metric, row.mean, width),
        ends.unwrap_or_else(|| MISSING.to_owned()),
    ]
}

fn difference(metric: &str, test: Option<&ComparisonRow>) -> Vec<String> {
    let interval = test.and_then(|test| test.interval.as_ref());
    let width = half(interval);
    let ends = interval.map(|one| {
        let end = |end| metric_difference(metric, Some(end), width);
        format!("[{}, {}]", end(one.low), end(one.high))
    });
    vec![
        metric_difference(metric, test.and_then(|test| test.mean_difference), width),
        ends.unwrap_or_else(|| MISSING.to_owned()),
        p_value(test.and_then(|test| test.p_adjusted)),
        test.and_then(|test| test.d_z).map_or_else(|| MISSING.to_owned(), |d| number(d, 3)),
    ]
}

/// What a reader must know of the estimates: the notes of each condition, once.
fn missing(material: &Material) -> Option<Block> {
    let rows: Vec<Vec<String>> = material
        .summary
        .conditions
        .iter()
        .filter(|row| !row.complete || !row.notes.is_empty())
        .map(|row| {
            let comparison = material.comparisons.rows.iter().find(|one| one.condition == row.condition);
            let notes = row.notes.iter().chain(comparison.into_iter().flat_map(|one| &one.notes));
            let mut once: Vec<String> = Vec::new();
            for note in notes {
                if !once.contains(note) {
                    once.push(note.clone());
                }
            }
            vec![row.label.clone(), if once.is_empty() { "incomplete".to_owned() } else { once.join("; ") }]
        })
        .collect();
    let header = vec!["condition".to_owned(), "what to know".to_owned()];
    if rows.is_empty() { None } else { Some(Block::Table { header, rows }) }
}

fn made(material: &Material) -> Block {
    let results = || material.trials.iter().filter_map(|trial| trial.result.as_ref());
    let each = |of: &dyn Fn(&Provenance) -> String| -> Vec<String> {
        let all: BTreeSet<String> = results().map(|result| of(&result.provenance)).collect();
        all.into_iter().collect()
    };
    let workers: BTreeSet<&String> =
        material.trials.iter().filter_map(|trial| trial.row.worker.as_ref()).collect();
    let row = &material.sweep.row;
    let mut sentences = Vec::new();
    if results().next().is_some() {
        let version = |provenance: &Provenance| match &provenance.commit {
            Some(commit) => format!("{} (commit {commit})", provenance.version),
            None => provenance.version.clone(),
        };
        let sets = each(&|provenance| provenance.instruction_set.clone());
        sentences.push(format!(
            "Trials were trained by Motif {} on {} ({}), by {}, with matrix products in the instruction {} {}.",
            list(&each(&version)),
            plural(each(&|provenance| provenance.host.clone()).len() as u64, "machine", "machines"),
            list(&each(&|provenance| provenance.platform.clone())),
            plural(workers.len() as u64, "worker", "workers"),
            if sets.len() == 1 { "set" } else { "sets" },
            list(&sets),
        ));
        let seconds: f64 = results().map(|result| result.training_s).sum();
        let (amount, unit) = match seconds {
            s if s < 120.0 => (s, "seconds"),
            s if s < 7200.0 => (s / 60.0, "minutes"),
            s => (s / 3600.0, "hours"),
        };
        sentences.push(format!("Training took {} {unit} of one thread in all.", number(amount, 3)));
    } else {
        sentences.push("No trial has a result yet.".to_owned());
    }
    let day = "%Y-%m-%d %H:%M UTC";
    let submitted = row.created_at.strftime(day);
    sentences.push(match row.finished_at {
        Some(finished) => {
            format!("The sweep was submitted on {submitted} and finished on {}.", finished.strftime(day))
        }
        None => format!("The sweep was submitted on {submitted}."),
    });
    sentences.push(format!(
        "This text was made on {} from the sweep {} of a server of version {}.",
        material.made_at.strftime(day),
        row.id,
        material.server_version
    ));
    paragraph(&sentences)
}

fn again(material: &Material) -> Block {
    let made = hashes::made(&material.sweep, &material.trials);
    let with_result = made.iter().filter(|one| one.result_hash.is_some()).count() as u64;
    paragraph(&[
        "A trial is a pure function of its config, its seed and its dataset’s content: it comes to the same bits on every \
         machine with the same instruction set."
            .to_owned(),
        format!(
            "The results of {} are recorded by hash in hashes.csv; BLAKE3 over all of them is {}.",
            plural(with_result, "trial", "trials"),
            hashes::overall(&made)
        ),
        format!(
            "The command motif rerun BUNDLE --wait trains {} again from sweep.json and compares.",
            match count(material.sweep.row.counts.total()).as_str() {
                "1" => "the one trial".to_owned(),
                n => format!("all {n} trials"),
            }
        ),
    ])
}
