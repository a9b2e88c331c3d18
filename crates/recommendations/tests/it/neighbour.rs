//! Users, played: the keys of its tokens and what it says about consent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::transport::{grpc_edge, status_of};
use chassis::{AUDIENCE, Claims, Surroundings};
use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernel::{Kind, Refusal, Role, Sections, UserId};
use proto::users::v1::users_server::{Users, UsersServer};
use proto::users::v1::{
    GetConsentRequest, GetConsentResponse, GetUserRequest, GetUserResponse, GetUsersRequest, GetUsersResponse,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

pub const ISSUER: &str = "https://portal.example";
const KEY_ID: &str = "test";
const SECRET: [u8; 32] = [7; 32];

/// How users behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It says that it is away.
    Away,
    /// It says that this caller may not ask.
    Forbidding,
    /// It panics.
    Panicking,
    /// It never answers.
    Silent,
}

struct Played {
    consents: Mutex<HashMap<UserId, GetConsentResponse>>,
    mood: Mutex<Mood>,
    asked: AtomicUsize,
    given_up: Arc<AtomicUsize>,
}

/// The neighbour `users`.
#[derive(Clone)]
pub struct Neighbour(Arc<Played>);

impl Neighbour {
    /// Moves in.
    pub fn beside(surroundings: &Surroundings) -> Self {
        let neighbour = Self::new();
        surroundings
            .register_http("users", Router::new().route("/.well-known/jwks.json", get(|| async { jwks() })));
        surroundings.register_grpc("users", neighbour.routes());
        neighbour
    }

    /// Users, to be reached by its routes alone.
    pub fn new() -> Self {
        let played = Played {
            consents: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            asked: AtomicUsize::default(),
            given_up: Arc::default(),
        };
        Self(Arc::new(played))
    }

    /// What it serves over gRPC.
    pub fn routes(&self) -> tonic::service::Routes {
        grpc_edge("users", tonic::service::Routes::new(UsersServer::new(self.clone())))
    }

    /// From now on it says this about a person.
    pub fn knows(&self, user: UserId, permits: bool, version: u32) {
        let said = GetConsentResponse { personalisation: permits, history: permits, version };
        self.0.consents.lock().expect("no panic").insert(user, said);
    }

    /// From now on it behaves like this.
    pub fn is(&self, mood: Mood) {
        *self.0.mood.lock().expect("no panic") = mood;
    }

    /// How often it was asked about a consent.
    pub fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// How many questions were given up by whoever asked.
    pub fn given_up(&self) -> usize {
        self.0.given_up.load(Ordering::SeqCst)
    }
}

struct GivenUp(Arc<AtomicUsize>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Users for Neighbour {
    async fn get_user(&self, _: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        unreachable!("this service never asks for users")
    }

    async fn get_users(&self, _: Request<GetUsersRequest>) -> Result<Response<GetUsersResponse>, Status> {
        unreachable!("this service never asks for users")
    }

    async fn get_consent(
        &self,
        request: Request<GetConsentRequest>,
    ) -> Result<Response<GetConsentResponse>, Status> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mood = *self.0.mood.lock().expect("no panic");
        match mood {
            Mood::Well => {}
            Mood::Away => {
                return Err(status_of(&Refusal::new(Kind::Unavailable, "store_unavailable", "away")));
            }
            Mood::Forbidding => {
                return Err(status_of(&Refusal::new(Kind::Forbidden, "forbidden", "Not you.")));
            }
            Mood::Panicking => panic!("the test wants it so"),
            Mood::Silent => {
                let _guard = GivenUp(self.0.given_up.clone());
                std::future::pending::<()>().await;
            }
        }
        let user: UserId = request.into_inner().id.parse().expect("an id");
        let said = self.0.consents.lock().expect("no panic").get(&user).copied();
        let unknown = || status_of(&Refusal::new(Kind::NotFound, "not_found", "There is no such account."));
        said.map(Response::new).ok_or_else(unknown)
    }
}

fn jwks() -> String {
    let public = ed25519_dalek::SigningKey::from_bytes(&SECRET).verifying_key();
    let key = serde_json::json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KEY_ID,
        "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
    });
    serde_json::json!({ "keys": [key] }).to_string()
}

/// The access token of an account, good for 15 minutes from `now` (in seconds).
pub fn token(user: UserId, role: Role, now: i64) -> String {
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user,
        name: "A Reader".to_owned(),
        role,
        sections: Sections::All,
        history: true,
        sid: Uuid::nil(),
        iat: now,
        exp: now + 900,
    };
    let pair = KeypairBytes { secret_key: SECRET, public_key: None };
    let der = pair.to_pkcs8_der().expect("a key");
    let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes())).expect("a token")
}
