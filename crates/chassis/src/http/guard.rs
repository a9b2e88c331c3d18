use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};
use kernel::{Identity, Kind, Refusal, UserId};

use super::access::Row;
use super::client::ClientAddress;
use super::problem::Problem;
use super::throttle::Throttle;
use crate::{Context, Verifier, VerifyError};

/// Who asks, if anybody is logged in.
#[derive(Debug, Clone)]
pub struct Caller(pub Option<Identity>);

/// Who asks; nobody is 401.
#[derive(Debug, Clone)]
pub struct Member(pub Identity);

/// The verified access token itself, to be passed on to a service that verifies it again.
#[derive(Clone)]
pub struct Token(pub Option<String>);

#[derive(Clone)]
struct Verified {
    identity: Identity,
    token: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Verified>().map(|verified| verified.identity.clone())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let verified = parts.extensions.get::<Verified>();
        verified.map(|verified| Self(verified.identity.clone())).ok_or_else(|| unauthenticated().into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Verified>().map(|verified| verified.token.clone())))
    }
}

fn unauthenticated() -> Refusal {
    Refusal::new(Kind::Unauthenticated, "unauthenticated", Kind::Unauthenticated.sentence())
}

/// The route that answered, for the access line and for metrics: its service and its template.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub service: &'static str,
    pub template: Arc<str>,
}

/// Who was answered, for the access line: an id and a role, or nobody.
#[derive(Debug, Clone)]
pub(crate) struct Actor(pub String);

/// What stands before the handlers of one path.
#[derive(Clone)]
pub(crate) struct Guard {
    pub service: &'static str,
    pub path: Arc<str>,
    pub rows: Arc<[Row]>,
    pub verifier: Arc<Verifier>,
}

impl Guard {
    async fn admit(
        &self,
        method: &Method,
        headers: &HeaderMap,
        subject: Option<UserId>,
    ) -> Result<Option<Verified>, Problem> {
        let verified = self.verified(headers).await?;
        let caller = verified.as_ref().map(|verified| &verified.identity);
        if self.row(method).is_some_and(|row| row.admits(caller, subject)) {
            return Ok(verified);
        }
        Err(match verified {
            None => unauthenticated().into(),
            Some(_) => Refusal::new(Kind::Forbidden, "role_required", Kind::Forbidden.sentence()).into(),
        })
    }

    fn row(&self, method: &Method) -> Option<&Row> {
        // A HEAD is a GET without its body.
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        self.rows.iter().find(|row| row.method == *wanted)
    }

    /// Counts a request that may pass: for its account, and among the costly ones. Where there is no edge, nobody counts.
    fn counted(&self, request: &Request, verified: Option<&Verified>) -> Result<(), Problem> {
        let Some(throttle) = request.extensions().get::<Arc<Throttle>>() else { return Ok(()) };
        if let Some(verified) = verified {
            throttle.admit_account(verified.identity.user)?;
        }
        if self.row(request.method()).is_some_and(|row| row.costly) {
            let client = request.extensions().get::<ClientAddress>().copied();
            throttle.admit_costly(client.and_then(ClientAddress::known))?;
        }
        Ok(())
    }

    async fn verified(&self, headers: &HeaderMap) -> Result<Option<Verified>, VerifyError> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
        let text = value.to_str().map_err(|_| VerifyError::Invalid)?;
        let (scheme, token) = text.split_once(' ').ok_or(VerifyError::Invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(VerifyError::Invalid);
        }
        let token = token.trim();
        let identity = self.verifier.verify(token).await?;
        Ok(Some(Verified { identity, token: token.to_owned() }))
    }
}

pub(crate) async fn guard(
    State(guard): State<Guard>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let subject = params.iter().find(|(name, _)| matches!(*name, "id" | "user_id"));
    let subject = subject.and_then(|(_, value)| value.parse().ok());
    let context = Context::current().of(guard.service);
    let route = Route { service: guard.service, template: guard.path.clone() };
    let work = async {
        let admitted = guard.admit(request.method(), request.headers(), subject).await;
        let admitted = admitted.and_then(|verified| {
            guard.counted(&request, verified.as_ref())?;
            Ok(verified)
        });
        let (response, actor) = match admitted {
            Ok(verified) => {
                let actor = verified.as_ref().map_or_else(
                    || "anonymous".to_owned(),
                    |verified| format!("{} {}", verified.identity.user, verified.identity.role),
                );
                request.extensions_mut().extend(
                    verified
                        .map(|verified| {
                            let mut extensions = http::Extensions::new();
                            extensions.insert(verified);
                            extensions
                        })
                        .unwrap_or_default(),
                );
                (next.run(request).await, actor)
            }
            Err(problem) => (problem.into_response(), "refused".to_owned()),
        };
        (response, actor)
    };
    let (mut response, actor) = context.scope(work).await;
    response.extensions_mut().insert(route);
    response.extensions_mut().insert(Actor(actor));
    response
}
