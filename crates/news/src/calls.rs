//! Calls over the bus: decode → app → encode. This is where a token becomes an identity.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Call, CallHandler};
use bytes::Bytes;
use chassis::Verifier;
use kernel::{ArticleId, Expected, Fault, Identity, Kind, Refusal, Version};
use prost::Message;
use proto::news::v1 as wire;

use crate::app::{App, CreateArticle, ListArticles, NewsError, ReviseArticle, Revision};
use crate::domain::{Article, Denied, StoryInput, StoryPatch};
use crate::ports::Listing;
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
        // An id that is none names nothing, as one that was never given out.
        let ids: Vec<ArticleId> = request.ids.iter().filter_map(|id| id.parse().ok()).collect();
        let listing = self.app.pick(&ids).await?;
        Ok(listed(&listing, true))
    }

    async fn list(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::ListArticlesRequest = decoded(call)?;
        let with_content = request.include_content;
        let list = ListArticles { offset: request.offset, limit: request.limit, with_content };
        let listing = self.app.list(list).await?;
        Ok(listed(&listing, with_content))
    }

    async fn create(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::CreateArticleRequest = decoded(call)?;
        let who = self.who(call).await?;
        let (story, byline) = fields(request.fields.unwrap_or_default());
        replied(
            self.app.create(who.as_ref(), CreateArticle { story, byline, publish: request.publish }).await,
        )
    }

    async fn revise(&self, call: &Call) -> Result<Bytes, Failure> {
        use wire::revise_article_request::Change;
        let request: wire::ReviseArticleRequest = decoded(call)?;
        let who = self.who(call).await?;
        let (revision, byline) = match request.change.ok_or_else(|| unreadable("it says nothing new"))? {
            Change::Full(full) => {
                let (story, byline) = fields(full);
                (Revision::Full(story), byline)
            }
            Change::Patch(changes) => {
                let (story, byline) = patch(changes);
                (Revision::Patch(story), byline)
            }
        };
        let (id, expected) = (id_of(&request.id)?, expected(request.expected)?);
        replied(self.app.revise(who.as_ref(), ReviseArticle { id, expected, revision, byline }).await)
    }

    async fn publish(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::PublishArticleRequest = decoded(call)?;
        let who = self.who(call).await?;
        let expected = expected(request.expected)?;
        replied(self.app.publish(who.as_ref(), id_of(&request.id)?, &expected).await)
    }

    async fn delete(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::DeleteArticleRequest = decoded(call)?;
        let who = self.who(call).await?;
        let expected = expected(request.expected)?;
        let article = self.app.delete(who.as_ref(), id_of(&request.id)?, &expected).await?;
        let reply =
            wire::DeleteArticleReply { id: article.id.to_string(), version: article.version.number() };
        Ok(reply.encode_to_vec().into())
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

fn expected(expected: Option<wire::Expected>) -> Result<Expected, Refusal> {
    let expected = expected.ok_or_else(|| unreadable("it names no expected version"))?;
    if expected.any {
        return Ok(Expected::Any);
    }
    Ok(Expected::OneOf(expected.versions.into_iter().map(Version::new).collect()))
}

fn replied(outcome: Result<Article, NewsError>) -> Result<Bytes, Failure> {
    Ok(wire::ArticleReply { article: Some(encode(&outcome?, true)) }.encode_to_vec().into())
}

fn listed(listing: &Listing, with_content: bool) -> Bytes {
    let articles = listing.articles.iter().map(|article| encode(article, with_content)).collect();
    wire::ListArticlesReply { articles, total: listing.total }.encode_to_vec().into()
}

fn fields(fields: wire::ArticleFields) -> (StoryInput, Option<String>) {
    let story = StoryInput {
        title: fields.title,
        description: fields.description,
        content: fields.content,
        tags: fields.tags,
        lang: fields.lang,
        image: fields.image,
        region: fields.region,
    };
    (story, fields.author)
}

fn patch(patch: wire::ArticlePatch) -> (StoryPatch, Option<String>) {
    let story = StoryPatch {
        title: patch.title,
        description: patch.description,
        content: patch.content,
        tags: patch.tags.map(|tags| tags.tags),
        lang: patch.lang,
        image: patch.image,
        region: patch.region,
    };
    (story, patch.author)
}
