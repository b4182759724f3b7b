//! Random configs: small, mostly sound, some not.

use motif_net::TrialConfig;
use motif_net::config::{
    Activation, Augment, Diagnostics, DownstreamActivation, Feedback, HebbianPartner, LocalSignal,
    NamedCadence, PerSynapse, RuleName, Schedule, StepCadence, Synapse, UpdateTerm, Updates,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::Toy;

fn rates() -> impl Strategy<Value = PerSynapse> {
    let rate = || prop_oneof![Just(0.0), 0.0..0.5, 0.0..999.0];
    (rate(), rate(), rate(), rate()).prop_map(|(w, w_bar, v, v_bar)| PerSynapse { w, w_bar, v, v_bar })
}

fn diagnostics() -> impl Strategy<Value = Diagnostics> {
    prop_oneof![
        select(vec![NamedCadence::Off, NamedCadence::Epoch]).prop_map(Diagnostics::Named),
        (1..9_usize).prop_map(|every_steps| Diagnostics::Steps(StepCadence { every_steps })),
    ]
}

/// Any circuit with terms that fit it; now and then none.
fn updates() -> impl Strategy<Value = (Feedback, Updates)> {
    use LocalSignal::{A, ABar, E, G, H, HBar, U};
    let term = |targets: &[LocalSignal], sources: &[LocalSignal]| {
        let term = (-2.0..2.0, select(targets.to_vec()), select(sources.to_vec()))
            .prop_map(|(coefficient, target, source)| UpdateTerm { coefficient, target, source });
        prop::collection::vec(term, 0..3)
    };
    let w = || term(&[H, A, G, E], &[H, A, G]);
    let motif = (
        w(),
        term(&[HBar, ABar, U], &[HBar, ABar, U, E]),
        term(&[HBar, U], &[H, A]),
        term(&[H, G], &[HBar, U]),
    )
        .prop_map(|(w, w_bar, v, v_bar)| (Feedback::Motif, Updates { w, w_bar, v, v_bar }));
    let other = |feedback, sources: &[LocalSignal]| {
        (w(), term(&[H, A, G], sources))
            .prop_map(move |(w, w_bar)| (feedback, Updates { w, w_bar, ..Updates::default() }))
    };
    let transposed = w().prop_map(|w| (Feedback::Transposed, Updates { w, ..Updates::default() }));
    prop_oneof![
        motif,
        other(Feedback::Chained, &[H, A, G, E]),
        other(Feedback::Direct, &[A, G, E]),
        transposed
    ]
}

prop_compose! {
    fn circuit()(
        hidden in prop::collection::vec(1..12_usize, 1..5),
        rule in select([&RuleName::BUILT_IN[..], &[RuleName::Custom]].concat()),
        ratio in 0.01..4.0,
        activation in select(vec![Activation::Relu, Activation::Tanh, Activation::Linear]),
        downstream_activation in select(vec![
            DownstreamActivation::Linear, DownstreamActivation::Tanh, DownstreamActivation::Relu,
            DownstreamActivation::LeakyRelu, DownstreamActivation::Gated,
        ]),
        plastic in subsequence(Synapse::ALL.to_vec(), 0..=4),
        (feedback, updates) in updates(),
        hebbian_partner in select(vec![HebbianPartner::Post, HebbianPartner::Pre]),
    ) -> TrialConfig {
        TrialConfig {
            hidden, rule, ratio, activation, downstream_activation, plastic, hebbian_partner, feedback, updates,
            ..TrialConfig::default()
        }
    }
}

/// Splits and images of the toy tasks that fit each of these configs, once [`within`] it.
pub(crate) fn toy() -> Toy {
    Toy::new(26, 7, 12, 3)
}

/// The config with limits that the toy can keep.
pub(crate) fn within(config: TrialConfig) -> TrialConfig {
    let left = 26 - config.validation.unwrap_or(0);
    TrialConfig {
        train_limit: config.train_limit.map(|limit| limit.min(left)),
        test_limit: config.test_limit.map(|limit| limit.min(7)),
        ..config
    }
}

prop_compose! {
    pub(crate) fn config()(
        circuit in circuit(),
        (train_limit, test_limit) in (prop::option::of(0..30_usize), prop::option::of(1..8_usize)),
        validation in prop::option::of(0..9_usize),
        augment in prop_oneof![
            Just(Augment::default()),
            (0..3_usize, any::<bool>()).prop_map(|(shift, flip)| Augment { shift, flip }),
        ],
        (epochs, batch_size) in (0..4_usize, 1..40_usize),
        schedule in select(vec![Schedule::Constant, Schedule::Cosine]),
        clip_norm in prop_oneof![Just(0.0), 0.0..2.0],
        init_scale_v in prop_oneof![0.0..2.0, Just(999.0), Just(f64::NAN)],
        (rates, decay) in (rates(), rates()),
        (momentum, biases) in (prop_oneof![Just(0.0), 0.0..1.0], any::<bool>()),
        (diagnostics, spectra) in (diagnostics(), diagnostics()),
    ) -> TrialConfig {
        TrialConfig {
            momentum, biases, spectra, validation, augment,
            train_limit, test_limit, epochs, batch_size, schedule, clip_norm, init_scale_v, rates, decay, diagnostics,
            ..circuit
        }
    }
}
