use std::convert::Infallible;
use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use kernel::{Identity, Kind, Refusal, UserId};

use super::access::Row;
use super::client::ClientAddress;
use super::conditional::{NO_VERSION, names_no_version};
use super::input::BodyLimit;
use super::parameters::Parameters;
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
    pub parameters: Parameters,
    pub verifier: Arc<Verifier>,
}

impl Guard {
    async fn admit(
        &self,
        method: &Method,
        headers: &HeaderMap,
        subject: Option<UserId>,
    ) -> Result<Option<Verified>, Problem> {
        let row = self.row(method);
        let verified = match self.verified(headers).await {
            // Where a session begins, goes on or ends, an old token must not stand in the way.
            Err(_) if row.is_some_and(|row| row.lenient) => None,
            outcome => outcome?,
        };
        let caller = verified.as_ref().map(|verified| &verified.identity);
        if row.is_some_and(|row| row.admits(caller, subject)) {
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

    /// Refuses a query with names that the route does not know, and a body that is larger than the route takes.
    fn bounded(&self, request: &mut Request) -> Result<(), Problem> {
        self.parameters.check(request.method(), request.uri().query())?;
        let limit = BodyLimit::of(self.row(request.method()).is_some_and(|row| row.text));
        let size = request.body().size_hint().lower();
        limit.check(usize::try_from(size).unwrap_or(usize::MAX))?;
        request.extensions_mut().insert(limit);
        Ok(())
    }

    /// Counts a request that may pass: for its account, and among the costly ones. Where there is no edge, nobody counts.
    fn counted(&self, request: &Request, verified: Option<&Verified>) -> Result<(), Problem> {
        let Some(throttle) = request.extensions().get::<Arc<Throttle>>() else { return Ok(()) };
        let row = self.row(request.method());
        if let Some(verified) = verified
            && !row.is_some_and(|row| row.lenient)
        {
            throttle.admit_account(verified.identity.user)?;
        }
        if row.is_some_and(|row| row.costly.applies(request.uri().query())) {
            let client = request.extensions().get::<ClientAddress>().copied();
            throttle.admit_costly(client.and_then(ClientAddress::known))?;
        }
        Ok(())
    }

    /// The identity of the bearer token, if one was sent. Other schemes are none of ours: a proxy in front of the portal or a
    /// browser may use them for itself.
    async fn verified(&self, headers: &HeaderMap) -> Result<Option<Verified>, VerifyError> {
        let mut tokens = headers.get_all(AUTHORIZATION).iter().filter_map(bearer);
        let Some(token) = tokens.next() else { return Ok(None) };
        let token = token.filter(|_| tokens.next().is_none()).ok_or(VerifyError::Invalid)?;
        let identity = self.verifier.verify(token).await?;
        Ok(Some(Verified { identity, token: token.to_owned() }))
    }
}

/// The token of the scheme `Bearer`: none of another scheme, and `Some(None)` if it can't be a token.
fn bearer(value: &HeaderValue) -> Option<Option<&str>> {
    const SCHEME: &[u8] = b"bearer";
    let bytes = value.as_bytes().trim_ascii();
    let (scheme, rest) = bytes.split_at_checked(SCHEME.len())?;
    let ends = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && ends;
    is_bearer.then(|| std::str::from_utf8(rest).ok().map(str::trim))
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
    let foreign_tags = names_no_version(request.headers());
    let work = async {
        let admitted = guard.admit(request.method(), request.headers(), subject).await;
        let admitted = admitted.and_then(|verified| {
            guard.counted(&request, verified.as_ref())?;
            guard.bounded(&mut request)?;
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
    if foreign_tags {
        // It has not changed: the client sent the tag of something else.
        Problem::explain_stale(&mut response, NO_VERSION);
    }
    response.extensions_mut().insert(route);
    response.extensions_mut().insert(Actor(actor));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scheme_bearer_is_read_in_any_case_of_letters() {
        let read = |text: &[u8]| {
            let value = HeaderValue::from_bytes(text).expect("a value");
            bearer(&value).map(|token| token.map(str::to_owned))
        };
        for other in
            [&b"Basic dTpw"[..], b"Bearerx abc", b"Negotiate", b"abc", b"", b"J\xf6rg x", b"Digest bearer"]
        {
            assert_eq!(read(other), None, "{}", String::from_utf8_lossy(other));
        }
        for token in [&b"Bearer abc"[..], b"bearer   abc ", b"BEARER\tabc"] {
            assert_eq!(read(token), Some(Some("abc".to_owned())), "{}", String::from_utf8_lossy(token));
        }
        assert_eq!(read(b"Bearer"), Some(Some(String::new())));
        assert_eq!(read(b"Bearer \xff"), Some(None));
    }
}
