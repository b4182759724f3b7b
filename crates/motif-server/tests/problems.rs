//! Bad input: the answer names the field, the value and what would be right.

use motif_testkit::{TestApp, build};
use motif_wire::{
    problem::{Problem, ProblemCode},
    system::Scope,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

struct Case {
    what: &'static str,
    body: String,
    status: StatusCode,
    code: ProblemCode,
    field: &'static str,
    value: Option<&'static str>,
    suggestion: Option<&'static str>,
}

fn check(case: &Case, problem: &Problem) {
    let Case { what, .. } = case;
    assert_eq!(problem.code, case.code, "{what}: {problem:?}");
    assert_eq!(problem.kind, "about:blank");
    let error = problem.errors.iter().find(|error| error.field == case.field);
    let error = error.unwrap_or_else(|| panic!("{what}: no error of {:?} in {problem:?}", case.field));
    assert_eq!(error.value.as_deref(), case.value, "{what}: {error:?}");
    assert_eq!(error.suggestion.as_deref(), case.suggestion, "{what}: {error:?}");
    assert!(!error.message.is_empty());
    assert!(!problem.detail.contains(&error.message), "{what}: the same text twice: {problem:?}");
}

fn spec(change: impl FnOnce(&mut Value)) -> String {
    let mut spec = build::sweep("bad", 2);
    change(&mut spec);
    spec.to_string()
}

#[tokio::test]
async fn a_bad_spec_is_refused_with_what_would_be_right() {
    const RULE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    let case = |what, body, field, value, suggestion| Case {
        what,
        body,
        status: RULE,
        code: ProblemCode::InvalidSpec,
        field,
        value,
        suggestion,
    };
    let cases = [
        case("a key with a typing error", spec(|s| s["sedes"] = json!(3)), "sedes", None, Some("seeds")),
        case(
            "a trial's key with a typing error",
            spec(|s| s["trial"]["epoch"] = json!(3)),
            "trial.epoch",
            None,
            Some("epochs"),
        ),
        case(
            "a rule with a typing error",
            spec(|s| s["axes"] = json!({"rule": ["bp", "saal"]})),
            "axes.rule[1]",
            Some("\"saal\""),
            Some("sal"),
        ),
        case(
            "a number out of range",
            spec(|s| s["trial"]["epochs"] = json!(0)),
            "trial.epochs",
            Some("0"),
            None,
        ),
        case(
            "an unknown dataset",
            spec(|s| s["trial"]["dataset"] = json!("glyps")),
            "trial.dataset",
            Some("\"glyps\""),
            Some("glyphs"),
        ),
        case(
            "an unknown dataset in an axis",
            spec(|s| {
                s["axes"] = json!({"dataset": ["glyphs", "glyps"], "rule": ["bp", "sal"]});
                s["baseline"] = json!({"dataset": "glyphs", "rule": "bp"});
            }),
            "axes.dataset",
            Some("\"glyps\""),
            Some("glyphs"),
        ),
        case(
            "a required label that is none",
            spec(|s| s["requires"] = json!({"labels": ["gpu", "big gpu"]})),
            "requires.labels[1]",
            Some("\"big gpu\""),
            None,
        ),
        case(
            "a key of what is required with a typing error",
            spec(|s| s["requires"] = json!({"lables": ["gpu"]})),
            "requires.lables",
            None,
            Some("labels"),
        ),
        case(
            "a required size that is none",
            spec(|s| s["requires"] = json!({"memory": "plenty"})),
            "requires.memory",
            Some("\"plenty\""),
            None,
        ),
        case(
            "an exclude that leaves nothing out",
            spec(|s| s["exclude"] = json!([{"ratio": 77}])),
            "exclude[0]",
            None,
            None,
        ),
    ];
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    for case in cases {
        let request = caller.request(Method::POST, "/api/v1/sweeps").body(case.body.clone());
        let problem = caller.refused(request, case.status).await;
        check(&case, &problem);
    }
    let page: Value = caller.get("/api/v1/sweeps").await;
    assert_eq!(page["items"], json!([]), "nothing was stored");
}

#[tokio::test]
async fn a_bad_body_is_refused_with_the_path_of_the_field() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let claim = |change: fn(&mut Value)| {
        let mut body = serde_json::to_value(app.worker("w").claim_request(1, 0)).unwrap();
        change(&mut body);
        body.to_string()
    };
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let case = |what, body, field, value, suggestion| {
        let code = ProblemCode::MalformedBody;
        Case { what, body, status: BAD, code, field, value, suggestion }
    };
    let cases = [
        case("no body", String::new(), "", None, None),
        case("no JSON", "{".into(), "", None, None),
        case("an unknown key", claim(|c| c["maks"] = json!(1)), "maks", Some("1"), Some("max")),
        case(
            "an unknown key inside",
            claim(|c| c["worker"]["hots"] = json!("x")),
            "worker.hots",
            Some("\"x\""),
            Some("host"),
        ),
        case("a wrong type", claim(|c| c["max"] = json!("many")), "max", Some("\"many\""), None),
        case(
            "a missing key",
            claim(|c| {
                c.as_object_mut().unwrap().remove("secret");
            }),
            "secret",
            None,
            None,
        ),
        case("too few", claim(|c| c["max"] = json!(0)), "max", Some("0"), None),
        case("too patient", claim(|c| c["wait_s"] = json!(31)), "wait_s", Some("31"), None),
        case(
            "a bad label",
            claim(|c| c["worker"]["labels"] = json!(["gpu", "a b"])),
            "worker.labels[1]",
            Some("a b"),
            None,
        ),
        case(
            "too many labels",
            claim(|c| c["worker"]["labels"] = (0..33).map(|n| n.to_string()).collect()),
            "worker.labels",
            Some("33"),
            None,
        ),
        case(
            "no memory",
            claim(|c| c["worker"]["memory_bytes"] = json!(0)),
            "worker.memory_bytes",
            Some("0"),
            None,
        ),
        case("a short secret", claim(|c| c["secret"] = json!("abc")), "secret", None, None),
    ];
    for case in cases {
        let request = admin.request(Method::POST, "/api/v1/claims").body(case.body.clone());
        let problem = admin.refused(request, case.status).await;
        check(&case, &problem);
    }
    let request =
        admin.request(Method::POST, "/api/v1/claims").body(claim(|c| c["worker"]["protocol"] = json!(99)));
    let problem = admin.refused(request, StatusCode::UPGRADE_REQUIRED).await;
    assert_eq!(problem.code, ProblemCode::ProtocolMismatch);
    assert!(
        problem.detail.contains("protocol 99") && problem.detail.contains("server"),
        "{}",
        problem.detail
    );
}

#[tokio::test]
async fn a_bad_parameter_is_refused_by_name() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let sweep = admin.submit(&build::sweep("p", 1)).await.row.id;
    let cases = [
        ("/api/v1/sweeps?limt=2".to_owned(), "limt", Some("2"), Some("limit")),
        ("/api/v1/sweeps?limit=0".to_owned(), "limit", Some("0"), None),
        ("/api/v1/sweeps?limit=x".to_owned(), "limit", Some("x"), None),
        ("/api/v1/sweeps?limit=1&limit=2".to_owned(), "limit", Some("2"), None),
        ("/api/v1/sweeps?cursor=zzz".to_owned(), "cursor", Some("zzz"), None),
        ("/api/v1/sweeps/nonsense".to_owned(), "id", Some("nonsense"), None),
        (format!("/api/v1/sweeps/{sweep}/trials?state=done"), "state", Some("done"), None),
        (format!("/api/v1/sweeps/{sweep}/trials?state=faild"), "state", Some("faild"), Some("failed")),
        (
            format!("/api/v1/sweeps/{sweep}/summary?metric=test_acuracy"),
            "metric",
            Some("test_acuracy"),
            Some("test_accuracy"),
        ),
        (format!("/api/v1/sweeps/{sweep}/summary?diverged=ignore"), "diverged", Some("ignore"), None),
        (format!("/api/v1/sweeps/{sweep}/curves?diverged=wort"), "diverged", Some("wort"), Some("worst")),
        (format!("/api/v1/sweeps/{sweep}/export?format=xml"), "format", Some("xml"), None),
        (format!("/api/v1/sweeps/{sweep}/export?format=parket"), "format", Some("parket"), Some("parquet")),
        (format!("/api/v1/sweeps/{sweep}/export?shape=lon"), "shape", Some("lon"), Some("long")),
        (format!("/api/v1/sweeps/{sweep}/export?format=json&shape=long"), "shape", Some("long"), None),
        (format!("/api/v1/sweeps/{sweep}/ledger?x=1"), "x", Some("1"), None),
        ("/api/v1/events?sweep=1".to_owned(), "sweep", Some("1"), None),
    ];
    for (path, field, value, suggestion) in cases {
        let problem = admin.refused(admin.request(Method::GET, &path), StatusCode::BAD_REQUEST).await;
        assert_eq!(problem.code, ProblemCode::BadParameter, "{path}");
        let error = &problem.errors[0];
        let found = (error.field.as_str(), error.value.as_deref(), error.suggestion.as_deref());
        assert_eq!(found, (field, value, suggestion), "{path}: {error:?}");
        assert_eq!(problem.detail, "a parameter is wrong: 1 error", "{path}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_document_too() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = "0190a000-0000-7000-8000-000000000000";
    for path in [
        "/api/v1/nonsense".to_owned(),
        "/api".to_owned(),
        format!("/api/v1/sweeps/{id}"),
        format!("/api/v1/sweeps/{id}/trials"),
        format!("/api/v1/sweeps/{id}/summary"),
        format!("/api/v1/trials/{id}"),
        format!("/api/v1/trials/{id}/metrics"),
        "/api/v1/datasets/nothing".to_owned(),
        format!("/api/v1/datasets/{}/content", "0".repeat(64)),
        "/nothing.js".to_owned(),
    ] {
        let problem = admin.refused(admin.request(Method::GET, &path), StatusCode::NOT_FOUND).await;
        assert_eq!(problem.code, ProblemCode::NotFound, "{path}");
    }
    for (method, path) in
        [(Method::DELETE, "/api/v1/sweeps"), (Method::POST, "/"), (Method::PUT, "/api/v1/claims")]
    {
        let problem = admin.refused(admin.request(method, path), StatusCode::METHOD_NOT_ALLOWED).await;
        assert_eq!(problem.code, ProblemCode::MethodNotAllowed, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let body = vec![b' '; motif_server::limits::JSON_BODY_MAX_BYTES + 1];
    let request = admin.request(Method::POST, "/api/v1/claims").body(body);
    let problem = admin.refused(request, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(problem.code, ProblemCode::TooLarge);
    assert!(problem.detail.contains("8388608"), "{}", problem.detail);
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused() {
    let app = TestApp::start().await;
    let submit = app.with(Scope::Submit);
    for path in ["/api/v1/sweeps", "/api/v1/tokens"] {
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "text/json;charset=utf-8", "jso"]
        {
            let request =
                app.admin().request(Method::POST, path).header("content-type", media_type).body("{}");
            let problem = submit.refused(request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
            assert_eq!(problem.code, ProblemCode::UnsupportedMediaType);
            assert!(problem.detail.contains(media_type), "{}", problem.detail);
        }
    }
    for media_type in ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
    {
        let body = build::sweep("typed", 1).to_string();
        let request =
            submit.request(Method::POST, "/api/v1/sweeps").header("content-type", media_type).body(body);
        assert_eq!(submit.send(request).await.status(), StatusCode::CREATED, "{media_type}");
    }
}

#[tokio::test]
async fn a_key_given_twice_is_refused_by_name() {
    let app = TestApp::start().await;
    let submit = app.with(Scope::Submit);
    let cases = [
        (r#"{"name": "a", "seeds": 2, "name": "b"}"#, "name", "\"b\""),
        (r#"{"name": "a", "trial": {"epochs": 1, "epochs": 2}}"#, "trial.epochs", "2"),
        (r#"{"name": "a", "arms": [{}, {"ratio": 1, "ratio": 3}]}"#, "arms[1].ratio", "3"),
    ];
    for (body, field, value) in cases {
        let request = submit.request(Method::POST, "/api/v1/sweeps").body(body);
        let problem = submit.refused(request, StatusCode::BAD_REQUEST).await;
        let error = &problem.errors[0];
        assert_eq!((error.field.as_str(), error.value.as_deref()), (field, Some(value)), "{error:?}");
        assert!(error.message.contains("twice"), "{error:?}");
    }
}

#[tokio::test]
async fn what_asks_for_more_than_the_dataset_has_is_refused() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let entry = app.library.resolve("glyphs").unwrap().unwrap();
    let (train, test) = (entry.summary.train_examples, entry.summary.test_examples);
    type Change = fn(&mut Value, usize);
    let side = entry.summary.height.min(entry.summary.width) - 1;
    let changes: [(&str, usize, Change); 8] = [
        ("trial.train_limit", train, |s, n| s["trial"]["train_limit"] = json!(n)),
        ("axes.test_limit", test, |s, n| s["axes"] = json!({"rule": ["bp", "sal"], "test_limit": [7, n]})),
        ("arms[0].train_limit", train, |s, n| s["arms"] = json!([{"label": "x", "train_limit": n}])),
        ("trial.train_limit", train - 100, |s, n| {
            s["metric"] = json!("validation_accuracy");
            s["trial"]["validation"] = json!(100);
            s["trial"]["train_limit"] = json!(n);
        }),
        ("arms[0].validation", train - 1, |s, n| {
            let trial = s["trial"].as_object_mut().unwrap();
            trial.remove("train_limit");
            s["arms"] = json!([{"label": "x", "validation": n}]);
        }),
        ("trial.augment.shift", side, |s, n| s["trial"]["augment"] = json!({"shift": n, "flip": true})),
        ("axes.augment.shift", side, |s, n| s["axes"] = json!({"augment.shift": [0, n]})),
        ("arms[0].augment.shift", side, |s, n| {
            s["arms"] =
                json!([{"label": "x", "augment": {"shift": n}}, {"label": "y", "augment.flip": true}]);
        }),
    ];
    for (field, size, change) in changes {
        let limited = |limit| {
            let body = spec(|s| {
                s.as_object_mut().unwrap().remove("baseline");
                change(s, limit);
            });
            caller.request(Method::POST, "/api/v1/sweeps").body(body)
        };
        let problem = caller.refused(limited(size + 1), StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.code, ProblemCode::InvalidSpec);
        assert_eq!(problem.errors.len(), 1, "{problem:?}");
        let error = &problem.errors[0];
        let value = (size + 1).to_string();
        assert_eq!((error.field.as_str(), error.value.as_deref()), (field, Some(value.as_str())));
        assert!(error.message.contains(&format!("{size}")), "{error:?}");
        assert_eq!(caller.send(limited(size)).await.status(), StatusCode::CREATED, "{field}: all of them");
    }
}

#[tokio::test]
async fn a_trial_that_cannot_fit_into_memory_is_refused() {
    const MOST_BYTES: u64 = 256 << 20;
    let app = TestApp::start_with(|options| options.trial_memory_max_bytes = MOST_BYTES).await;
    let caller = app.with(Scope::Submit);
    type Change = fn(&mut Value);
    let cases: [(&str, &str, Change); 4] = [
        ("trial.hidden", "[9000,9000]", |s| s["trial"]["hidden"] = json!([9000, 9000])),
        ("axes.ratio", "90.0", |s| {
            s["trial"]["hidden"] = json!([400, 300]);
            s["axes"] = json!({"rule": ["sal"], "ratio": [1, 90]});
        }),
        ("arms[1].batch_size", "60000", |s| {
            s["trial"]["hidden"] = json!([700]);
            s["arms"] = json!([{"label": "x", "epochs": 2}, {"label": "y", "batch_size": 60_000}]);
        }),
        // Beyond what any machine has: no number overflows.
        ("arms[0].hidden", "[16384", |s| {
            s["arms"] = json!([{"label": "x", "hidden": vec![16_384; 64], "ratio": 100, "momentum": 0.9}]);
        }),
    ];
    for (field, value, change) in cases {
        let body = spec(|s| {
            s.as_object_mut().unwrap().remove("baseline");
            s["trial"].as_object_mut().unwrap().remove("train_limit");
            change(s);
        });
        let request = caller.request(Method::POST, "/api/v1/sweeps").body(body);
        let problem = caller.refused(request, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.code, ProblemCode::InvalidSpec);
        let error = problem.errors.iter().find(|error| error.field == field);
        let error = error.unwrap_or_else(|| panic!("no error of {field} in {problem:?}"));
        assert!(error.value.as_ref().is_some_and(|found| found.starts_with(value)), "{error:?}");
        for part in
            ["would need about ", "iB of memory beside its examples (", "at most 256.0 MiB (268435456 bytes)"]
        {
            assert!(error.message.contains(part), "no {part:?} in {error:?}");
        }
    }
    let page: Value = caller.get("/api/v1/sweeps").await;
    assert_eq!(page["items"], json!([]), "nothing was stored");
    caller.submit(&build::sweep("small", 1)).await;

    // What is said to fit does.
    let sweep = |width: &Value| spec(|s| s["trial"]["hidden"] = json!([width, width]));
    let request = caller.request(Method::POST, "/api/v1/sweeps").body(sweep(&json!(9000)));
    let problem = caller.refused(request, StatusCode::UNPROCESSABLE_ENTITY).await;
    let fitting = |message: &str| message.split("at most ").last()?.split(' ').next()?.parse::<u64>().ok();
    let fits = problem.errors.iter().filter_map(|error| fitting(&error.message)).min().unwrap();
    let request = caller.request(Method::POST, "/api/v1/sweeps").body(sweep(&json!(fits)));
    assert_eq!(caller.send(request).await.status(), StatusCode::CREATED, "{fits}");
}
