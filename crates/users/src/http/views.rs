//! The bodies of requests and answers. A body that contains a password can't be printed.

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use chassis::http::{Json, Problem};
use kernel::{FieldFault, Role, Section, Sections, SessionId, Timestamp, UserId, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::UserError;
use crate::domain::{AccountPatch, Email, Erasure, Invalid, Name, Password, Profile, Receipt, Session, User};

/// An account as its owner and admins see it.
#[derive(Serialize, ToSchema)]
pub struct UserView {
    /// The id of the account.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    /// The display name.
    #[schema(example = "Ann O’Hara")]
    name: String,
    /// The address to log in with.
    #[schema(example = "ann@example.org")]
    email: String,
    /// The role: `reader`, `author`, `editor` or `admin`.
    #[schema(value_type = String, example = "reader")]
    role: Role,
    /// The sections in which the role holds; null for all sections.
    #[schema(value_type = Option<Vec<String>>)]
    sections: Sections,
    /// The time of the registration.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The version of the account, for `If-Match`.
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

/// The public profile of an account.
#[derive(Serialize, ToSchema)]
pub struct ProfileView {
    /// The id of the account.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    /// The display name.
    name: String,
    /// The role, if it is one of the staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

impl From<Profile> for ProfileView {
    fn from(profile: Profile) -> Self {
        Self { id: profile.id, name: profile.name.as_str().to_owned(), role: profile.role }
    }
}

/// The faults of a body, collected while its fields are parsed.
#[derive(Default)]
struct FieldFaults(Vec<FieldFault>);

impl FieldFaults {
    fn collect<T>(&mut self, pointer: &str, value: Result<T, Invalid>) -> Option<T> {
        value.map_err(|invalid| self.0.push(invalid.at(pointer))).ok()
    }
}

/// A registration.
#[derive(Deserialize, ToSchema)]
pub struct RegisterBody {
    /// 1 to 100 characters.
    name: String,
    /// A valid address of at most 254 characters, in any script. Outer spaces are removed.
    email: String,
    /// 8 to 128 characters, and not one of the most common passwords. Compared by RFC 8265, OpaqueString.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl RegisterBody {
    /// Returns the whole content, for the fingerprint.
    pub fn content(&self) -> [&str; 3] {
        [&self.name, &self.email, self.password.expose_secret()]
    }

    /// Parses the fields.
    pub fn values(&self) -> Result<(Name, Email, Password), UserError> {
        let mut faults = FieldFaults::default();
        let name = faults.collect("/name", Name::parse(&self.name));
        let email = faults.collect("/email", Email::parse(&self.email));
        let password = faults.collect("/password", Password::parse(self.password.expose_secret()));
        match (name, email, password) {
            (Some(name), Some(email), Some(password)) => Ok((name, email, password)),
            _ => Err(UserError::Invalid(faults.0)),
        }
    }
}

/// The new name and e-mail of an account.
#[derive(Deserialize, ToSchema)]
pub struct PutUserBody {
    /// 1 to 100 characters.
    name: String,
    /// A valid address of at most 254 characters, in any script. Outer spaces are removed.
    email: String,
    /// The new password; if it is left out, the current one stays.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// The current password: required for a new e-mail or password of one's own account.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
    /// The version that the caller has seen, if there is no `If-Match`.
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

/// Changes of an account; a field that is left out stays.
#[derive(Deserialize, ToSchema)]
pub struct PatchUserBody {
    /// 1 to 100 characters.
    name: Option<String>,
    /// A valid address of at most 254 characters, in any script. Outer spaces are removed.
    email: Option<String>,
    /// The new password.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// The current password: required for a new e-mail or password of one's own account.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
    /// The version that the caller has seen, if there is no `If-Match`.
    version: Option<u32>,
}

impl PatchUserBody {
    /// Returns the version in the body.
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// Returns the current password, as it was typed.
    pub fn current_password(&self) -> Option<SecretString> {
        self.current_password.clone()
    }

    /// Returns the requested changes.
    pub fn patch(&self) -> Result<AccountPatch, UserError> {
        let mut faults = FieldFaults::default();
        let name = self.name.as_ref().and_then(|name| faults.collect("/name", Name::parse(name)));
        let email = self.email.as_ref().and_then(|email| faults.collect("/email", Email::parse(email)));
        let password = self.password.as_ref();
        let password =
            password.and_then(|typed| faults.collect("/password", Password::parse(typed.expose_secret())));
        if faults.0.is_empty() {
            Ok(AccountPatch { name, email, password })
        } else {
            Err(UserError::Invalid(faults.0))
        }
    }
}

/// A new password for one's own account.
#[derive(Deserialize, ToSchema)]
pub struct PasswordBody {
    /// The current password.
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    /// 8 to 128 characters, and not one of the most common passwords. Compared by RFC 8265, OpaqueString.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl PasswordBody {
    /// Returns the current password as it was typed, and the new one.
    pub fn values(&self) -> Result<(SecretString, Password), UserError> {
        let password = Password::parse(self.password.expose_secret());
        let password = password.map_err(|invalid| UserError::field(invalid.at("/password")))?;
        Ok((self.current_password.clone(), password))
    }
}

/// The credentials of a login.
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
    /// The time for which the token is valid, in seconds.
    #[schema(example = 900)]
    pub expires_in: u64,
    /// The account of the token.
    pub user: UserView,
}

/// A session of an account.
#[derive(Serialize, ToSchema)]
pub struct ListedSessionView {
    /// The id of the session.
    #[schema(value_type = uuid::Uuid)]
    id: SessionId,
    /// The time of the login.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time of the login or the last refresh.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// True for the session of this request.
    current: bool,
}

impl ListedSessionView {
    /// Creates the view of a session for a request of the session `current`.
    pub fn new(session: &Session, current: SessionId) -> Self {
        let Session { id, created_at, last_used_at, .. } = *session;
        Self { id, created_at, last_used_at, current: id == current }
    }
}

/// The new role of an account.
#[derive(Deserialize, ToSchema)]
pub struct RolesBody {
    /// `reader`, `author`, `editor` or `admin`.
    #[schema(value_type = String, example = "editor")]
    pub role: Role,
    /// The sections of an author or editor; all sections if this is left out.
    #[schema(value_type = Option<Vec<String>>, example = json!(["sports"]))]
    pub sections: Option<std::collections::BTreeSet<Section>>,
}

/// The consent of a person. Everything is off until the person turns it on.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ConsentBody {
    /// The portal may choose news by what the person likes.
    pub personalisation: bool,
    /// The portal may store what the person reads.
    pub history: bool,
}

/// The confirmation of an erasure. An empty body is the same as an empty object.
#[derive(Default, Deserialize, ToSchema)]
pub struct EraseBody {
    /// The caller's current password. It is required if the login is older than 10 minutes.
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

/// The answer to an erasure.
#[derive(Serialize, ToSchema)]
pub struct ErasedView {
    /// `success`.
    pub result: &'static str,
    /// The state of the erasure.
    pub erasure: BegunErasureView,
}

/// The beginning of an erasure.
#[derive(Serialize, ToSchema)]
pub struct BegunErasureView {
    /// The id of the erasure, for `GET /erasures/{id}`. It is the id of the account.
    #[schema(value_type = uuid::Uuid)]
    pub id: UserId,
    /// `pending`.
    pub state: &'static str,
}

/// An erasure with the receipts of the services.
#[derive(Serialize, ToSchema)]
pub struct ErasureView {
    /// The id of the erasure. It is the id of the account.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    /// `pending` while a receipt is missing, then `done`.
    state: &'static str,
    /// The time since which the account is gone.
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    /// The time at which the last receipt arrived; null while one is missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
    /// The receipts, the oldest first.
    receipts: Vec<ReceiptView>,
    /// The services whose receipt is missing.
    #[schema(value_type = Vec<String>)]
    missing: Vec<&'static str>,
}

/// The receipt of a service: it has removed everything that it stored about the person.
#[derive(Serialize, ToSchema)]
pub struct ReceiptView {
    /// The service.
    #[schema(example = "recommendations")]
    service: String,
    /// The time at which its part was complete.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Erasure> for ErasureView {
    fn from(erasure: Erasure) -> Self {
        let missing = erasure.missing();
        let receipt = |receipt: Receipt| ReceiptView { service: receipt.service, at: receipt.at };
        Self {
            id: erasure.person,
            state: if erasure.completed_at.is_some() { "done" } else { "pending" },
            requested_at: erasure.erased_at,
            completed_at: erasure.completed_at,
            receipts: erasure.receipts.into_iter().map(receipt).collect(),
            missing,
        }
    }
}
