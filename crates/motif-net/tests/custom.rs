//! Rules written as data: the built-in ones to the bit, others against the naive network, wrong ones named.

mod common;

use common::random::{config, toy, within};
use common::{Recorder, Toy, naive, small};
use motif_net::config::{
    Feedback, HebbianPartner, LocalSignal, PerSynapse, RuleName, Synapse, UpdateTerm, Updates,
};
use motif_net::{Outcome, TrialConfig, train};
use ndarray::Array2;
use proptest::prelude::*;

use LocalSignal::{A, ABar, E, G, H, HBar, U};

fn term(target: LocalSignal, source: LocalSignal) -> Vec<UpdateTerm> {
    vec![UpdateTerm { coefficient: 1.0, target, source }]
}

/// The built-in rule, and the same as data.
fn twins(base: &TrialConfig) -> Option<[TrialConfig; 2]> {
    let w = || term(G, H);
    let only_w = || Updates { w: w(), ..Updates::default() };
    let (feedback, updates) = match base.rule {
        RuleName::Sal => {
            let (own, own_bar) =
                if base.hebbian_partner == HebbianPartner::Post { (H, HBar) } else { (A, ABar) };
            let (v, v_bar) = (term(own_bar, H), term(own, HBar));
            (Feedback::Motif, Updates { w: w(), w_bar: term(U, HBar), v, v_bar })
        }
        RuleName::Bp => (Feedback::Transposed, only_w()),
        RuleName::LastLayer => (Feedback::Transposed, Updates { w: term(E, H), ..Updates::default() }),
        RuleName::Fa => (Feedback::Chained, only_w()),
        RuleName::Dfa => (Feedback::Direct, only_w()),
        RuleName::Kp => (Feedback::Chained, Updates { w_bar: term(H, G), ..only_w() }),
        RuleName::Linear | RuleName::SignSymmetry | RuleName::Custom => return None,
    };
    // The built-in rules but `sal` read neither `plastic` nor the feedback's own rate and decay.
    let reads_all = base.rule == RuleName::Sal;
    let as_w = |numbers: PerSynapse| PerSynapse { w_bar: numbers.w, ..numbers };
    let base = TrialConfig {
        plastic: if reads_all { base.plastic.clone() } else { Synapse::ALL.to_vec() },
        rates: if reads_all { base.rates } else { as_w(base.rates) },
        decay: if reads_all { base.decay } else { as_w(base.decay) },
        ..base.clone()
    };
    Some([base.clone(), TrialConfig { rule: RuleName::Custom, feedback, updates, ..base }])
}

/// The last tensors, NaN compared like anything else.
fn bits(seen: &Recorder) -> Vec<(&str, Vec<u32>)> {
    let bits = |value: &Array2<f32>| value.iter().map(|x| x.to_bits()).collect();
    seen.last.iter().map(|(name, value)| (name.as_str(), bits(value))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_built_in_rule_as_data_is_the_same_to_the_bit(base in config(), seed in any::<u64>()) {
        let base = within(base);
        prop_assume!(TrialConfig { rule: RuleName::Bp, ..base.clone() }.violations().is_empty());
        for rule in RuleName::BUILT_IN {
            let Some(twins) = twins(&TrialConfig { rule, ..base.clone() }) else { continue };
            let toy = toy();
            let [(built_in, seen), (custom, seen_custom)] = twins.map(|config| {
                let mut recorder = Recorder::default();
                (train(&config, seed, &toy.task(), &mut recorder).unwrap(), recorder)
            });
            prop_assert_eq!(bits(&seen), bits(&seen_custom), "{:?}", rule);
            prop_assert_eq!(&built_in.result_hash, &custom.result_hash, "{:?}", rule);
        }
    }
}

#[test]
fn a_rule_of_sums_follows_the_naive_network() {
    let term = |coefficient, target, source| UpdateTerm { coefficient, target, source };
    let updates = Updates {
        w: vec![term(0.8, G, H), term(-0.01, A, H), term(0.1, E, A)],
        w_bar: vec![term(1.0, U, HBar), term(0.3, HBar, E)],
        v: vec![term(1.0, HBar, H), term(-0.2, U, A)],
        v_bar: vec![term(0.5, H, HBar), term(0.5, A, ABar), term(-0.1, G, U)],
    };
    for (batch_size, momentum) in [(16, 0.0), (3, 0.5)] {
        let config = TrialConfig {
            rule: RuleName::Custom,
            updates: updates.clone(),
            clip_norm: 0.2,
            momentum,
            ..small(&[11, 7, 8])
        };
        let config = TrialConfig { batch_size, ..config };
        let toy = Toy::new(37, 10, 9, 4);
        let mut recorder = Recorder::default();
        let result = train(&config, 7, &toy.task(), &mut recorder).unwrap();
        assert_eq!(result.outcome, Outcome::Succeeded);
        let initial = naive::weights(&recorder.snapshots[&0]);
        let (mut reference, mut velocities) = (initial.clone(), naive::Weights::new());
        for (t, batch) in recorder.batches.iter().enumerate() {
            naive::step(&config, &mut reference, &mut velocities, batch, t, recorder.batches.len());
        }
        for (name, value) in naive::weights(&recorder.last) {
            let change = naive::norm(&naive::minus(&value, &initial[&name]));
            let error = naive::norm(&naive::minus(&value, &reference[&name]));
            assert!(change > 0.0 && error < 1e-4 * change, "{name} is off by {error} of {change}");
        }
    }
}

#[test]
fn a_synapse_without_terms_keeps_its_values() {
    let updates = Updates { w: term(E, H), v_bar: term(H, HBar), ..Updates::default() };
    let config = TrialConfig { rule: RuleName::Custom, updates, ..small(&[8, 6]) };
    let mut recorder = Recorder::default();
    train(&config, 7, &Toy::new(37, 10, 9, 4).task(), &mut recorder).unwrap();
    for ((name, first), (_, last)) in recorder.snapshots[&0].iter().zip(&recorder.last) {
        assert_eq!(first == last, !["w.3", "v_bar.1", "v_bar.2"].contains(&name.as_str()), "{name}");
    }
}

#[test]
fn a_wrong_term_is_named() {
    let custom = |feedback, updates| TrialConfig {
        rule: RuleName::Custom,
        feedback,
        updates,
        ..TrialConfig::default()
    };
    let one = |w| Updates { w, ..Updates::default() };
    let half = |coefficient| vec![UpdateTerm { coefficient, target: G, source: H }];
    let cases = [
        ("updates", custom(Feedback::Motif, Updates::default())),
        ("updates.w", custom(Feedback::Motif, one(term(G, H).repeat(17)))),
        ("updates.w[0].target", custom(Feedback::Motif, one(term(HBar, H)))),
        ("updates.w[0].source", custom(Feedback::Motif, one(term(G, E)))),
        ("updates.w[0].coefficient", custom(Feedback::Motif, one(half(f64::NAN)))),
        ("updates.w[0].coefficient", custom(Feedback::Motif, one(half(-1e3)))),
        ("updates.w_bar[0].target", custom(Feedback::Motif, Updates { w_bar: term(H, HBar), ..one(vec![]) })),
        ("updates.w_bar[0].source", custom(Feedback::Direct, Updates { w_bar: term(H, H), ..one(vec![]) })),
        ("updates.v_bar[0].source", custom(Feedback::Motif, Updates { v_bar: term(H, H), ..one(vec![]) })),
        ("updates.w_bar", custom(Feedback::Transposed, Updates { w_bar: term(H, G), ..one(term(G, H)) })),
        ("updates.v", custom(Feedback::Chained, Updates { v: term(U, H), ..one(term(G, H)) })),
    ];
    for (field, config) in cases {
        let fields: Vec<String> = config.violations().into_iter().map(|found| found.field).collect();
        assert_eq!(fields, [field], "{config:?}");
        assert_eq!(TrialConfig { rule: RuleName::Bp, ..config }.violations(), []);
    }
    let violations = custom(Feedback::Motif, one(term(U, H))).violations();
    assert_eq!(
        violations[0].to_string(),
        "updates.w[0].target is u, expected a signal at that end of this synapse: h, a, g, e"
    );
}

#[test]
fn a_rule_is_read_from_a_text() {
    let text = r#"{
        "rule": "custom", "feedback": "chained",
        "updates": { "w": [{ "target": "g", "source": "h" }], "w_bar": [{ "coefficient": 0.5, "target": "h", "source": "g" }] }
    }"#;
    let config: TrialConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.updates.w, term(G, H));
    assert_eq!(config.updates.w_bar[0].coefficient, 0.5);
    assert_eq!(config.violations(), []);
    let unknown = text.replace("coefficient", "factor");
    assert!(serde_json::from_str::<TrialConfig>(&unknown).unwrap_err().to_string().contains("factor"));
}
