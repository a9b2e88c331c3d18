use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use http::Method;
use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ComponentsBuilder, ContentBuilder, Info, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::access::{Costly, Grant, Matrix, Row};
use super::guard::{Guard, guard};
use super::parameters::Parameters;
use super::problem::{FieldProblem, ProblemBody};
use crate::Verifier;

/// The version of the API that documents name; it is the one in the gateway's prefixes.
const VERSION: &str = "1";

/// The routes of a service, each behind its row of the matrix, together with their document.
pub struct Api<S> {
    service: &'static str,
    matrix: Matrix,
    verifier: Arc<Verifier>,
    router: OpenApiRouter<S>,
    seen: BTreeSet<(String, String)>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// No routes yet.
    pub fn new(service: &'static str, matrix: &Matrix, verifier: Arc<Verifier>) -> Self {
        Self {
            service,
            matrix: matrix.clone(),
            verifier,
            router: OpenApiRouter::with_openapi(blank(service)),
            seen: BTreeSet::new(),
        }
    }

    /// Adds the handlers of one path: `utoipa_axum::routes!(get_user, put_user)`.
    ///
    /// # Panics
    /// Where a route has no row in the matrix: a defect that every test that builds the service finds.
    pub fn routes(mut self, (schemas, mut paths, handlers): UtoipaMethodRouter<S>) -> Self {
        let (path, rows) = self.rows_of(&mut paths);
        let parameters = Parameters::of(paths.paths.values_mut().flat_map(operations));
        paths.paths.values_mut().flat_map(operations).for_each(|(method, operation)| {
            let row = rows.iter().find(|row| row.method == method);
            let open = row.is_some_and(|row| row.grants.contains(&Grant::Anyone));
            document_refusals(operation, open, row);
            document_login(operation, open);
        });
        let guarded = handlers.route_layer(axum::middleware::from_fn_with_state(
            Guard {
                service: self.service,
                path: path.into(),
                rows: rows.into(),
                parameters,
                verifier: self.verifier.clone(),
            },
            guard,
        ));
        self.router = self.router.routes((schemas, paths, guarded));
        self
    }

    fn rows_of(&mut self, paths: &mut Paths) -> (String, Vec<Row>) {
        let mut rows = Vec::new();
        let mut template = String::new();
        for (path, item) in &mut paths.paths {
            template.clone_from(path);
            for (method, _) in operations(item) {
                let row = self.matrix.rows().iter().find(|row| row.method == method && row.path == *path);
                let row = row.unwrap_or_else(|| {
                    panic!("{method} {path} of {} has no row in access.toml", self.service)
                });
                rows.push(row.clone());
                self.seen.insert((method.to_string(), path.clone()));
            }
        }
        (template, rows)
    }

    /// The router and its document.
    ///
    /// # Panics
    /// Where a row of the matrix has no route.
    pub fn build(self, state: S) -> (Router, OpenApi) {
        for row in self.matrix.rows() {
            let known = self.seen.contains(&(row.method.to_string(), row.path.clone()));
            assert!(
                known,
                "{} {} of {} is in access.toml and has no route",
                row.method, row.path, self.service
            );
        }
        let (router, document) = self.router.split_for_parts();
        (router.with_state(state), document)
    }
}

/// A document without routes: what every refusal looks like is in it from the start.
fn blank(service: &str) -> OpenApi {
    let mut document = OpenApi::new(Info::new(service, VERSION), Paths::new());
    let components = ComponentsBuilder::new().schema_from::<ProblemBody>().schema_from::<FieldProblem>();
    document.components = Some(components.build());
    document
}

/// Adds what the guard, the extractors and the edge can answer to any operation, where the operation does not say it itself.
fn document_refusals(operation: &mut Operation, open_to_anyone: bool, row: Option<&Row>) {
    let (costly, text) = row.map_or((Costly::Never, false), |row| (row.costly, row.text));
    let mut refusals = vec![
        ("401", "`invalid_token`; without a token `unauthenticated`, unless anyone may"),
        ("default", "Every other refusal; see the codes of ProblemBody"),
    ];
    if !open_to_anyone {
        refusals.push(("403", "`role_required`"));
    }
    match costly {
        Costly::Never => {}
        Costly::Always => {
            refusals.push(("429", "`too_many_requests`: this route is costly; `Retry-After` says when again"))
        }
        Costly::WithContent => refusals.push((
            "429",
            "`too_many_requests`: lists with content are costly; `Retry-After` says when again",
        )),
    }
    if operation.request_body.is_some() {
        refusals.extend([
            ("400", "`malformed_json`, `malformed_body`, `malformed_query`"),
            (
                "413",
                if text {
                    "`body_too_large`: over 3 MiB, unpacked"
                } else {
                    "`body_too_large`: over 1 MiB, unpacked"
                },
            ),
            ("415", "`unsupported_media_type`, `unsupported_encoding`"),
            ("422", "`invalid`: `errors` names every fault by a JSON pointer; `unknown_parameter`"),
        ]);
    } else {
        refusals.extend([
            ("400", "`malformed_query`: the query is not UTF-8"),
            (
                "422",
                "`unknown_parameter`: the query has a name that this route does not know; `errors` names it",
            ),
        ]);
    }
    for (status, sentence) in refusals {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
            let schema = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build();
            let refusal = ResponseBuilder::new().description(sentence);
            RefOr::T(refusal.content("application/problem+json", schema).build())
        });
    }
}

/// Says that a token may come along where anyone may call: many answers are fuller then. Where one must, the operation says it.
fn document_login(operation: &mut Operation, open_to_anyone: bool) {
    if open_to_anyone && operation.security.is_none() {
        let nobody = SecurityRequirement::default();
        let somebody = SecurityRequirement::new("bearer", std::iter::empty::<&str>());
        operation.security = Some(vec![nobody, somebody]);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}
