//! The checks between the edge and the handlers of a route.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use kernel::{Identity, Kind, Refusal, UserId};

use super::access::Row;
use super::caller::{AccessToken, Caller, unauthenticated};
use super::client::ClientAddress;
use super::conditional::{NO_VERSION, names_no_version};
use super::input::BodyLimit;
use super::parameters::Parameters;
use super::problem::Problem;
use super::throttle::Throttle;
use crate::{Context, Verifier, VerifyError};

/// The route of a response and its caller. The guard adds it to the response, for the access line and the
/// metrics.
#[derive(Debug, Clone)]
pub(crate) struct RouteLabel {
    /// The service that the route belongs to.
    pub service: &'static str,
    /// The template of the route, such as `/users/v1/{id}`.
    pub template: Arc<str>,
    /// The id and the role of the caller, `anonymous` or `refused`.
    pub actor: String,
}

/// The checks before the handlers of one path: access token, role, limits, query and size of the body.
#[derive(Clone)]
pub(crate) struct Guard {
    pub service: &'static str,
    pub path: Arc<str>,
    pub rows: Arc<[Row]>,
    pub parameters: Parameters,
    pub verifier: Arc<Verifier>,
}

impl Guard {
    /// Runs every check and returns the caller. Also limits the body that the handler can read.
    async fn admit(&self, request: &mut Request, subject: Option<UserId>) -> Result<Caller, Problem> {
        let address = ClientAddress::of_extensions(request.extensions()).0;
        let anonymous = Caller { address, ..Caller::anonymous() };
        let caller = self.authorize(request.method(), request.headers(), anonymous, subject).await?;
        self.count(request, &caller)?;
        self.bound(request)?;
        Ok(caller)
    }

    /// Verifies the access token and looks the caller's role up in the matrix.
    async fn authorize(
        &self,
        method: &Method,
        headers: &HeaderMap,
        anonymous: Caller,
        subject: Option<UserId>,
    ) -> Result<Caller, Problem> {
        let row = self.row(method);
        let caller = match self.authenticate(headers).await {
            Ok(Some((identity, token))) => {
                Caller { identity: Some(identity), token: Some(token), ..anonymous }
            }
            Ok(None) => anonymous,
            // A session can begin, continue and end although the client still sends an expired token.
            Err(_) if row.is_some_and(|row| row.lenient) => anonymous,
            Err(error) => return Err(error.into()),
        };
        if row.is_some_and(|row| row.admits(caller.identity.as_ref(), subject)) {
            return Ok(caller);
        }
        Err(match caller.identity {
            None => unauthenticated().into(),
            Some(_) => Refusal::new(Kind::Forbidden, "role_required", Kind::Forbidden.sentence()).into(),
        })
    }

    fn row(&self, method: &Method) -> Option<&Row> {
        // A HEAD is a GET without its body.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.rows.iter().find(|row| row.method == *method)
    }

    /// Refuses a query with names that the route does not know, and a body that is larger than the route
    /// accepts.
    fn bound(&self, request: &mut Request) -> Result<(), Problem> {
        self.parameters.check(request.method(), request.uri().query())?;
        let limit = BodyLimit::of(self.row(request.method()).is_some_and(|row| row.text));
        let size = request.body().size_hint().lower();
        limit.check(usize::try_from(size).unwrap_or(usize::MAX))?;
        request.extensions_mut().insert(limit);
        Ok(())
    }

    /// Counts an authorized request for its account and, if it is costly, for its address. Without an edge
    /// nothing is counted.
    fn count(&self, request: &Request, caller: &Caller) -> Result<(), Problem> {
        let Some(throttle) = request.extensions().get::<Arc<Throttle>>() else { return Ok(()) };
        let row = self.row(request.method());
        if let Some(identity) = &caller.identity
            && !row.is_some_and(|row| row.lenient)
        {
            throttle.admit_account(identity.user)?;
        }
        if row.is_some_and(|row| row.costly.applies(request.uri().query())) {
            throttle.admit_costly(ClientAddress(caller.address).known())?;
        }
        Ok(())
    }

    /// Verifies the bearer token, if the request has one. Other schemes are ignored: a browser or a proxy in
    /// front of the portal may use them for itself.
    async fn authenticate(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(Identity, AccessToken)>, VerifyError> {
        let mut tokens = headers.get_all(AUTHORIZATION).iter().filter_map(bearer);
        let Some(token) = tokens.next() else { return Ok(None) };
        let token = token.filter(|_| tokens.next().is_none()).ok_or(VerifyError::Invalid)?;
        let identity = self.verifier.verify(token).await?;
        Ok(Some((identity, token.into())))
    }
}

/// Returns the token of the scheme `Bearer`: `None` for another scheme, `Some(None)` if the text cannot be a
/// token.
fn bearer(value: &HeaderValue) -> Option<Option<&str>> {
    const SCHEME: &[u8] = b"bearer";
    let bytes = value.as_bytes().trim_ascii();
    let (scheme, rest) = bytes.split_at_checked(SCHEME.len())?;
    let ends = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && ends;
    is_bearer.then(|| std::str::from_utf8(rest).ok().map(str::trim))
}

/// Checks a request, runs its handler in the context of the service, and labels the response for the access
/// line.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let subject = params.iter().find(|(name, _)| matches!(*name, "id" | "user_id"));
    let subject = subject.and_then(|(_, value)| value.parse().ok());
    let foreign_tags = names_no_version(request.headers());
    let respond = async {
        match guard.admit(&mut request, subject).await {
            Ok(caller) => {
                let actor = caller.identity.as_ref().map_or_else(
                    || "anonymous".to_owned(),
                    |identity| format!("{} {}", identity.user, identity.role),
                );
                request.extensions_mut().insert(caller);
                (next.run(request).await, actor)
            }
            Err(problem) => (problem.into_response(), "refused".to_owned()),
        }
    };
    let context = Context::current().of(guard.service);
    let (mut response, actor) = context.scope(respond).await;
    if foreign_tags {
        // The article has not changed: the client sent the tag of another resource.
        Problem::explain_stale(&mut response, NO_VERSION);
    }
    let label = RouteLabel { service: guard.service, template: guard.path.clone(), actor };
    response.extensions_mut().insert(label);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scheme_bearer_is_read_and_its_case_is_ignored() {
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
