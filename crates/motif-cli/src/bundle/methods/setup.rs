//! What was done: conditions and seeds, data, networks, training.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Block, heading, paragraph};
use crate::bundle::{
    material::{Dataset, Material, shown},
    words::{count, list, metric_name, plural, runs},
};

/// Conditions that the table lists; `data/trials.csv` has all.
const CONDITIONS_LISTED_MAX: usize = 60;

pub(super) fn blocks(material: &Material) -> Vec<Block> {
    let settings = material.settings();
    let mut blocks = vec![heading("Design"), design(material), conditions(material, &settings)];
    blocks.extend([heading("Data"), data(material, &settings)]);
    blocks.extend([heading("Networks and learning rules"), networks(&settings)]);
    blocks.extend([heading("Training"), training(&settings), shared(&settings)]);
    blocks
}

fn design(material: &Material) -> Block {
    let row = &material.sweep.row;
    let seeds = &material.sweep.seed_values;
    let n = seeds.len() as u64;
    let mut sentences = vec![format!(
        "The sweep “{}” compares {} on {}, each trained from {} ({} {}): {} in all.",
        row.name,
        plural(row.conditions.into(), "condition", "conditions"),
        metric_name(&row.metric),
        plural(n, "seed", "seeds"),
        if n == 1 { "seed" } else { "seeds" },
        runs(seeds),
        plural(row.counts.total(), "trial", "trials"),
    )];
    sentences.push(
        "A seed fixes the initial weights, the order of the minibatches and any random subset, and is the same in every \
         condition, so that conditions are paired on it."
            .to_owned(),
    );
    let c = &row.counts;
    let states = [
        (c.succeeded, "succeeded"),
        (c.diverged, "diverged"),
        (c.failed, "failed"),
        (c.dead, "were given up after their workers died"),
        (c.cancelled, "were cancelled"),
        (c.leased, "are running"),
        (c.queued, "are waiting"),
    ];
    let told = states.iter().filter(|(n, _)| *n > 0).map(|(n, what)| {
        let what = if *n == 1 {
            what.replace("were", "was").replace("their workers", "its workers").replace("are ", "is ")
        } else {
            (*what).to_owned()
        };
        format!("{} {what}", count(*n))
    });
    sentences.push(format!("Of these, {}.", list(&told.collect::<Vec<_>>())));
    paragraph(&sentences)
}

/// What each condition has of its own.
fn conditions(material: &Material, settings: &BTreeMap<String, Vec<Option<Value>>>) -> Block {
    let varied: Vec<(&String, &Vec<Option<Value>>)> =
        settings.iter().filter(|(_, values)| !is_shared(values)).collect();
    let baseline = material.sweep.baseline;
    let mut header = vec!["condition".to_owned()];
    header.extend(varied.iter().map(|(key, _)| (*key).clone()));
    let rows = material.sweep.condition_rows.iter().enumerate().take(CONDITIONS_LISTED_MAX);
    let mut rows: Vec<Vec<String>> = rows
        .map(|(index, row)| {
            let mark = if Some(row.index) == baseline { " (baseline)" } else { "" };
            let mut cells = vec![format!("{}{mark}", row.label)];
            cells.extend(varied.iter().map(|(_, values)| value(values.get(index).and_then(Option::as_ref))));
            cells
        })
        .collect();
    let more = material.sweep.condition_rows.len().saturating_sub(CONDITIONS_LISTED_MAX);
    if more > 0 {
        let mut cells = vec![format!("… and {} more: data/trials.csv", count(more as u64))];
        cells.resize(header.len(), String::new());
        rows.push(cells);
    }
    Block::Table { header, rows }
}

fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "—".to_owned(), shown)
}

fn is_shared(values: &[Option<Value>]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// The value that all conditions share.
fn common<'a>(settings: &'a BTreeMap<String, Vec<Option<Value>>>, key: &str) -> Option<&'a Value> {
    let values = settings.get(key).filter(|values| is_shared(values))?;
    values.first()?.as_ref()
}

/// Its words when all conditions share a value; `varied` when they do not; nothing when none has one.
fn told(
    settings: &BTreeMap<String, Vec<Option<Value>>>,
    key: &str,
    words: impl FnOnce(&Value) -> String,
    varied: &str,
) -> Option<String> {
    match common(settings, key) {
        Some(value) => Some(words(value)),
        None if settings.contains_key(key) => Some(varied.to_owned()),
        None => None,
    }
}

fn data(material: &Material, settings: &BTreeMap<String, Vec<Option<Value>>>) -> Block {
    let mut sentences: Vec<String> = material.datasets.iter().map(dataset).collect();
    let examples = |value: &Value| plural(value.as_u64().unwrap_or(0), "example", "examples");
    sentences.extend(told(
        settings,
        "train_limit",
        |value| format!("Each trial trained on a random subset of {}, drawn by its seed.", examples(value)),
        "The number of training examples differs between conditions.",
    ));
    sentences.extend(told(
        settings,
        "test_limit",
        |value| format!("It was tested on a random subset of {}, drawn by its seed.", examples(value)),
        "The number of test examples differs between conditions.",
    ));
    sentences.extend(told(
        settings,
        "validation",
        |value| {
            format!(
                "{} of the training set were held out, the same in every trial, and measured on; the test examples were \
                 not looked at.",
                examples(value)
            )
        },
        "The number of held-out training examples differs between conditions.",
    ));
    paragraph(&sentences)
}

fn dataset(dataset: &Dataset) -> String {
    let hash = &dataset.hash;
    let Some(row) = &dataset.row else {
        return format!(
            "Dataset {} (BLAKE3 of its content {hash}; the server has it no longer).",
            dataset.name
        );
    };
    format!(
        "Dataset {}{}: {} × {} pixels in {}, {}, {} and {}; BLAKE3 of its content {hash}.",
        dataset.name,
        if row.built_in { " (built into Motif)" } else { "" },
        row.height,
        row.width,
        plural(row.channels.into(), "channel", "channels"),
        plural(row.classes.into(), "class", "classes"),
        plural(row.train_examples, "training example", "training examples"),
        plural(row.test_examples, "test example", "test examples"),
    )
}

/// What a rule is, for whoever has not read the paper.
const RULES: [(&str, &str); 9] = [
    ("sal", "self-assembling learning, the four-synapse motif of Liao et al. (arXiv:2412.20018) (sal)"),
    ("bp", "exact backpropagation with stochastic gradient descent (bp)"),
    ("linear", "backpropagation in a network without hidden nonlinearity (linear)"),
    ("last_layer", "hidden layers frozen at their initial values, only the last learning (last_layer)"),
    ("fa", "feedback alignment: fixed random feedback, layer by layer (fa)"),
    ("dfa", "direct feedback alignment: fixed random feedback from the output to each layer (dfa)"),
    ("kp", "Kolen–Pollack: feedback that changes as the forward weights do and decays like them (kp)"),
    ("sign_symmetry", "feedback of uniform magnitude with the signs of the forward weights (sign_symmetry)"),
    ("custom", "a rule spelt out in the spec (custom)"),
];

fn networks(settings: &BTreeMap<String, Vec<Option<Value>>>) -> Block {
    let mut sentences = Vec::new();
    sentences.extend(told(
        settings,
        "hidden",
        |value| {
            let widths: Vec<u64> = value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let layers = plural(widths.len() as u64, "hidden layer", "hidden layers");
            let units: Vec<String> = widths.iter().map(|width| count(*width)).collect();
            if widths.is_empty() {
                return "Networks have no hidden layer.".to_owned();
            }
            let last = widths.last().copied().unwrap_or(0);
            let unit = if widths.len() == 1 && last == 1 { "unit" } else { "units" };
            format!("Networks have {layers} of {} {unit} (upstream).", list(&units))
        },
        "The hidden widths differ between conditions.",
    ));
    sentences.extend(told(
        settings,
        "ratio",
        |value| format!("The downstream layers are {} times as wide as the upstream ones.", shown(value)),
        "The ratio of downstream to upstream widths differs between conditions.",
    ));
    let named = settings.get("rule").map(Vec::as_slice).unwrap_or_default();
    let used: Vec<String> = RULES
        .iter()
        .filter(|(name, _)| named.iter().flatten().any(|value| value.as_str() == Some(name)))
        .map(|(_, words)| (*words).to_owned())
        .collect();
    let rules = if used.len() == 1 { "The learning rule is" } else { "The learning rules are" };
    sentences.push(format!("{rules} {}.", used.join("; ")));
    paragraph(&sentences)
}

fn training(settings: &BTreeMap<String, Vec<Option<Value>>>) -> Block {
    let mut sentences = Vec::new();
    sentences.extend(told(
        settings,
        "epochs",
        |value| format!("Each trial trained for {}.", plural(value.as_u64().unwrap_or(0), "epoch", "epochs")),
        "The number of epochs differs between conditions.",
    ));
    sentences.extend(told(
        settings,
        "batch_size",
        |value| format!("Minibatches hold {}.", plural(value.as_u64().unwrap_or(0), "example", "examples")),
        "The size of the minibatches differs between conditions.",
    ));
    sentences.extend(told(
        settings,
        "schedule",
        |value| match value.as_str() {
            Some("cosine") => "Learning rates fall to zero along a cosine.".to_owned(),
            _ => "Learning rates are constant.".to_owned(),
        },
        "The schedule of the learning rates differs between conditions.",
    ));
    sentences.extend(told(
        settings,
        "clip_norm",
        |value| match value.as_f64() {
            Some(norm) if norm > 0.0 => {
                format!("Each tensor’s change is scaled down to a Frobenius norm of at most {norm}.")
            }
            _ => "Changes are not clipped.".to_owned(),
        },
        "The norm to which changes are clipped differs between conditions.",
    ));
    sentences.extend(told(
        settings,
        "divergence_bound",
        |value| {
            let bound = value.as_f64().map_or_else(|| shown(value), |bound| crate::bundle::words::number(bound, 3));
            format!("A trial ends as diverged when a weight tensor’s Frobenius norm or the training loss exceeds {bound} or is not finite.")
        },
        "The bound beyond which a trial counts as diverged differs between conditions.",
    ));
    sentences.push("All conditions share these values:".to_owned());
    paragraph(&sentences)
}

/// Every value that no condition has of its own.
fn shared(settings: &BTreeMap<String, Vec<Option<Value>>>) -> Block {
    let rows = settings.keys().filter_map(|key| Some(vec![key.clone(), shown(common(settings, key)?)]));
    Block::Table { header: vec!["key".to_owned(), "value".to_owned()], rows: rows.collect() }
}
