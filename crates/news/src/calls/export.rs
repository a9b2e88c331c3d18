//! The part of an export that a section has: the articles that the person wrote.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Call, CallHandler};
use bytes::Bytes;
use chassis::Verifier;
use kernel::{ArticleId, Kind, Refusal, Timestamp};
use prost::Message;
use proto::exports::v1 as messages;
use serde_json::{Value, json};

use super::{Failure, decoded, unreadable};
use crate::app::{App, ExportPage};
use crate::domain::{Article, Correction, Order, Position, Retraction, State};

/// The most bytes of the items on a page. An item that is larger is alone on its page.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// The path of the news API at the gateway.
const NEWS: &str = "/news/v1";

/// The handler of `exports.<service>`. It returns what the verified token's person wrote, and nothing of
/// anyone else.
pub struct Exports {
    app: Arc<App>,
    verifier: Arc<Verifier>,
}

impl Exports {
    /// Creates the handler. `verifier` turns the token of a call into an identity.
    pub fn new(app: Arc<App>, verifier: Arc<Verifier>) -> Self {
        Self { app, verifier }
    }

    async fn export(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::ExportRequest = decoded(call)?;
        let token = call.token.as_deref().ok_or_else(|| {
            Refusal::new(Kind::Unauthenticated, "unauthenticated", Kind::Unauthenticated.sentence())
        })?;
        let author = self.verifier.verify(token).await?.user;
        if request.part != "articles" {
            return Err(unreadable("a section has no such part of an export").into());
        }
        let page = self.app.export_articles(author, position_of(&request.after)?).await?;
        Ok(reply_with(&page).encode_to_vec().into())
    }
}

#[async_trait]
impl CallHandler for Exports {
    async fn call(&self, call: &Call) -> Result<Bytes, Failure> {
        match call.method.as_str() {
            "Export" => self.export(call).await,
            _ => Err(unreadable("there is no such method").into()),
        }
    }
}

/// Encodes as many articles of the page as fit, and the position of the last of them if more follow.
fn reply_with(ExportPage { articles, has_more }: &ExportPage) -> messages::ExportReply {
    let (mut items, mut bytes) = (Vec::new(), 0);
    for article in articles {
        let item = item_of(article).to_string();
        bytes += item.len();
        if bytes > MAX_PAGE_BYTES && !items.is_empty() {
            break;
        }
        items.push(item);
    }
    let is_last = !has_more && items.len() == articles.len();
    let last = items.len().checked_sub(1).and_then(|index| articles.get(index)).filter(|_| !is_last);
    let next = last.map(|article| {
        let Position { at, id } = Position::of(article, Order::Oldest);
        format!("{}:{id}", at.millis())
    });
    messages::ExportReply { items, next, cut: false }
}

/// Reads the position of a page: time and article, as this service wrote them.
fn position_of(text: &str) -> Result<Option<Position>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let parse = || -> Option<Position> {
        let (at, id) = text.split_once(':')?;
        let id: ArticleId = id.parse().ok()?;
        Some(Position { at: Timestamp::from_millis(at.parse().ok()?), id })
    };
    parse().map(Some).ok_or_else(|| unreadable("its position is not one of this service"))
}

/// Returns an article as an item of an export: its text, or the address of the text if every reader may
/// request it.
fn item_of(article: &Article) -> Value {
    let Article { section, story, .. } = article;
    let is_public = article.state == State::Published;
    let mut item = json!({
        "id": article.id,
        "type": section.as_str(),
        "version": article.version.number(),
        "state": article.state.as_str(),
        "slug": article.slug.as_str(),
        "title": story.title,
        "description": story.description,
        "author": article.byline.as_str(),
        "tags": story.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(),
        "lang": story.lang,
        "image": story.image,
        "region": story.region,
        "created_at": article.created_at,
        "updated_at": article.updated_at,
        "published_at": article.published_at,
        "scheduled_at": article.scheduled_at,
        "review_note": article.review_note,
        "retraction": article.retraction.as_ref().map(retraction_item),
        "corrections": article.corrections.iter().map(correction_item).collect::<Vec<_>>(),
    });
    let (name, text) = if is_public {
        ("content_at", format!("{NEWS}/{section}/{}", article.id))
    } else {
        ("content", story.content.clone())
    };
    item[name] = text.into();
    item
}

fn correction_item(correction: &Correction) -> Value {
    json!({
        "kind": correction.kind.as_str(),
        "text": correction.text,
        "at": correction.at,
        "version": correction.version.number(),
    })
}

fn retraction_item(retraction: &Retraction) -> Value {
    json!({"reason": retraction.reason, "at": retraction.at})
}
