//! Which swept keys matter, and which interval a mean has, over real HTTP.

use motif_testkit::{TestApp, build};
use motif_wire::{
    effects::{Anova, EffectKind, Importance, ImportanceMethod},
    statistics::Summary,
    system::Scope,
};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn a_grid_is_analysed_and_its_keys_are_ranked() {
    let app = TestApp::start().await;
    let mut spec = build::sweep("grid", 3);
    spec["axes"] = json!({ "ratio": [1.0, 2.0, 4.0], "x": [0.1, 0.2] });
    spec["derive"] = json!({ "rates.v": "rates.w * x" });
    spec["arms"] = json!([{ "label": "arm", "rule": "bp" , "rates.v": 0.1 }]);
    spec["baseline"] = json!({ "label": "arm" });
    let sweep = app.with(Scope::Submit).submit(&spec).await;
    let path = format!("/api/v1/sweeps/{}", sweep.row.id);
    let reader = app.with(Scope::Read);
    let early: Anova = reader.get(&format!("{path}/anova")).await;
    assert!(early.refused.unwrap().contains("its cell is empty") && early.rows.is_empty());
    let early: Importance = reader.get(&format!("{path}/importance")).await;
    assert!(early.refused.is_some() && early.rows.is_empty() && early.r_squared.is_none());

    let worker = app.worker("w1");
    loop {
        let leases = worker.claim(10).await;
        if leases.is_empty() {
            break;
        }
        for lease in leases {
            let (ratio, seed) = (lease.config["ratio"].as_f64().unwrap(), lease.seed as f64);
            let noise = ((lease.seed * 7 + (ratio * 3.0) as u64) % 5) as f64 * 0.001;
            let accuracy = 0.5 + 0.1 * ratio + 0.01 * seed + noise;
            worker.complete(&lease, &[("test_accuracy", accuracy), ("test_loss", 1.0 - accuracy)]).await;
        }
    }
    let anova: Anova = reader.get(&format!("{path}/anova?metric=test_loss")).await;
    assert_eq!((&anova.refused, anova.n, anova.seeds.len()), (&None, 18, 3));
    let kinds: Vec<_> = anova.rows.iter().map(|row| (row.kind, row.factors.join("×"))).collect();
    assert_eq!(kinds[1..3], [(EffectKind::Main, "ratio".to_owned()), (EffectKind::Main, "x".to_owned())]);
    assert!(anova.rows[1].p.unwrap() < 1e-6 && anova.rows[1].eta_sq.unwrap() > 0.9, "{anova:?}");
    let importance: Importance = reader.get(&format!("{path}/importance")).await;
    assert_eq!(
        (importance.method, importance.rows[0].name.as_str()),
        (Some(ImportanceMethod::Anova), "ratio")
    );
    assert!(importance.rows[0].share > 0.99 && importance.r_squared.unwrap() > 0.9, "{importance:?}");

    let summary: Summary = reader.get(&format!("{path}/summary?interval=bca")).await;
    let interval = summary.conditions[0].interval.as_ref().unwrap();
    assert_eq!((interval.method.as_str(), interval.resamples), ("bca_bootstrap", Some(10_000)));
    for (query, field) in [
        ("anova?metric=test_acuracy", "metric"),
        ("importance?seeds=1", "seeds"),
        ("summary?interval=z", "interval"),
    ] {
        let request = reader.request(Method::GET, &format!("{path}/{query}"));
        let problem = reader.refused(request, StatusCode::BAD_REQUEST).await;
        assert_eq!(problem.errors[0].field, field, "{problem:?}");
    }
}
