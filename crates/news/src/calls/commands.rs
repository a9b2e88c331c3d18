//! Commands: who gives them, under which key, and what they lead to.

use bus::Call;
use bytes::Bytes;
use kernel::{Expected, Identity, Refusal, Version};
use prost::Message;
use proto::news::v1 as wire;
use sha2::{Digest, Sha256};

use super::{Calls, Failure, decoded, id_of, unreadable};
use crate::app::{CreateArticle, Done, NewsError, RestoreArticle, ReviseArticle, Revision, Writer};
use crate::domain::{StoryInput, StoryPatch};
use crate::ports::Once;
use crate::wire::encode;

/// The longest key: what the edge lets through, and the mark of a key for retries.
const LONGEST_KEY: usize = 256;

/// Who gives a command, and under which key.
struct Giver {
    who: Option<Identity>,
    once: Option<Once>,
}

impl Giver {
    fn writer(&self) -> Writer<'_> {
        Writer { who: self.who.as_ref(), once: self.once.as_ref() }
    }
}

impl Calls {
    /// Who gives this command on `subject` (nothing yet, where it is a creation).
    async fn giver(&self, call: &Call, subject: &str) -> Result<Giver, Failure> {
        let who = self.who(call).await?;
        let once = match (&call.idempotency_key, &who) {
            (Some(key), _) if key.is_empty() || key.len() > LONGEST_KEY => {
                return Err(unreadable("its idempotency key has no or too many characters").into());
            }
            (Some(key), Some(who)) => {
                let at = self.app.now();
                Some(Once {
                    owner: who.user,
                    command: format!("{} {subject}", call.method),
                    key: key.clone(),
                    fingerprint: hex::encode(Sha256::digest(&call.body)),
                    at,
                    until: self.app.kept_until(at),
                })
            }
            // Nobody gives commands without an account.
            _ => None,
        };
        Ok(Giver { who, once })
    }

    pub(super) async fn create(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::CreateArticleRequest = decoded(call)?;
        let giver = self.giver(call, "").await?;
        let (story, byline) = fields(request.fields.unwrap_or_default());
        let new = CreateArticle { story, byline, publish: request.publish };
        let work = self.app.create(giver.writer(), new);
        article(self.app.once(giver.once.as_ref(), work).await)
    }

    pub(super) async fn revise(&self, call: &Call) -> Result<Bytes, Failure> {
        use wire::revise_article_request::Change;
        let request: wire::ReviseArticleRequest = decoded(call)?;
        let giver = self.giver(call, &request.id).await?;
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
        let work = self.app.revise(giver.writer(), ReviseArticle { id, expected, revision, byline });
        article(self.app.once(giver.once.as_ref(), work).await)
    }

    pub(super) async fn publish(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::PublishArticleRequest = decoded(call)?;
        let giver = self.giver(call, &request.id).await?;
        let (id, expected) = (id_of(&request.id)?, expected(request.expected)?);
        let work = self.app.publish(giver.writer(), id, &expected);
        article(self.app.once(giver.once.as_ref(), work).await)
    }

    pub(super) async fn unpublish(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::UnpublishArticleRequest = decoded(call)?;
        let giver = self.giver(call, &request.id).await?;
        let (id, expected) = (id_of(&request.id)?, expected(request.expected)?);
        let work = self.app.unpublish(giver.writer(), id, &expected);
        article(self.app.once(giver.once.as_ref(), work).await)
    }

    pub(super) async fn restore(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::RestoreArticleRequest = decoded(call)?;
        let giver = self.giver(call, &request.id).await?;
        let (id, expected) = (id_of(&request.id)?, expected(request.expected)?);
        let restore = RestoreArticle { id, expected, version: Version::new(request.version) };
        let work = self.app.restore(giver.writer(), restore);
        article(self.app.once(giver.once.as_ref(), work).await)
    }

    pub(super) async fn delete(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::DeleteArticleRequest = decoded(call)?;
        let giver = self.giver(call, &request.id).await?;
        let (id, expected) = (id_of(&request.id)?, expected(request.expected)?);
        let work = self.app.delete(giver.writer(), id, &expected);
        let Done { article, replayed } = self.app.once(giver.once.as_ref(), work).await?;
        let (id, version) = (article.id.to_string(), article.version.number());
        Ok(wire::DeleteArticleReply { id, version, replayed }.encode_to_vec().into())
    }

    pub(super) async fn undelete(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::UndeleteArticleRequest = decoded(call)?;
        let giver = self.giver(call, &request.id).await?;
        let (id, expected) = (id_of(&request.id)?, expected(request.expected)?);
        let work = self.app.undelete(giver.writer(), id, &expected);
        article(self.app.once(giver.once.as_ref(), work).await)
    }
}

fn article(outcome: Result<Done, NewsError>) -> Result<Bytes, Failure> {
    let Done { article, replayed } = outcome?;
    Ok(wire::ArticleReply { article: Some(encode(&article, true)), replayed }.encode_to_vec().into())
}

fn expected(expected: Option<wire::Expected>) -> Result<Expected, Refusal> {
    let expected = expected.ok_or_else(|| unreadable("it names no expected version"))?;
    if expected.any {
        return Ok(Expected::Any);
    }
    Ok(Expected::OneOf(expected.versions.into_iter().map(Version::new).collect()))
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
