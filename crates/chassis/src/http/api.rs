//! The routes of a service behind their guards, and the OpenAPI document of these routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use http::Method;
use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ComponentsBuilder, Content, ContentBuilder, Info, OpenApi, Ref, RefOr, ResponseBuilder,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::access::{Costly, Grant, Matrix, Row};
use super::guard::{Guard, guard};
use super::parameters::Parameters;
use super::problem::{FieldProblem, PROBLEM_JSON, ProblemBody};
use crate::Verifier;

/// The version of the API in documents; the gateway's prefixes contain the same.
const VERSION: &str = "1";

/// The routes of a service, each guarded by its row of the matrix, and their OpenAPI document.
pub struct Api<S> {
    service: &'static str,
    matrix: Matrix,
    verifier: Arc<Verifier>,
    router: OpenApiRouter<S>,
    documented: BTreeSet<(String, String)>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// Creates the router of `service` without routes.
    pub fn new(service: &'static str, matrix: &Matrix, verifier: Arc<Verifier>) -> Self {
        Self {
            service,
            matrix: matrix.clone(),
            verifier,
            router: OpenApiRouter::with_openapi(blank(service)),
            documented: BTreeSet::new(),
        }
    }

    /// Adds the handlers of one path: `utoipa_axum::routes!(get_user, put_user)`.
    ///
    /// # Panics
    /// If a route has no row in the matrix. Every test that builds the service finds this defect.
    pub fn routes(mut self, (schemas, mut paths, handlers): UtoipaMethodRouter<S>) -> Self {
        let (path, rows) = self.rows_of(&mut paths);
        let parameters = Parameters::of(paths.paths.values_mut().flat_map(operations));
        paths.paths.values_mut().flat_map(operations).for_each(|(method, operation)| {
            let row = rows.iter().find(|row| row.method == method);
            let open = row.is_some_and(|row| row.grants.contains(&Grant::Anyone));
            document_refusals(operation, open, row);
            document_problem_bodies(operation);
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
                self.documented.insert((method.to_string(), path.clone()));
            }
        }
        (template, rows)
    }

    /// Returns the router and its document.
    ///
    /// # Panics
    /// If a row of the matrix has no route.
    pub fn build(self, state: S) -> (Router, OpenApi) {
        for row in self.matrix.rows() {
            let known = self.documented.contains(&(row.method.to_string(), row.path.clone()));
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

/// Returns a document without routes that holds the schemas of problems.
fn blank(service: &str) -> OpenApi {
    let mut document = OpenApi::new(Info::new(service, VERSION), Paths::new());
    let components = ComponentsBuilder::new().schema_from::<ProblemBody>().schema_from::<FieldProblem>();
    document.components = Some(components.build());
    document
}

/// Adds the refusals of the guard, the extractors and the edge, unless the operation documents them itself.
fn document_refusals(operation: &mut Operation, open_to_anyone: bool, row: Option<&Row>) {
    let (costly, text) = row.map_or((Costly::Never, false), |row| (row.costly, row.text));
    let mut refusals = vec![
        ("401", "`invalid_token`; `unauthenticated` without a token, unless the route is open to everyone"),
        ("default", "Any other refusal; see the codes of ProblemBody"),
    ];
    if !open_to_anyone {
        refusals.push(("403", "`role_required`"));
    }
    match costly {
        Costly::Never => {}
        Costly::Always => refusals
            .push(("429", "`too_many_requests`: this route is costly; `Retry-After` is the time to wait")),
        Costly::WithContent => refusals.push((
            "429",
            "`too_many_requests`: lists with content are costly; `Retry-After` is the time to wait",
        )),
    }
    if operation.request_body.is_some() {
        refusals.extend([
            ("400", "`malformed_json`, `malformed_body`, `malformed_query`"),
            (
                "413",
                if text {
                    "`body_too_large`: more than 3 MiB after decompression"
                } else {
                    "`body_too_large`: more than 1 MiB after decompression"
                },
            ),
            ("415", "`unsupported_media_type`, `unsupported_encoding`"),
            ("422", "`invalid`: `errors` lists each fault with a JSON pointer; `unknown_parameter`"),
        ]);
    } else {
        refusals.extend([
            ("400", "`malformed_query`: the query is not valid UTF-8"),
            (
                "422",
                "`unknown_parameter`: the query has a parameter that this route does not know; `errors` names it",
            ),
        ]);
    }
    for (status, sentence) in refusals {
        let refusal = || RefOr::T(ResponseBuilder::new().description(sentence).build());
        operation.responses.responses.entry(status.to_owned()).or_insert_with(refusal);
    }
}

/// Gives every 4xx, 5xx and default response without a body the body of a problem. Handlers document only
/// status and description.
fn document_problem_bodies(operation: &mut Operation) {
    let refusals = operation
        .responses
        .responses
        .iter_mut()
        .filter(|(status, _)| status.starts_with('4') || status.starts_with('5') || *status == "default");
    for (_, response) in refusals {
        if let RefOr::T(response) = response
            && response.content.is_empty()
        {
            response.content.insert(PROBLEM_JSON.to_owned(), RefOr::T(problem_content()));
        }
    }
}

fn problem_content() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build()
}

/// Documents that a token is optional on a route that is open to everyone. Routes that need a token document
/// this themselves.
fn document_login(operation: &mut Operation, open_to_anyone: bool) {
    if open_to_anyone && operation.security.is_none() {
        let anonymous = SecurityRequirement::default();
        let bearer = SecurityRequirement::new("bearer", std::iter::empty::<&str>());
        operation.security = Some(vec![anonymous, bearer]);
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

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::OperationBuilder;

    use super::*;

    #[test]
    fn a_refusal_without_a_body_gets_that_of_a_problem_and_a_success_gets_none() {
        let response = || ResponseBuilder::new().description("a response").build();
        let mut operation = OperationBuilder::new()
            .response("200", response())
            .response("404", response())
            .response("default", response())
            .build();
        document_problem_bodies(&mut operation);
        let document = serde_json::to_value(&operation).expect("an operation is JSON");
        for status in ["404", "default"] {
            let content = &document["responses"][status]["content"][PROBLEM_JSON];
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/ProblemBody", "{status}");
        }
        assert!(document["responses"]["200"].get("content").is_none());
    }
}
