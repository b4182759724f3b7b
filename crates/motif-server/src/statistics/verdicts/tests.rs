use motif_sweep::ids::TrialId;
use serde_json::{Value, json};

use super::*;
use crate::statistics::tests::material;

/// Verdicts of one sweep of `ratio` 1 and 2 and seeds 0 to 4, with these accuracies by seed.
fn verdicts_of(claims: &Value, accuracies: [[f64; 5]; 2], changed: impl Fn(&mut Material)) -> Verdicts {
    let spec = json!({ "name": "s", "seeds": 5, "axes": { "ratio": [1.0, 2.0] }, "claims": claims });
    let spec = SweepSpec::from_json(spec).unwrap();
    let plan = spec.plan().unwrap_or_else(|errors| panic!("{errors}"));
    let mut material = material();
    material.sweep.seeds = vec![0, 1, 2, 3, 4];
    let like = material.trials[0].clone();
    material.trials.clear();
    for (condition, values) in (0..).zip(accuracies) {
        for (seed, value) in (0..).zip(values) {
            let mut trial = like.clone();
            trial.id = TrialId(uuid::Uuid::from_u128(u128::from(condition) * 10 + u128::from(seed)));
            (trial.condition, trial.seed) = (condition, seed);
            trial.metrics.insert("test_accuracy".into(), value);
            material.trials.push(trial);
        }
    }
    changed(&mut material);
    verdicts(&material, &spec, &plan.conditions, &curves())
}

/// `cos_v.1` of both conditions from 0 to 0.5 + seed / 100; `cos_v.2` from 0 to 0.3.
fn curves() -> BTreeMap<String, Vec<CurveSample>> {
    let sample =
        |condition, seed, step, value| CurveSample { condition, seed, step, epoch: step as f64, value };
    let curve = |last: fn(u64) -> f64| {
        let trials = (0..2).flat_map(|condition| (0..5).map(move |seed| (condition, seed)));
        trials.flat_map(|(c, seed)| [sample(c, seed, 9, last(seed)), sample(c, seed, 0, 0.0)]).collect()
    };
    BTreeMap::from([
        ("cos_v.1".to_owned(), curve(|seed| 0.5 + seed as f64 / 100.0)),
        ("cos_v.2".to_owned(), curve(|_| 0.3)),
        ("cos_v.x".to_owned(), curve(|_| 9.0)),
    ])
}

const BASE: [f64; 5] = [0.90, 0.91, 0.92, 0.93, 0.94];
/// Better by 0.02 ± 0.001.
const BETTER: [f64; 5] = [0.921, 0.929, 0.941, 0.949, 0.96];

fn kinds(verdicts: &Verdicts) -> Vec<VerdictKind> {
    verdicts.claims.iter().map(|row| row.verdict).collect()
}

#[test]
fn groups_are_compared_on_shared_seeds() {
    use VerdictKind::{NotSupported, Supported};
    let two = json!({ "ratio": 2.0 });
    let one = json!({ "ratio": 1.0 });
    let claims = json!([
        { "text": "a", "test": "greater", "of": two, "against": one },
        { "text": "b", "test": "greater", "of": one, "against": two },
        { "text": "c", "test": "greater", "of": two, "against": one, "margin": 0.03 },
        { "text": "d", "test": "not_greater", "of": two, "against": one, "margin": 0.03 },
        { "text": "e", "test": "equivalent", "of": two, "against": one, "margin": 0.03 },
        { "text": "f", "test": "equivalent", "of": two, "against": one, "margin": 0.01 },
        { "text": "g", "test": "best", "of": two },
        { "text": "h", "test": "best", "of": one },
        { "text": "i", "test": "rises", "over": "ratio" },
        { "text": "j", "test": "falls", "over": "ratio" },
        { "text": "k", "test": "above", "level": 0.8 },
        { "text": "l", "test": "above", "level": 0.99 },
    ]);
    let found = verdicts_of(&claims, [BASE, BETTER], |_| {});
    let expected = [
        Supported,
        NotSupported,
        NotSupported,
        Supported,
        Supported,
        NotSupported,
        Supported,
        NotSupported,
        Supported,
        NotSupported,
        Supported,
        NotSupported,
    ];
    assert_eq!(kinds(&found), expected, "{found:#?}");
    assert_eq!((found.tests, found.verdict, found.complete), (12, Some(NotSupported), true));
    let row = &found.claims[0];
    assert!((row.effect.unwrap() - 0.02).abs() < 1e-12 && row.n == 5);
    // Twelve tests share the error of 5 %.
    assert!((row.interval.as_ref().unwrap().level - (1.0 - 0.05 / 12.0)).abs() < 1e-12);
    // A doubling from 1 to 2.
    assert!((found.claims[8].effect.unwrap() - 0.02).abs() < 1e-12);
    assert!(
        found.claims[7].notes[0].contains("the closest: other; 0 of 1 beaten"),
        "{:?}",
        found.claims[7].notes
    );
}

#[test]
fn noise_decides_nothing() {
    let claims = json!([{ "text": "a", "test": "rises", "over": "ratio" }, { "text": "b", "test": "best", "of": { "ratio": 2.0 } }]);
    let found = verdicts_of(&claims, [BASE, [0.95, 0.88, 0.96, 0.90, 0.94]], |_| {});
    assert_eq!(kinds(&found), [VerdictKind::Undecided; 2]);
    assert_eq!(found.verdict, Some(VerdictKind::Undecided));
}

#[test]
fn diverged_trials_count_as_the_worst_and_missing_seeds_are_told() {
    let claims =
        json!([{ "text": "a", "test": "greater", "of": { "ratio": 2.0 }, "against": { "ratio": 1.0 } }]);
    let found = verdicts_of(&claims, [BASE, BETTER], |material| {
        material.trials[9].state = TrialState::Diverged;
        material.trials[8].state = TrialState::Queued;
    });
    let row = &found.claims[0];
    assert_eq!((row.n, found.complete), (4, false));
    // Seed 4 of ratio 2 becomes the sweep's worst, 0.9: less than its partner.
    let effects = [0.021, 0.019, 0.021, 0.90 - 0.94];
    assert!((row.effect.unwrap() - effects.iter().sum::<f64>() / 4.0).abs() < 1e-12);
    assert_eq!(row.verdict, VerdictKind::Undecided);
    assert_eq!(row.notes.len(), 2, "{:?}", row.notes);
}

#[test]
fn changes_over_training_are_means_over_layers() {
    let claims = json!([
        { "text": "a", "test": "grows", "metric": "cos_v.*", "each": "ratio" },
        { "text": "b", "test": "shrinks", "metric": "cos_v.1" },
    ]);
    let found = verdicts_of(&claims, [BASE, BETTER], |_| {});
    assert_eq!(found.claims.len(), 3);
    assert_eq!(found.claims[1].group.as_deref(), Some("ratio=2"));
    assert!((found.claims[0].effect.unwrap() - (0.52 + 0.3) / 2.0).abs() < 1e-12);
    assert_eq!(found.claims[0].verdict, VerdictKind::Supported);
    assert_eq!(found.claims[2].verdict, VerdictKind::NotSupported);
    let spec = json!({ "name": "s", "axes": { "ratio": [1.0, 2.0] }, "claims": claims });
    let claims = SweepSpec::from_json(spec).unwrap().claims;
    let known = ["cos_v.1", "cos_v.2", "cos_v.x", "cos_w.1"].map(str::to_owned);
    let needed = curves_needed(&claims, "test_accuracy", &known);
    assert_eq!(needed.into_iter().collect::<Vec<_>>(), ["cos_v.1", "cos_v.2"]);
}

#[test]
fn a_sweep_without_claims_has_no_verdict() {
    assert_eq!(verdicts_of(&json!([]), [BASE, BETTER], |_| {}).verdict, None);
}
