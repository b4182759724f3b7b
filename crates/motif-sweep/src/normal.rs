//! When two configs train the same thing: what a trial does not read does not tell conditions apart.

use motif_net::config::{Feedback, PerSynapse, RuleName, Synapse, TrialConfig};

use crate::plan;

/// A text that is equal for configs that train the same thing.
pub(crate) fn key(config: &TrialConfig) -> String {
    plan::config_hash(&normal(config))
}

/// The config with its synapses in the usual order: their order in the text means nothing.
pub(crate) fn sorted(mut config: TrialConfig) -> TrialConfig {
    config.plastic.sort_unstable();
    config.plastic.dedup();
    config
}

/// The config with every field that has no effect at its default.
fn normal(config: &TrialConfig) -> TrialConfig {
    let defaults = TrialConfig::default();
    let mut normal = sorted(config.clone());
    if config.validation.is_some() {
        normal.test_limit = defaults.test_limit;
    }
    if !has_motif(config) {
        normal.ratio = defaults.ratio;
        normal.downstream_activation = defaults.downstream_activation;
        normal.init_scale_v = defaults.init_scale_v;
    }
    if config.rule == RuleName::Custom {
        normal.hebbian_partner = defaults.hebbian_partner;
        normal.plastic.retain(|&synapse| !config.updates.of(synapse).is_empty());
    } else {
        normal.feedback = defaults.feedback;
        normal.updates = defaults.updates;
    }
    if config.rule == RuleName::Linear {
        normal.activation = defaults.activation;
    }
    match config.rule {
        RuleName::Sal | RuleName::Custom => {
            if !learns(&normal, Synapse::V) && !learns(&normal, Synapse::VBar) {
                normal.hebbian_partner = defaults.hebbian_partner;
            }
            normal.rates = plastic_only(&normal, config.rates);
            normal.decay = plastic_only(&normal, config.decay);
        }
        // The feedback of `fa`, `dfa`, `kp` and `sign_symmetry` has its shape, rate and decay from `W`.
        _ => {
            normal.plastic = defaults.plastic;
            normal.hebbian_partner = defaults.hebbian_partner;
            normal.rates = only_w(config.rates);
            normal.decay = only_w(config.decay);
        }
    }
    normal
}

/// Whether the network has the motif's downstream pathway.
fn has_motif(config: &TrialConfig) -> bool {
    match config.rule {
        RuleName::Sal => true,
        RuleName::Custom => config.feedback == Feedback::Motif,
        _ => false,
    }
}

/// `W_L` always learns, so `w` always counts.
fn only_w(numbers: PerSynapse) -> PerSynapse {
    PerSynapse { w: numbers.w, w_bar: 0.0, v: 0.0, v_bar: 0.0 }
}

fn learns(config: &TrialConfig, synapse: Synapse) -> bool {
    config.plastic.contains(&synapse)
}

fn plastic_only(config: &TrialConfig, numbers: PerSynapse) -> PerSynapse {
    let of = |synapse| if learns(config, synapse) { numbers.of(synapse) } else { 0.0 };
    PerSynapse { w: numbers.w, w_bar: of(Synapse::WBar), v: of(Synapse::V), v_bar: of(Synapse::VBar) }
}
