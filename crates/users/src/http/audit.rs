//! The audit.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Links, Path, Problem, Query, query_time};
use http::StatusCode;
use kernel::{FieldFault, MAX_LIMIT, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::private;
use super::caller::CurrentUser;
use super::{UserPath, Users};
use crate::app::{AuditPage, AuditRequest, UserError};
use crate::domain::{AuditCursor, AuditEntry, AuditFilter, AuditKind};

/// The default number of entries on a page.
const DEFAULT_LIMIT: u32 = 50;

/// A page of a list of entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The position to continue from: `next_cursor` of another page of the same list.
    cursor: Option<String>,
    /// The number of entries, 1 to 100. The default is 50.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// A page of a list of entries, and what they must have in common.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only entries of this actor.
    #[param(value_type = Option<uuid::Uuid>)]
    actor: Option<String>,
    /// Only entries about this account.
    #[param(value_type = Option<uuid::Uuid>)]
    subject: Option<String>,
    /// Only entries of this kind, such as `session_begun`.
    kind: Option<String>,
    /// Only entries of this moment or later, such as `2026-11-21T08:00:00Z`.
    from: Option<String>,
    /// Only entries of this moment or earlier.
    to: Option<String>,
    /// The position to continue from: `next_cursor` of another page of the same list.
    cursor: Option<String>,
    /// The number of entries, 1 to 100. The default is 50.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

impl AuditQuery {
    /// Checks the fields, and reports all faults together. The cursor is checked only if all others are
    /// valid.
    fn parse(self) -> Result<AuditRequest, Problem> {
        let mut faults = Vec::new();
        let mut check = |pointer: &str, code: &'static str, detail: &str| {
            faults.push(FieldFault::new(pointer, code, detail));
        };
        let limit = limit_of(self.limit);
        if limit.is_none() {
            check("/limit", "out_of_range", "must be between 1 and 100");
        }
        let account = |text: Option<String>| text.map(|text| text.parse::<UserId>()).transpose();
        let time = |text: Option<String>| text.as_deref().map(query_time).transpose();
        let (actor, subject) = (account(self.actor), account(self.subject));
        for (pointer, id) in [("/actor", &actor), ("/subject", &subject)] {
            if id.is_err() {
                check(pointer, "not_an_id", "must be a UUID");
            }
        }
        let (from, to): (Result<Option<Timestamp>, _>, _) = (time(self.from), time(self.to));
        for (pointer, at) in [("/from", &from), ("/to", &to)] {
            if at.is_err() {
                check(pointer, "not_a_time", "must be a time such as 2026-11-21T08:00:00.000Z");
            }
        }
        let kind = self.kind.as_deref().map(str::parse::<AuditKind>).transpose();
        if kind.is_err() {
            let known: Vec<&str> = AuditKind::ALL.into_iter().map(AuditKind::as_str).collect();
            check("/kind", "unknown_name", &format!("must be one of {}", known.join(", ")));
        }
        match (limit, actor, subject, kind, from, to) {
            (Some(limit), Ok(actor), Ok(subject), Ok(kind), Ok(from), Ok(to)) => {
                page(AuditFilter { actor, subject, kind, from, to }, self.cursor.as_deref(), limit)
            }
            _ => Err(UserError::Invalid(faults).into()),
        }
    }
}

fn limit_of(limit: Option<i64>) -> Option<u32> {
    let limit = u32::try_from(limit.unwrap_or_else(|| DEFAULT_LIMIT.into())).ok();
    limit.filter(|limit| (1..=MAX_LIMIT).contains(limit))
}

fn page(filter: AuditFilter, cursor: Option<&str>, limit: u32) -> Result<AuditRequest, Problem> {
    let cursor = cursor.map(|text| AuditCursor::decode(text, &filter)).transpose()?;
    Ok(AuditRequest { filter, cursor, limit })
}

/// An entry of the audit.
#[derive(Serialize, ToSchema)]
pub struct AuditEntryView {
    /// The account that acted; null if it was the portal itself, its operator, or an unknown holder of a
    /// token.
    #[schema(value_type = Option<uuid::Uuid>)]
    actor: Option<UserId>,
    /// The account that it was done to.
    #[schema(value_type = uuid::Uuid)]
    subject: UserId,
    /// The kind, such as `role_editor`, `history_withdrawn`, `session_begun`, `password_changed`.
    #[schema(example = "session_begun")]
    kind: &'static str,
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The network that the request came from: the first 24 bits of an IPv4 address or 48 of an IPv6 address.
    /// Null if it is unknown, or if the entry names an erased person.
    #[schema(example = "192.0.2.0/24")]
    address: Option<String>,
}

impl From<&AuditEntry> for AuditEntryView {
    fn from(entry: &AuditEntry) -> Self {
        Self {
            actor: entry.origin.actor,
            subject: entry.subject,
            kind: entry.kind.as_str(),
            at: entry.origin.at,
            address: entry.origin.network.map(|network| network.to_string()),
        }
    }
}

/// A page of the audit.
#[derive(Serialize, ToSchema)]
pub struct AuditView {
    /// The entries, the newest first.
    entries: Vec<AuditEntryView>,
    /// The cursor of the next page; null at the end.
    next_cursor: Option<String>,
}

/// Returns the entries of the audit about an account, the newest first.
///
/// An entry is written in the transaction of its effect, and kept for 400 days (a setting). A session that
/// expires leaves no entry.
#[utoipa::path(get, path = "/{id}/audit", tag = "audit", params(UserPath, PageQuery), security(("bearer" = [])), responses(
    (status = 200, description = "The page. `Link` names the next one.", body = AuditView),
    (status = 401, description = "`unauthenticated`, `invalid_token`"),
    (status = 403, description = "`role_required`"),
    (status = 422, description = "`invalid`: the limit is out of its bounds; `bad_cursor`."),
))]
pub async fn list_account_audit(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    _: CurrentUser,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let fault = || FieldFault::new("/limit", "out_of_range", "must be between 1 and 100");
    let limit = limit_of(query.limit).ok_or_else(|| UserError::field(fault()))?;
    let filter = AuditFilter { subject: Some(id), ..AuditFilter::default() };
    let request = page(filter, query.cursor.as_deref(), limit)?;
    respond(&users, &request, &format!("/{id}/audit?limit={limit}")).await
}

/// Returns the entries of the audit that pass all filters, the newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), security(("bearer" = [])), responses(
    (status = 200, description = "The page. `Link` names the next one.", body = AuditView),
    (status = 401, description = "`unauthenticated`, `invalid_token`"),
    (status = 403, description = "`role_required`"),
    (status = 422, description = "`invalid`: `errors` names the parameters; `bad_cursor`."),
))]
pub async fn list_audit(
    State(users): State<Users>,
    _: CurrentUser,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let request = query.parse()?;
    respond(&users, &request, &path_of(&request)).await
}

/// Returns the path of the list of a request, without a cursor.
fn path_of(AuditRequest { filter, limit, .. }: &AuditRequest) -> String {
    let AuditFilter { actor, subject, kind, from, to } = filter;
    let parameters = [
        ("actor", actor.map(|id| id.to_string())),
        ("subject", subject.map(|id| id.to_string())),
        ("kind", kind.map(|kind| kind.as_str().to_owned())),
        ("from", from.map(|at| at.to_string())),
        ("to", to.map(|at| at.to_string())),
    ];
    let parameters = parameters.into_iter().filter_map(|(name, value)| Some(format!("&{name}={}", value?)));
    format!("/audit?limit={limit}{}", parameters.collect::<String>())
}

async fn respond(users: &Users, request: &AuditRequest, path: &str) -> Result<Response, Problem> {
    let AuditPage { entries, next } = users.app.audit(request).await?;
    let next_cursor = next.map(|cursor| cursor.encode(&request.filter));
    let first = format!("{}{path}", users.base);
    let links = Links::default()
        .with("first", &first)
        .with_some("next", next_cursor.as_ref().map(|cursor| format!("{first}&cursor={cursor}")));
    let entries = entries.iter().map(AuditEntryView::from).collect();
    let mut response = private(StatusCode::OK, AuditView { entries, next_cursor });
    links.set(&mut response);
    Ok(response)
}
