//! When two configs train the same thing: what a rule does not read does not tell conditions apart.

use motif_net::config::{PerSynapse, RuleName, Synapse, TrialConfig};

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
    if config.rule != RuleName::Sal {
        // The feedback of `fa`, `dfa`, `kp` and `sign_symmetry` has its shape, rate and decay from `W`.
        normal.ratio = defaults.ratio;
        normal.downstream_activation = defaults.downstream_activation;
        normal.plastic = defaults.plastic;
        normal.hebbian_partner = defaults.hebbian_partner;
        normal.init_scale_v = defaults.init_scale_v;
        normal.rates = only_w(config.rates);
        normal.decay = only_w(config.decay);
    }
    if config.rule == RuleName::Linear {
        normal.activation = defaults.activation;
    }
    if config.rule == RuleName::Sal {
        if !learns(config, Synapse::V) && !learns(config, Synapse::VBar) {
            normal.hebbian_partner = defaults.hebbian_partner;
        }
        normal.rates = plastic_only(config, config.rates);
        normal.decay = plastic_only(config, config.decay);
    }
    normal
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
