//! The router: operations, the dashboard, and the layers around them.

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use motif_sweep::ids::Ids;
use motif_wire::problem::Problem;
use tower::ServiceBuilder;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate},
    },
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};

use crate::{
    dashboard,
    error::{self, ApiError, PendingProblem},
    limits, routes,
    state::ServerState,
};

/// Scripts, styles, images and connections come from this server alone; nothing may frame the dashboard.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'; object-src 'none'";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole service.
pub(crate) fn router(state: ServerState) -> Router {
    let secure = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    // Large curves would be compressed for longer than it takes to compute them.
    let quality = CompressionLevel::Fastest;
    let not_compressed = DefaultPredicate::new()
        .and(NotForContentType::new("application/octet-stream"))
        .and(NotForContentType::new(routes::PARQUET));
    // From the outermost to the innermost.
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(own_request_id))
        .layer(SetRequestIdLayer::new(REQUEST_ID, NewRequestId(state.ids.clone())))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(secure(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(secure(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(secure(header::REFERRER_POLICY, "no-referrer"))
        .layer(CompressionLayer::new().gzip(true).quality(quality).compress_when(not_compressed))
        .layer(middleware::from_fn_with_state(state.clone(), finish))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn_with_state(state.clone(), limited))
        .layer(Extension(state.auth.clone()));
    routes::operations()
        .0
        .method_not_allowed_fallback(method_not_allowed)
        .route("/docs", get(dashboard::docs))
        .fallback(dashboard::fallback)
        .with_state(state)
        .layer(layers)
}

async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::Method(method)
}

/// A client's request id is taken over when it is short and plain; any other is replaced.
async fn own_request_id(mut request: Request, next: Next) -> Response {
    let plain = |id: &HeaderValue| {
        let bytes = id.as_bytes();
        let ok = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !bytes.is_empty() && bytes.len() <= limits::REQUEST_ID_MAX_CHARS && bytes.iter().all(ok)
    };
    if request.headers().get(&REQUEST_ID).is_some_and(|id| !plain(id)) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    next.run(request).await
}

#[derive(Clone)]
struct NewRequestId(Ids);

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&self.0.next().to_string()).ok().map(RequestId::new)
    }
}

fn request_id(extensions: &axum::http::Extensions) -> Option<String> {
    let id = extensions.get::<RequestId>()?.header_value().to_str().ok()?;
    Some(id.to_owned())
}

/// The path without its query: a query may hold what a log should not.
fn span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    let id = request_id(request.extensions()).unwrap_or_default();
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

/// Counts the answer, and gives a problem the request's id.
async fn finish(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let id = request_id(request.extensions());
    let mut response = next.run(request).await;
    state.counters.request(&method, response.status().as_u16());
    let Some(PendingProblem(problem)) = response.extensions_mut().remove::<PendingProblem>() else {
        return response;
    };
    let problem = Problem { request_id: id, ..problem };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = Json(problem).into_response().into_body();
    Response::from_parts(parts, body)
}

/// Bounds how many requests are at work and for how long. Claims wait and streams last: they have limits of their own.
async fn limited(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let lasting = path == "/api/v1/events" || path == "/api/v1/claims" || path == "/healthz";
    let _permit = if lasting {
        None
    } else {
        let Ok(permit) = state.limits.requests.clone().try_acquire_owned() else {
            return ApiError::Busy("requests").into_response();
        };
        Some(permit)
    };
    let upload = request.method() == Method::PUT;
    let limit = if upload { limits::UPLOAD_TIMEOUT } else { limits::REQUEST_TIMEOUT };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout.into_response(),
    }
}
