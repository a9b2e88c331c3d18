//! Calls over the bus: decode → app → encode. This is where a token becomes an identity.

mod commands;
mod lists;
mod past;

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Call, CallHandler};
use bytes::Bytes;
use chassis::Verifier;
use kernel::{ArticleId, Fault, Identity, Kind, Refusal, Version};
use prost::Message;
use proto::news::v1 as wire;

use crate::app::{App, NewsError};
use crate::domain::{Article, Denied, Filter};
use crate::wire::encode;

/// Why a call has no reply. The bus tells the caller, and logs what lies with us.
type Failure = Box<dyn Fault>;

/// Answers `news.<section>.calls`.
pub struct Calls {
    app: Arc<App>,
    verifier: Arc<Verifier>,
}

impl Calls {
    /// Calls to this section, from whoever `verifier` believes them to be.
    pub fn new(app: Arc<App>, verifier: Arc<Verifier>) -> Self {
        Self { app, verifier }
    }

    async fn who(&self, call: &Call) -> Result<Option<Identity>, Failure> {
        let Some(token) = &call.token else { return Ok(None) };
        Ok(Some(self.verifier.verify(token).await?))
    }

    async fn get(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::GetArticleRequest = decoded(call)?;
        let who = self.who(call).await?;
        let version = request.min_version.map(Version::new);
        replied(self.app.get(who.as_ref(), id_of(&request.id)?, version).await)
    }

    async fn pick(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::GetArticlesRequest = decoded(call)?;
        let who = self.who(call).await?;
        // An id that is none names nothing, as one that was never given out.
        let ids: Vec<ArticleId> = request.ids.iter().filter_map(|id| id.parse().ok()).collect();
        let filter = Filter { states: lists::states(&request.states)?, ..Filter::default() };
        if request.sizes_only {
            return Ok(lists::sized(&self.app.sizes(who.as_ref(), &ids, filter).await?));
        }
        if request.without_content {
            return Ok(lists::picked(&self.app.pick(who.as_ref(), &ids, filter).await?));
        }
        Ok(lists::with_texts(&self.app.pick_texts(who.as_ref(), &ids, filter).await?, 0))
    }

    async fn list(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::ListArticlesRequest = decoded(call)?;
        let who = self.who(call).await?;
        let (keys_only, with_content) = (request.keys_only, request.include_content);
        let part = lists::part(request)?;
        if keys_only {
            let positions = self.app.positions(who.as_ref(), part).await;
            return Ok(lists::positioned(&positions?));
        }
        if with_content {
            let (texts, total) = self.app.list_texts(who.as_ref(), part).await?;
            return Ok(lists::with_texts(&texts, total));
        }
        Ok(lists::listed(&self.app.list(who.as_ref(), part).await?))
    }
}

#[async_trait]
impl CallHandler for Calls {
    async fn call(&self, call: &Call) -> Result<Bytes, Failure> {
        match call.method.as_str() {
            "GetArticle" => self.get(call).await,
            "GetArticles" => self.pick(call).await,
            "ListArticles" => self.list(call).await,
            "CreateArticle" => self.create(call).await,
            "ReviseArticle" => self.revise(call).await,
            "PublishArticle" => self.publish(call).await,
            "DeleteArticle" => self.delete(call).await,
            "UnpublishArticle" => self.unpublish(call).await,
            "RestoreArticle" => self.restore(call).await,
            "UndeleteArticle" => self.undelete(call).await,
            "GetHistory" => self.history(call).await,
            "GetVersion" => self.version(call).await,
            "DiffVersions" => self.compare(call).await,
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

/// An id that can't be read names nothing.
fn id_of(text: &str) -> Result<ArticleId, NewsError> {
    text.parse().map_err(|_| Denied::NotThere.into())
}

fn replied(outcome: Result<Article, NewsError>) -> Result<Bytes, Failure> {
    Ok(wire::ArticleReply { article: Some(encode(&outcome?, true)), replayed: false }.encode_to_vec().into())
}
