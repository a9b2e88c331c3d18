//! Calls over the bus: decode → app → encode. The token becomes an identity here.

mod commands;
mod corrections;
mod desk;
mod export;
mod lists;
mod past;

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Call, CallHandler};
use bytes::Bytes;
use chassis::Verifier;
use kernel::{ArticleId, Fault, Identity, Kind, Refusal, Version};
use prost::Message;
use proto::news::v1 as messages;

pub use export::Exports;

use crate::app::{App, NewsError};
use crate::codec::encode;
use crate::domain::{AccessDenied, Article, Filter};

/// The reason why a call has no reply. The bus sends it to the caller, and logs it if the fault is ours.
type Failure = Box<dyn Fault>;

/// The handler of `news.<section>.calls`.
pub struct Calls {
    app: Arc<App>,
    verifier: Arc<Verifier>,
}

impl Calls {
    /// Creates the handler. `verifier` turns the token of a call into an identity.
    pub fn new(app: Arc<App>, verifier: Arc<Verifier>) -> Self {
        Self { app, verifier }
    }

    async fn caller(&self, call: &Call) -> Result<Option<Identity>, Failure> {
        let Some(token) = &call.token else { return Ok(None) };
        Ok(Some(self.verifier.verify(token).await?))
    }

    async fn get(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::GetArticleRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        let version = request.min_version.map(Version::new);
        replied(self.app.get(caller.as_ref(), id_of(&request.id)?, version).await)
    }

    async fn pick(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::GetArticlesRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        // A text that is not an id names no article, like an id that was never assigned.
        let ids: Vec<ArticleId> = request.ids.iter().filter_map(|id| id.parse().ok()).collect();
        let filter = Filter { states: lists::states(&request.states)?, ..Filter::default() };
        if request.sizes_only {
            return Ok(lists::encode_sizes(&self.app.sizes(caller.as_ref(), &ids, filter).await?));
        }
        if request.without_content {
            return Ok(lists::encode_picked(&self.app.pick(caller.as_ref(), &ids, filter).await?));
        }
        Ok(lists::encode_texts(&self.app.pick_texts(caller.as_ref(), &ids, filter).await?, 0))
    }

    async fn list(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::ListArticlesRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        let (keys_only, with_content) = (request.keys_only, request.include_content);
        let part = lists::part(request)?;
        if keys_only {
            let positions = self.app.positions(caller.as_ref(), part).await;
            return Ok(lists::encode_positions(&positions?));
        }
        if with_content {
            let (texts, total) = self.app.list_texts(caller.as_ref(), part).await?;
            return Ok(lists::encode_texts(&texts, total));
        }
        Ok(lists::encode_list(&self.app.list(caller.as_ref(), part).await?))
    }
}

#[async_trait]
impl CallHandler for Calls {
    async fn call(&self, call: &Call) -> Result<Bytes, Failure> {
        match call.method.as_str() {
            "GetArticle" => self.get(call).await,
            "GetArticles" => self.pick(call).await,
            "ListArticles" => self.list(call).await,
            "Command" => self.command(call).await,
            "GetHistory" => self.history(call).await,
            "GetVersion" => self.version(call).await,
            "DiffVersions" => self.compare(call).await,
            "GetProof" => self.proof(call).await,
            "ListCorrections" => self.corrections(call).await,
            "GetDesk" => self.desk(call).await,
            _ => Err(unreadable("there is no such method").into()),
        }
    }
}

fn decoded<M: Message + Default>(call: &Call) -> Result<M, Refusal> {
    M::decode(call.body.clone()).map_err(|_| unreadable("its body can't be decoded"))
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(Kind::Malformed, "malformed_call", format!("The call can't be read: {why}."))
}

/// Parses an id. A text that can't be read names no article.
fn id_of(text: &str) -> Result<ArticleId, NewsError> {
    text.parse().map_err(|_| AccessDenied::NotThere.into())
}

fn replied(outcome: Result<Article, NewsError>) -> Result<Bytes, Failure> {
    Ok(messages::ArticleReply { article: Some(encode(&outcome?, true)) }.encode_to_vec().into())
}
