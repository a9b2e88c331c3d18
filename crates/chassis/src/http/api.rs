use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use http::Method;
use utoipa::openapi::path::{PathItem, Paths};
use utoipa::openapi::{Info, OpenApi};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::access::{Matrix, Row};
use super::guard::{Guard, guard};
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
            router: OpenApiRouter::with_openapi(OpenApi::new(Info::new(service, VERSION), Paths::new())),
            seen: BTreeSet::new(),
        }
    }

    /// Adds the handlers of one path: `utoipa_axum::routes!(get_user, put_user)`.
    ///
    /// # Panics
    /// Where a route has no row in the matrix: a defect that every test that builds the service finds.
    pub fn routes(mut self, (schemas, paths, handlers): UtoipaMethodRouter<S>) -> Self {
        let (path, rows) = self.rows_of(&paths);
        let guarded = handlers.route_layer(axum::middleware::from_fn_with_state(
            Guard {
                service: self.service,
                path: path.into(),
                rows: rows.into(),
                verifier: self.verifier.clone(),
            },
            guard,
        ));
        self.router = self.router.routes((schemas, paths, guarded));
        self
    }

    fn rows_of(&mut self, paths: &Paths) -> (String, Vec<Row>) {
        let mut rows = Vec::new();
        let mut template = String::new();
        for (path, item) in &paths.paths {
            template.clone_from(path);
            for method in methods(item) {
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

fn methods(item: &PathItem) -> Vec<Method> {
    let operations = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
        (Method::HEAD, &item.head),
        (Method::OPTIONS, &item.options),
    ];
    operations.into_iter().filter(|(_, operation)| operation.is_some()).map(|(method, _)| method).collect()
}
