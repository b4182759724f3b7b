//! One file per noun; a handler's name is its operation's id. A route exists only together with what it asks of a
//! token: [`Api::operation`] is the one way to register it.

#![expect(unused_qualifications, reason = "utoipa's macros qualify the names of query parameters")]

mod attempts;
mod checkpoints;
mod claims;
mod control;
mod datasets;
mod effects;
mod events;
mod export;
mod presets;
mod schemas;
mod snapshots;
mod statistics;
mod sweeps;
mod system;
mod tokens;
mod trials;
mod verdicts;
mod verification;
mod workers;

use axum::{Router, middleware};
use utoipa::openapi::{
    Content, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    extensions::Extensions,
    path::{Operation, PathItem},
    security::SecurityRequirement,
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt},
    routes,
};

pub(crate) use export::PARQUET;

use crate::{
    auth::{self, Access},
    openapi,
    state::ServerState,
};

pub(crate) use statistics::material;

/// Collects operations, each with its access.
struct Api(OpenApiRouter<ServerState>);

impl Api {
    /// Registers handlers behind a check of `access`, and says so in their documentation.
    fn operation(self, access: Access, mut handlers: UtoipaMethodRouter<ServerState>) -> Self {
        for item in handlers.1.paths.values_mut() {
            for operation in operations_mut(item) {
                document_access(operation, access);
            }
        }
        let check = middleware::from_fn(move |request, next| auth::check(access, request, next));
        Self(self.0.routes(handlers.layer(check)))
    }
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

fn document_access(operation: &mut Operation, access: Access) {
    let mut add = |status: &str, description: &str| {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem_response(description)));
    };
    add("429", "Too many requests at once; `retry-after` says when to try again.");
    add("500", "A fault of the server.");
    add("503", "The store cannot be used at the moment; nothing was changed.");
    let Some(scope) = access.scope() else {
        operation.security = Some(Vec::new());
        return;
    };
    add("401", "No token, or one that is unknown or revoked.");
    add("403", &format!("The token lacks the scope `{scope}`."));
    operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(openapi::BEARER, [])]);
    let name = Extensions::from_iter([("x-motif-scope", scope)]);
    operation.extensions.get_or_insert_default().merge(name);
}

fn problem_response(description: &str) -> Response {
    let content: Content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new()
        .description(description)
        .content(motif_wire::problem::PROBLEM_MEDIA_TYPE, content)
        .build()
}

/// Problems as responses in the documentation: `problems!(Name = status, "when")`.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $when:literal;)*) => { $(
        $(#[$doc])*
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, RefOr<Response>> {
                [($status.to_owned(), RefOr::T(problem_response($when)))].into()
            }
        }
    )* };
}

problems! {
    /// 400.
    BadParameter = "400", "A parameter or the body is not what is expected; `errors` names it.";
    /// 404.
    NoSuch = "404", "There is no such thing.";
    /// 409 for leases.
    Stale = "409", "The lease is stale (`stale_lease`: stop and drop the output), or the request contradicts what is stored (`conflict`).";
    /// 409.
    Contradiction = "409", "The request contradicts what is stored.";
    /// 413.
    TooLarge = "413", "The body is too large.";
    /// 422.
    Invalid = "422", "The body breaks a rule; `errors` names each field, its value and what would be right.";
    /// 426.
    OtherProtocol = "426", "The worker speaks another protocol version; `detail` says which side to update.";
}

/// Every operation, without state.
pub(crate) fn operations() -> (Router<ServerState>, OpenApi) {
    use Access::{Admin, Open, Read, ReadOrWorker, Submit, Worker};
    let api = Api(OpenApiRouter::with_openapi(openapi::base()))
        .operation(Submit, routes!(sweeps::sweep_submit))
        .operation(Read, routes!(sweeps::sweep_list))
        .operation(Read, routes!(sweeps::sweep_get))
        .operation(Submit, routes!(sweeps::sweep_pause))
        .operation(Submit, routes!(sweeps::sweep_resume))
        .operation(Submit, routes!(sweeps::sweep_cancel))
        .operation(Submit, routes!(sweeps::sweep_retry))
        .operation(Submit, routes!(control::sweep_amend))
        .operation(Submit, routes!(control::sweep_priority))
        .operation(Read, routes!(control::sweep_holes))
        .operation(Submit, routes!(control::sweep_holes_run))
        .operation(Submit, routes!(verification::sweep_verify))
        .operation(Read, routes!(verification::sweep_verification))
        .operation(Read, routes!(trials::sweep_trials))
        .operation(Read, routes!(trials::trial_get))
        .operation(Read, routes!(trials::trial_metrics))
        .operation(Read, routes!(trials::trial_attempts))
        .operation(Read, routes!(snapshots::trial_snapshots))
        .operation(Read, routes!(snapshots::trial_snapshot_content))
        .operation(Read, routes!(statistics::sweep_summary))
        .operation(Read, routes!(statistics::sweep_comparisons))
        .operation(Read, routes!(statistics::sweep_curves))
        .operation(Read, routes!(effects::sweep_anova))
        .operation(Read, routes!(effects::sweep_importance))
        .operation(Read, routes!(statistics::sweep_ledger))
        .operation(Read, routes!(statistics::sweep_leaderboard))
        .operation(Read, routes!(verdicts::sweep_verdicts))
        .operation(Read, routes!(export::sweep_export))
        .operation(Read, routes!(workers::worker_list))
        .operation(Read, routes!(presets::preset_list))
        .operation(ReadOrWorker, routes!(datasets::dataset_list))
        .operation(ReadOrWorker, routes!(datasets::dataset_get))
        .operation(Submit, routes!(datasets::dataset_put))
        .operation(ReadOrWorker, routes!(datasets::dataset_content))
        .operation(Read, routes!(events::event_stream))
        .operation(Admin, routes!(tokens::token_list))
        .operation(Admin, routes!(tokens::token_create))
        .operation(Admin, routes!(tokens::token_revoke))
        .operation(Worker, routes!(claims::claim_create))
        .operation(Worker, routes!(attempts::attempt_heartbeat))
        .operation(Worker, routes!(attempts::attempt_metrics))
        .operation(Worker, routes!(attempts::attempt_complete))
        .operation(Worker, routes!(checkpoints::attempt_checkpoint_save))
        .operation(Worker, routes!(checkpoints::attempt_checkpoint_content))
        .operation(Worker, routes!(checkpoints::attempt_resume))
        .operation(Worker, routes!(snapshots::attempt_snapshot_save))
        .operation(Worker, routes!(attempts::attempt_fail))
        .operation(Worker, routes!(attempts::attempt_release))
        .operation(Open, routes!(schemas::schema_sweep))
        .operation(Open, routes!(schemas::schema_trial))
        .operation(Open, routes!(system::healthz))
        .operation(Open, routes!(system::readyz))
        .operation(Read, routes!(system::metrics))
        .operation(Read, routes!(system::openapi_document));
    api.0.split_for_parts()
}
