//! What goes over the wire, in and out. None of the bodies that hold a password can be printed.

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use chassis::http::{Json, Problem};
use kernel::{FieldFault, Role, Section, Sections, SessionId, Timestamp, UserId, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::UserError;
use crate::domain::{Email, Invalid, Name, Password, Profile, Session, User, Wish};

/// An account as its owner and admins see it.
#[derive(Serialize, ToSchema)]
pub struct UserView {
    /// The account's id.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    /// The display name.
    #[schema(example = "Ann O’Hara")]
    name: String,
    /// The address to log in with.
    #[schema(example = "ann@example.org")]
    email: String,
    /// What it may do: `reader`, `author`, `editor` or `admin`.
    #[schema(value_type = String, example = "reader")]
    role: Role,
    /// Where it may do so; null for every section.
    #[schema(value_type = Option<Vec<String>>)]
    sections: Sections,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Its version, for `If-Match`.
    #[schema(value_type = u32)]
    version: Version,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.name.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            role: user.role,
            sections: user.sections,
            created_at: user.created_at,
            version: user.version,
        }
    }
}

/// An account as everybody sees it.
#[derive(Serialize, ToSchema)]
pub struct ProfileView {
    /// The account's id.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    /// The display name.
    name: String,
    /// The role, of those who work on the news.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

impl From<Profile> for ProfileView {
    fn from(profile: Profile) -> Self {
        Self { id: profile.id, name: profile.name.as_str().to_owned(), role: profile.role }
    }
}

/// The values of a body, with every field that breaks a rule.
#[derive(Default)]
struct Reading(Vec<FieldFault>);

impl Reading {
    fn field<T>(&mut self, pointer: &str, value: Result<T, Invalid>) -> Option<T> {
        value.map_err(|invalid| self.0.push(invalid.at(pointer))).ok()
    }
}

/// Somebody wants an account.
#[derive(Deserialize, ToSchema)]
pub struct RegisterBody {
    /// 1 to 100 characters.
    name: String,
    /// A valid address of at most 254 characters, in any script. Outer spaces are left out.
    email: String,
    /// 8 to 128 characters, none of those that are tried first. Compared by RFC 8265, OpaqueString.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl RegisterBody {
    /// All that it says: what makes it the same as another one.
    pub fn said(&self) -> [&str; 3] {
        [&self.name, &self.email, self.password.expose_secret()]
    }

    /// What is registered.
    pub fn values(&self) -> Result<(Name, Email, Password), UserError> {
        let mut reading = Reading::default();
        let name = reading.field("/name", Name::parse(&self.name));
        let email = reading.field("/email", Email::parse(&self.email));
        let password = reading.field("/password", Password::parse(self.password.expose_secret()));
        match (name, email, password) {
            (Some(name), Some(email), Some(password)) => Ok((name, email, password)),
            _ => Err(UserError::Invalid(reading.0)),
        }
    }
}

/// What an account shall be from now on, all of it.
#[derive(Deserialize, ToSchema)]
pub struct PutUserBody {
    /// 1 to 100 characters.
    name: String,
    /// A valid address of at most 254 characters, in any script. Outer spaces are left out.
    email: String,
    /// Another password; the old one stays where this is left out.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// The password that holds now: needed for a new e-mail or password of one's own account.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
    /// The version that this is a change of, where there is no `If-Match`.
    version: Option<u32>,
}

impl From<PutUserBody> for PatchUserBody {
    fn from(body: PutUserBody) -> Self {
        Self {
            name: Some(body.name),
            email: Some(body.email),
            password: body.password,
            current_password: body.current_password,
            version: body.version,
        }
    }
}

/// What of an account shall be different.
#[derive(Deserialize, ToSchema)]
pub struct PatchUserBody {
    /// 1 to 100 characters.
    name: Option<String>,
    /// A valid address of at most 254 characters, in any script. Outer spaces are left out.
    email: Option<String>,
    /// Another password.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// The password that holds now: needed for a new e-mail or password of one's own account.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
    /// The version that this is a change of, where there is no `If-Match`.
    version: Option<u32>,
}

impl PatchUserBody {
    /// The version that the writer names in the body.
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// The current password, as it was typed.
    pub fn current_password(&self) -> Option<SecretString> {
        self.current_password.clone()
    }

    /// What the writer wants.
    pub fn wish(&self) -> Result<Wish, UserError> {
        let mut reading = Reading::default();
        let name = self.name.as_ref().and_then(|name| reading.field("/name", Name::parse(name)));
        let email = self.email.as_ref().and_then(|email| reading.field("/email", Email::parse(email)));
        let password = self.password.as_ref();
        let password =
            password.and_then(|typed| reading.field("/password", Password::parse(typed.expose_secret())));
        if reading.0.is_empty() {
            Ok(Wish { name, email, password })
        } else {
            Err(UserError::Invalid(reading.0))
        }
    }
}

/// Another password for one's own account.
#[derive(Deserialize, ToSchema)]
pub struct PasswordBody {
    /// The password that holds now.
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    /// 8 to 128 characters, none of those that are tried first. Compared by RFC 8265, OpaqueString.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl PasswordBody {
    /// The one that holds now, as it was typed, and the other one.
    pub fn values(&self) -> Result<(SecretString, Password), UserError> {
        let password = Password::parse(self.password.expose_secret());
        let password = password.map_err(|invalid| UserError::field(invalid.at("/password")))?;
        Ok((self.current_password.clone(), password))
    }
}

/// Somebody says who they are.
#[derive(Deserialize, ToSchema)]
pub struct LoginBody {
    /// The address. Case, normalisation and outer spaces make no difference.
    pub email: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    pub password: SecretString,
}

impl LoginBody {
    /// Returns the address.
    ///
    /// # Errors
    /// `invalid`, if it is not an address: no account can have it.
    pub fn email(&self) -> Result<Email, UserError> {
        Email::parse(&self.email).map_err(|invalid| UserError::field(invalid.at("/email")))
    }
}

/// A login.
#[derive(Serialize, ToSchema)]
pub struct SessionView {
    /// The access token, for `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// How long the token holds, in seconds.
    #[schema(example = 900)]
    pub expires_in: u64,
    /// Who logged in.
    pub user: UserView,
}

/// A session of an account.
#[derive(Serialize, ToSchema)]
pub struct ListedSessionView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: SessionId,
    /// The login.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The login or the last refresh.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// True for the one that asks.
    current: bool,
}

impl ListedSessionView {
    /// A session as `asking` sees it.
    pub fn of(session: &Session, asking: SessionId) -> Self {
        let Session { id, created_at, last_used_at, .. } = *session;
        Self { id, created_at, last_used_at, current: id == asking }
    }
}

/// What an account may do from now on.
#[derive(Deserialize, ToSchema)]
pub struct RolesBody {
    /// `reader`, `author`, `editor` or `admin`.
    #[schema(value_type = String, example = "editor")]
    pub role: Role,
    /// Where an author or editor may do so; every section where this is left out.
    #[schema(value_type = Option<Vec<String>>, example = json!(["sports"]))]
    pub sections: Option<std::collections::BTreeSet<Section>>,
}

/// What a person allows. Everything is off until they turn it on.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ConsentBody {
    /// News may be chosen by what the person likes.
    pub personalisation: bool,
    /// It may be stored what the person reads.
    pub history: bool,
}

/// The confirmation of an erasure. No body says as much as an empty object.
#[derive(Default, Deserialize, ToSchema)]
pub struct EraseBody {
    /// The caller's current password. It is needed if the login is older than 10 minutes.
    #[schema(value_type = Option<String>, format = Password)]
    pub current_password: Option<SecretString>,
}

impl<S: Send + Sync> FromRequest<S> for EraseBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self::default());
        }
        Json::from_request(request, state).await.map(|Json(body)| body)
    }
}

/// An erasure that has begun.
#[derive(Serialize, ToSchema)]
pub struct ErasedView {
    /// `success`.
    pub result: &'static str,
    /// The erasure.
    pub erasure: ErasureView,
}

/// How far an erasure is.
#[derive(Serialize, ToSchema)]
pub struct ErasureView {
    /// Its id.
    pub id: uuid::Uuid,
    /// `pending` while other services are being told.
    pub state: &'static str,
}
