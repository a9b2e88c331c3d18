//! Calls over the bus: the parts of an export that this service has.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, BusError, Call, CallHandler};
use bytes::Bytes;
use chassis::{Runnable, Verifier};
use kernel::{Fault, Kind, Refusal, UserId};
use prost::Message;
use proto::exports::v1::{ExportReply, ExportRequest};
use serde_json::{Value, json};

use crate::NAME;
use crate::app::{App, VISITS_PAGE};
use crate::domain::{ReaderStatus, Taste, Visit, VisitKey};

/// The address that this service serves. Only users may call it.
const ADDRESS: &str = "exports.recommendations";

/// The reason why a call has no reply.
type Failure = Box<dyn Fault>;

/// Serves the calls to this service. Nothing is answered before the returned value runs.
///
/// # Errors
/// Fails if the bus can't create the queue.
pub async fn serve(bus: &dyn Bus, app: &App, verifier: Arc<Verifier>) -> Result<Box<dyn Runnable>, BusError> {
    bus.serve(NAME, ADDRESS, Arc::new(Calls { app: app.clone(), verifier })).await
}

/// The handler of `exports.recommendations`. It returns what is stored about the verified token's reader, and
/// nothing about anyone else.
struct Calls {
    app: App,
    verifier: Arc<Verifier>,
}

#[async_trait]
impl CallHandler for Calls {
    async fn call(&self, call: &Call) -> Result<Bytes, Failure> {
        match call.method.as_str() {
            "Export" => self.export(call).await,
            _ => Err(malformed("there is no such method").into()),
        }
    }
}

impl Calls {
    async fn export(&self, call: &Call) -> Result<Bytes, Failure> {
        let request =
            ExportRequest::decode(call.body.clone()).map_err(|_| malformed("its body can't be decoded"))?;
        let token = call.token.as_deref().ok_or_else(|| {
            Refusal::new(Kind::Unauthenticated, "unauthenticated", Kind::Unauthenticated.sentence())
        })?;
        let reader = self.verifier.verify(token).await?.user;
        let reply = match request.part.as_str() {
            "readings" => self.readings(reader, &request.after).await?,
            "labels" => self.labels(reader).await?,
            "settings" => self.settings(reader).await?,
            _ => return Err(malformed("this service has no such part of an export").into()),
        };
        Ok(reply.encode_to_vec().into())
    }

    async fn readings(&self, reader: UserId, after: &str) -> Result<ExportReply, Failure> {
        let visits = self.app.export_visits(reader, position(after)?).await?;
        let has_more = visits.len() == VISITS_PAGE as usize;
        let last = visits.last().filter(|_| has_more);
        let next = last.map(|(VisitKey { article, minute }, _)| format!("{article}:{minute}"));
        Ok(ExportReply { items: texts_of(&visits, reading_item), next, cut: false })
    }

    async fn labels(&self, reader: UserId) -> Result<ExportReply, Failure> {
        let (tastes, cut) = self.app.export_tastes(reader).await?;
        Ok(ExportReply { items: texts_of(&tastes, label_item), next: None, cut })
    }

    async fn settings(&self, reader: UserId) -> Result<ExportReply, Failure> {
        let status = self.app.export_status(reader).await?;
        Ok(ExportReply { items: texts_of(status.as_slice(), settings_item), next: None, cut: false })
    }
}

/// Returns each item as JSON.
fn texts_of<T>(stored: &[T], item: fn(&T) -> Value) -> Vec<String> {
    stored.iter().map(|one| item(one).to_string()).collect()
}

/// Reads the position of a page: article and minute, as this service wrote them.
fn position(text: &str) -> Result<Option<VisitKey>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let parse = || -> Option<VisitKey> {
        let (article, minute) = text.split_once(':')?;
        Some(VisitKey { article: article.parse().ok()?, minute: minute.parse().ok()? })
    };
    parse().map(Some).ok_or_else(|| malformed("its position is not one of this service"))
}

fn reading_item((key, visit): &(VisitKey, Visit)) -> Value {
    json!({
        "article": key.article,
        "first_at": visit.first_at,
        "last_at": visit.last_at,
        "labels": visit.labels.iter().map(|label| label.typed().as_str()).collect::<Vec<_>>(),
        "counted": visit.counted,
    })
}

fn label_item(taste: &Taste) -> Value {
    json!({
        "id": taste.label().to_string(),
        "weight": taste.stored_weight(),
        "reads": taste.reads(),
        "last_read_at": taste.last_read_at(),
    })
}

/// This service has one setting: the consent by which it treats the reader, as far as it has arrived here.
fn settings_item(status: &ReaderStatus) -> Value {
    match status {
        ReaderStatus::Known(record) => json!({
            "personalisation": record.consent.personalisation,
            "history": record.consent.history,
            "since": record.since,
        }),
        ReaderStatus::Erased => json!({"erased": true}),
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(Kind::Malformed, "malformed_call", format!("The call can't be read: {why}."))
}
