//! The API's description as an OpenAPI document, committed as `web/openapi.json`.

use std::sync::LazyLock;

use motif_wire::problem::Problem;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// Name of the security scheme.
pub(crate) const BEARER: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Motif",
        description = "A distributed experiment-sweep service for biologically plausible learning. Times are RFC 3339 in \
                       UTC, durations are in seconds and end in `_s`, ids are UUIDv7, errors are \
                       `application/problem+json` with a stable `code`."
    ),
    components(schemas(Problem, motif_wire::system::LiveEvent)),
    modifiers(&Bearer)
)]
struct Base;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token beginning with `motif_`. Scopes: `admin` (everything), `submit` (submit, steer and read), `worker` \
                 (claims, attempts, datasets), `read`. Each operation names its scope in `x-motif-scope`.",
            ))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
}

/// Title, schemes and shared schemas, without operations.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The whole document as pretty JSON with a final newline, as it is committed.
#[must_use]
pub fn openapi_json() -> &'static str {
    &TEXT
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let document = serde_json::to_value(crate::routes::operations().1).expect("the document is plain data");
    // Through a value and sorted, so that the text does not depend on the order of hash maps.
    let mut text = serde_json::to_string_pretty(&sorted(document)).expect("a value is plain data");
    text.push('\n');
    text
});

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect::<Vec<_>>().into(),
        other => other,
    }
}
