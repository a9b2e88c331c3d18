//! Exports: everything that the portal stores about a person, as one document.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use chassis::StoreFailure;
use chassis::http::{Caller, Path, Problem};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use kernel::{Kind, Refusal, SessionId, Timestamp};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::audit::AuditEntryView;
use super::caller::LiveSession;
use super::views::{ConsentBody, ListedSessionView, UserView};
use super::{UserPath, Users};
use crate::NAME;
use crate::app::{Export, ExportData};
use crate::domain::{ExportPart, PartSource};

/// The seconds after which a client asks again for an export that is not complete.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("1");
/// The bytes of a part around its items, at most.
const FRAME: usize = 200;

/// A part of an export.
#[derive(Serialize, ToSchema)]
pub struct PartView<T> {
    /// The service that has it.
    service: &'static str,
    /// The time at which the service answered.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// True if items were left out, because the part would have been too large.
    cut: bool,
    /// The data.
    data: T,
}

/// A part that has not arrived.
#[derive(Serialize, ToSchema)]
pub struct MissingPartView {
    /// The part, such as `articles`.
    part: &'static str,
    /// The service that has it.
    service: &'static str,
}

/// The beginning of an export: its state, and the parts of this service.
#[derive(Serialize, ToSchema)]
pub struct ExportHead {
    /// `complete`, or `incomplete` if parts are missing.
    state: &'static str,
    /// The parts that have not arrived.
    missing: Vec<MissingPartView>,
    /// The account.
    #[schema(inline)]
    account: PartView<UserView>,
    /// The sessions that have not ended.
    #[schema(inline)]
    sessions: PartView<Vec<ListedSessionView>>,
    /// The consent.
    #[schema(inline)]
    consent: PartView<ConsentBody>,
    /// The entries of the audit about the person, the newest first. There are at most 10,000; older entries
    /// are at `/{id}/audit`.
    #[schema(inline)]
    audit: PartView<Vec<AuditEntryView>>,
}

/// The part of another service, as the service sent it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `write_document` writes")]
pub struct ForeignPartView {
    /// The service that has it.
    service: String,
    /// The time at which the service answered.
    #[schema(value_type = String, format = DateTime)]
    at: String,
    /// True if items were left out, because the part would have been larger than 8 MiB.
    cut: bool,
    /// The items.
    #[schema(value_type = Vec<Object>)]
    data: Vec<String>,
}

/// An export.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `write_document` writes")]
pub struct ExportDocument {
    #[schema(inline)]
    #[serde(flatten)]
    head: ExportHead,
    /// All articles that the person wrote, in every state, at their newest version: one part for each section
    /// that has answered. An article that every reader can see has the address of its text in `content_at`;
    /// any other article has the text itself in `content`.
    articles: Vec<ForeignPartView>,
    /// The readings of the person that are kept (a week); null if they have not arrived.
    readings: Option<ForeignPartView>,
    /// The labels that the person likes, at most 10,000, the heaviest first; null if they have not arrived.
    labels: Option<ForeignPartView>,
    /// The consent by which recommendations treats the person; null if it has not arrived.
    settings: Option<ForeignPartView>,
}

/// Exports everything that the portal stores about the caller, as one document.
///
/// Every service is asked for its part. What has arrived before the deadline of the request is kept for a
/// day: ask again after `Retry-After`, and the export goes on where it was. A complete export leaves nothing
/// behind, so the next request begins a new one. A part that has not arrived is named in `missing`.
#[utoipa::path(get, path = "/{id}/export", tag = "users", params(UserPath), security(("bearer" = [])), responses(
    (status = 200, description = "The complete document.", body = ExportDocument),
    (status = 202, description = "The parts that have arrived. `Retry-After` says when to ask again.", body = ExportDocument),
    (status = 401, description = "`unauthenticated`, `invalid_token`"),
    (status = 403, description = "`role_required`"),
    (status = 404, description = "`not_found`: the account was erased meanwhile."),
    (status = 503, description = "`busy`: too many exports are being made; repeat the request after `Retry-After`."),
))]
pub async fn export_data(
    State(users): State<Users>,
    Path(UserPath { .. }): Path<UserPath>,
    LiveSession { identity, origin, .. }: LiveSession,
    Caller { token, .. }: Caller,
) -> Result<Response, Problem> {
    let unauthenticated =
        || Refusal::new(Kind::Unauthenticated, "unauthenticated", Kind::Unauthenticated.sentence());
    let token = token.ok_or_else(unauthenticated)?.to_string();
    let export = users.app.export(ExportData { person: identity.user, token, origin }).await?;
    let is_complete = export.missing().next().is_none();
    let (document, permit) = write_document(export, identity.session)?;
    let mut response =
        Response::new(Body::from(Bytes::from_owner(HeldDocument { document, _permit: permit })));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // No cache may keep so much about a person.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !is_complete {
        headers.insert(RETRY_AFTER, ASK_AGAIN);
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

/// A document with its place among the exports: the place is free again when the document was sent.
struct HeldDocument {
    document: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for HeldDocument {
    fn as_ref(&self) -> &[u8] {
        &self.document
    }
}

/// Writes an [`ExportDocument`]. The parts of other services are JSON already, and are copied as they are.
fn write_document(export: Export, current: SessionId) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let missing: Vec<MissingPartView> = export
        .missing()
        .map(|source| MissingPartView { part: source.part(), service: source.service() })
        .collect();
    let Export { account, sessions, consent, audit, is_audit_cut, at, parts, permit } = export;
    let head = ExportHead {
        state: if missing.is_empty() { "complete" } else { "incomplete" },
        missing,
        account: own_part(at, UserView::from(account)),
        sessions: own_part(at, sessions.iter().map(|it| ListedSessionView::new(it, current)).collect()),
        consent: own_part(at, ConsentBody::from(consent)),
        audit: PartView {
            cut: is_audit_cut,
            ..own_part(at, audit.iter().map(AuditEntryView::from).collect())
        },
    };
    let mut document = serde_json::to_string(&head).map_err(StoreFailure::from)?;
    // The members of the other services follow before the closing brace.
    document.pop();
    document.reserve(parts.iter().map(|part| part.items.len() + FRAME).sum());
    let (articles, others): (Vec<&ExportPart>, Vec<&ExportPart>) = parts
        .iter()
        .filter(|part| part.is_complete)
        .partition(|part| matches!(part.source, PartSource::Articles(_)));
    document.push_str(",\"articles\":[");
    for (index, part) in articles.into_iter().enumerate() {
        document.push_str(if index == 0 { "" } else { "," });
        write_part(&mut document, part);
    }
    document.push(']');
    for source in [PartSource::Readings, PartSource::Labels, PartSource::Settings] {
        document.push_str(&format!(",\"{}\":", source.part()));
        match others.iter().find(|part| part.source == source) {
            Some(part) => write_part(&mut document, part),
            None => document.push_str("null"),
        }
    }
    document.push('}');
    Ok((document.into_bytes(), permit))
}

fn own_part<T>(at: Timestamp, data: T) -> PartView<T> {
    PartView { service: NAME, at, cut: false, data }
}

/// Appends a part as JSON. Its items are JSON objects, separated by commas.
fn write_part(document: &mut String, ExportPart { source, items, is_cut, at, .. }: &ExportPart) {
    let service = source.service();
    document.push_str(&format!("{{\"service\":\"{service}\",\"at\":\"{at}\",\"cut\":{is_cut},\"data\":["));
    document.push_str(items);
    document.push_str("]}");
}
