//! Which metrics the trials of a condition log, so that no sweep is compared by a number that nobody writes.
//!
//! It knows the names that the engine gives and what each needs, but no values.

use std::collections::BTreeSet;

use motif_net::config::{Feedback, RuleName, Synapse, TrialConfig};
use serde_json::Value;

use crate::{
    errors::{SpecError, SpecErrors},
    keys,
    plan::Condition,
    spec::FINAL_METRICS,
};

/// Reasons that an error lists.
const REASONS_LISTED_MAX: usize = 3;

/// Diagnostics of a layer, those of a tensor, those of a tensor's spectrum, those of the spectrum of `H_l`.
const OF_LAYER: [&str; 6] = ["dead", "cos_g_bp", "cos_theorem1", "cos_v", "cos_motif", "cos_w"];
const OF_TENSOR: [&str; 2] = ["norm", "update_ratio"];
const OF_TENSOR_SPECTRUM: [&str; 4] = ["sigma_max", "sigma_min", "rank", LIKENESS];
/// How alike the hidden units' incoming weights are.
const LIKENESS: &str = "corr";
const OF_RATE_SPECTRUM: [&str; 7] = ["h_max", "h_q75", "h_median", "h_q25", "h_min", "h_condition", "h_rank"];
/// The biases' name among the tensors.
const BIAS: &str = "b";

/// Losses and errors are better when smaller; everything else when larger.
#[must_use]
pub fn higher_is_better(metric: &str) -> bool {
    !(metric.contains("loss") || metric.contains("error"))
}

/// Refuses a metric that no condition can log.
pub(crate) fn check(metric: &str, conditions: &[Condition], errors: &mut SpecErrors) {
    if FINAL_METRICS.contains(&metric) {
        check_final(metric, conditions, errors);
        return;
    }
    let mut reasons = BTreeSet::new();
    for condition in conditions {
        match obstacle(&condition.config, metric) {
            Some(reason) => reasons.insert(reason),
            None => return,
        };
    }
    let listed: Vec<String> = reasons.into_iter().take(REASONS_LISTED_MAX).collect();
    let message = format!("no condition of this sweep logs this metric: {}", listed.join("; "));
    let family = metric.split('.').next().unwrap_or_default();
    let suggestion = (!families().any(|known| known == family))
        .then(|| keys::near(family, families()))
        .flatten()
        .map(|near| metric.replacen(family, near, 1));
    errors.push(SpecError::new("metric", message).found(&Value::from(metric)).suggest(suggestion));
}

/// The test split and the examples held out of the training split are not both measured on.
fn check_final(metric: &str, conditions: &[Condition], errors: &mut SpecErrors) {
    if conditions.iter().any(|condition| condition.config.final_metrics().contains(&metric)) {
        return;
    }
    let (reason, other) = match metric.strip_prefix("test_") {
        Some(kind) => {
            ("all set `validation` and so never look at the test examples", format!("validation_{kind}"))
        }
        None => (
            "none sets `validation`, so no examples are held out",
            metric.replacen("validation_", "test_", 1),
        ),
    };
    let message = format!("no condition of this sweep logs this metric: {reason}; compare {other} instead");
    errors.push(SpecError::new("metric", message).found(&Value::from(metric)).suggest(Some(other)));
}

fn families() -> impl Iterator<Item = &'static str> {
    let diagnostics = OF_LAYER.into_iter().chain(OF_TENSOR);
    diagnostics.chain(OF_TENSOR_SPECTRUM).chain(OF_RATE_SPECTRUM)
}

/// Why trials of this config never log the metric; `None` when they can.
fn obstacle(config: &TrialConfig, metric: &str) -> Option<String> {
    let parts: Vec<&str> = metric.split('.').collect();
    let (family, tensor, layer) = match *parts.as_slice() {
        [family, layer] if OF_LAYER.contains(&family) || OF_RATE_SPECTRUM.contains(&family) => {
            (family, None, layer)
        }
        [family, tensor, layer] if OF_TENSOR.contains(&family) || OF_TENSOR_SPECTRUM.contains(&family) => {
            (family, Some(tensor), layer)
        }
        [family, _] if OF_TENSOR.contains(&family) || OF_TENSOR_SPECTRUM.contains(&family) => {
            return Some(format!("{family} is of a tensor at a layer, as {family}.w.1"));
        }
        _ => return Some(format!("there is no such diagnostic: known are {}", known())),
    };
    let of_spectrum = OF_TENSOR_SPECTRUM.contains(&family) || OF_RATE_SPECTRUM.contains(&family);
    if of_spectrum && config.spectra.is_off() {
        return Some("`spectra` is \"off\"".to_owned());
    }
    if !of_spectrum && config.diagnostics.is_off() {
        return Some("`diagnostics` is \"off\"".to_owned());
    }
    let hidden_units = family == LIKENESS;
    if hidden_units
        && tensor.is_some_and(|name| ![Synapse::W, Synapse::VBar].map(Synapse::name).contains(&name))
    {
        return Some(format!("{family} is of the synapses onto hidden upstream units, w and v_bar"));
    }
    let tensor_of_layer = tensor.filter(|_| !hidden_units);
    missing_circuit(config, family, tensor).or_else(|| missing_layer(config, tensor_of_layer, layer))
}

fn known() -> String {
    families().collect::<Vec<_>>().join(", ")
}

/// What the metric needs of the rule's circuit and the rule does not have.
fn missing_circuit(config: &TrialConfig, family: &str, tensor: Option<&str>) -> Option<String> {
    let feedback = feedback(config);
    let lateral = feedback == Feedback::Motif;
    let backward = feedback != Feedback::Transposed;
    let present = match tensor {
        Some(name) if name == Synapse::W.name() => true,
        Some(name) if name == Synapse::WBar.name() => backward,
        Some(name) if name == Synapse::V.name() || name == Synapse::VBar.name() => lateral,
        Some(BIAS) if OF_TENSOR_SPECTRUM.contains(&family) => {
            return Some(format!("{family} is not taken of the biases"));
        }
        Some(BIAS) if config.biases => true,
        Some(BIAS) => return Some("`biases` is off".to_owned()),
        Some(name) => {
            return Some(format!("there is no tensor {name:?}: expected w, w_bar, v, v_bar or b"));
        }
        None => match family {
            "dead" => true,
            "cos_g_bp" => backward,
            "cos_w" => backward && !lateral,
            _ => lateral,
        },
    };
    let rule = serde_json::to_value(config.rule).expect("a rule is plain data");
    (!present).then(|| format!("it is not defined under rule {rule}"))
}

/// Where the synapses of a rule's backward path are.
fn feedback(config: &TrialConfig) -> Feedback {
    match config.rule {
        RuleName::Sal => Feedback::Motif,
        RuleName::Bp | RuleName::Linear | RuleName::LastLayer => Feedback::Transposed,
        RuleName::Fa | RuleName::Kp | RuleName::SignSymmetry => Feedback::Chained,
        RuleName::Dfa => Feedback::Direct,
        RuleName::Custom => config.feedback,
    }
}

/// `W` and the biases exist at the output too, everything else at the hidden layers alone.
fn missing_layer(config: &TrialConfig, tensor: Option<&str>, layer: &str) -> Option<String> {
    let hidden = config.hidden.len();
    let reaches_output = tensor.is_some_and(|name| name == Synapse::W.name() || name == BIAS);
    let last = if reaches_output { hidden + 1 } else { hidden };
    let found = layer.parse::<usize>().ok().filter(|number| number.to_string() == layer);
    if found.is_some_and(|number| (1..=last).contains(&number)) {
        return None;
    }
    let layers = match last {
        1 => "it exists at layer 1 alone".to_owned(),
        _ => format!("it exists at the layers 1 to {last}"),
    };
    Some(format!("{layers}, with {hidden} hidden layer{}", if hidden == 1 { "" } else { "s" }))
}
