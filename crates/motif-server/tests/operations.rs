//! Every operation of the OpenAPI document: its access, and that the committed document is the present one.

use std::collections::BTreeMap;

use motif_testkit::TestApp;
use motif_wire::{problem::ProblemCode, system::Scope};
use reqwest::{Method, StatusCode};
use serde_json::Value;

struct Operation {
    id: String,
    method: Method,
    path: String,
    scope: Option<String>,
}

fn operations() -> Vec<Operation> {
    let document: Value =
        serde_json::from_str(motif_server::openapi_json()).expect("the document is well formed");
    let paths: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_value(document["paths"].clone()).expect("the document is well formed");
    let mut operations = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods {
            let path = path.replace("{id}", "0190a000-0000-7000-8000-000000000000").replace("{name}", "x");
            operations.push(Operation {
                id: operation["operationId"].as_str().expect("the document is well formed").to_owned(),
                method: Method::from_bytes(method.to_uppercase().as_bytes())
                    .expect("the document is well formed"),
                path: path.replace("{hash}", &"0".repeat(64)),
                scope: operation["x-motif-scope"].as_str().map(str::to_owned),
            });
        }
    }
    assert!(operations.len() >= 36, "{} operations", operations.len());
    operations
}

#[tokio::test]
async fn without_a_token_every_operation_but_health_and_schemas_is_refused() {
    let app = TestApp::start().await;
    let unknown = format!("motif_{}", "0".repeat(64));
    for operation in operations() {
        for token in [None, Some("motif_"), Some(unknown.as_str()), Some("other")] {
            let caller = app.with_token(token);
            let request = caller.request(operation.method.clone(), &operation.path);
            if operation.scope.is_none() {
                let open = ["healthz", "readyz", "schema_sweep", "schema_trial"];
                assert!(open.contains(&operation.id.as_str()), "{} is open", operation.id);
                assert_eq!(caller.send(request).await.status(), StatusCode::OK);
                continue;
            }
            let response = caller.send(request.try_clone().unwrap()).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{} with {token:?}", operation.id);
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
            let problem = caller.refused(request, StatusCode::UNAUTHORIZED).await;
            assert_eq!(problem.code, ProblemCode::Unauthorized);
        }
    }
}

#[tokio::test]
async fn an_editor_gets_the_schemas_without_a_token() {
    let app = TestApp::start().await;
    let caller = app.with_token(None);
    for (name, schema) in [("sweep", motif_sweep::schema::sweep()), ("trial", motif_sweep::schema::trial())] {
        let response = caller.send(caller.request(Method::GET, &format!("/api/v1/schema/{name}.json"))).await;
        assert_eq!(response.headers()["content-type"], "application/schema+json");
        assert_eq!(&response.json::<Value>().await.unwrap(), schema);
    }
}

/// The scopes that let an operation through, by its declared scope.
fn is_allowed(operation: &Operation, scope: Scope) -> bool {
    let datasets = operation.id.starts_with("dataset_") && operation.scope.as_deref() == Some("read");
    match scope {
        Scope::Admin => true,
        Scope::Submit => matches!(operation.scope.as_deref(), None | Some("read" | "submit")),
        Scope::Read => matches!(operation.scope.as_deref(), None | Some("read")),
        Scope::Worker => matches!(operation.scope.as_deref(), None | Some("worker")) || datasets,
    }
}

#[tokio::test]
async fn a_token_does_what_its_scope_says_and_nothing_else() {
    let app = TestApp::start().await;
    for operation in operations().into_iter().filter(|operation| operation.id != "event_stream") {
        for scope in [Scope::Admin, Scope::Submit, Scope::Worker, Scope::Read] {
            let caller = app.with(scope);
            let request = caller.request(operation.method.clone(), &operation.path);
            if is_allowed(&operation, scope) {
                let status = caller.send(request).await.status();
                let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
                assert!(!refused && !status.is_server_error(), "{} with {scope:?}: {status}", operation.id);
            } else {
                let problem = caller.refused(request, StatusCode::FORBIDDEN).await;
                let named = format!("`{}`", operation.scope.as_deref().unwrap());
                assert!(problem.detail.contains(&named), "{}: {}", operation.id, problem.detail);
            }
        }
    }
}

#[test]
fn only_reads_are_open_to_a_read_token() {
    for operation in operations() {
        let reads = operation.method == Method::GET;
        let scope = operation.scope.as_deref();
        assert!(reads || scope.is_some_and(|scope| scope != "read"), "{} changes things", operation.id);
    }
}

#[test]
fn the_committed_document_is_the_present_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == motif_server::openapi_json(),
        "web/openapi.json is stale; renew it with\n    cargo run -p motif-server --example openapi > web/openapi.json"
    );
}
