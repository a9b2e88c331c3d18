//! The sender of a request, as handlers see it.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;
use kernel::{Identity, Kind, Refusal, Role};

use super::client::{ClientAddress, ClientKey};
use super::problem::Problem;

/// The sender of a request: its identity if it is signed in, and its network address.
///
/// The guard of a route makes it from the verified access token. No other part of a request can name a
/// caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The claims of the access token; `None` for an anonymous request.
    pub identity: Option<Identity>,
    /// The token that holds these claims, for a service that verifies it again.
    pub token: Option<AccessToken>,
    /// The client's address; `0.0.0.0` if the request came over no connection. Limits count by it.
    pub address: IpAddr,
}

impl Caller {
    /// Returns a caller without an identity and without an address.
    pub fn anonymous() -> Self {
        Self { identity: None, token: None, address: ClientAddress::UNKNOWN.0 }
    }

    /// Returns the caller that the guard of the route found. Without a guard, the caller is anonymous.
    fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(|| Self {
            address: ClientAddress::of_extensions(extensions).0,
            ..Self::anonymous()
        })
    }

    /// Returns the key under which limits count this client; `None` if the request came over no connection.
    pub fn client(&self) -> Option<ClientKey> {
        ClientAddress(self.address).known().map(ClientKey::from)
    }

    /// True for an anonymous caller and for the role `reader`: both see what is public.
    pub fn is_reader(&self) -> bool {
        self.identity.as_ref().is_none_or(|identity| identity.role == Role::Reader)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// The identity of a signed-in caller. An anonymous request is refused with 401.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Identity);

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Caller::of(&parts.extensions).identity.map(Self).ok_or_else(|| unauthenticated().into())
    }
}

/// Returns the refusal of a request that needs an access token and has none.
pub(super) fn unauthenticated() -> Refusal {
    Refusal::new(Kind::Unauthenticated, "unauthenticated", Kind::Unauthenticated.sentence())
}

/// A verified access token. Its text never appears in `Debug` output.
#[derive(Clone)]
pub struct AccessToken(Arc<str>);

impl From<&str> for AccessToken {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Deref for AccessToken {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}
