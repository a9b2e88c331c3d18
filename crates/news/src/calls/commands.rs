//! Commands on articles as messages and back.

use bus::Call;
use bytes::Bytes;
use kernel::{Expected, Identity, Refusal, Timestamp, Version};
use prost::Message;
use proto::news::v1 as messages;
use sha2::{Digest, Sha256};

use super::{Calls, Failure, decoded, id_of, unreadable};
use crate::app::{Command, Done, NewArticle, Target};
use crate::codec::{capitalised, encode};
use crate::domain::{Action, CorrectionInput, StoryInput, StoryPatch};
use crate::ports::CommandKey;

/// The longest key: the longest one that the edge accepts, and the mark of a key for retries.
const LONGEST_KEY: usize = 256;

impl Calls {
    pub(super) async fn command(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::CommandRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        let id = request.id.clone();
        let target = target(request)?;
        let key = self.key(call, &id, &target, caller.as_ref())?;
        let Done { article, replayed } = self.app.command(Command { caller, key, target }).await?;
        Ok(messages::CommandReply { article: Some(encode(&article, true)), replayed }.encode_to_vec().into())
    }

    /// Returns the key of a command on the article `id`. Without an account there is none, because the
    /// command is refused.
    fn key(
        &self,
        call: &Call,
        id: &str,
        target: &Target,
        caller: Option<&Identity>,
    ) -> Result<Option<CommandKey>, Refusal> {
        let (Some(key), Some(caller)) = (&call.idempotency_key, caller) else { return Ok(None) };
        if key.is_empty() || key.len() > LONGEST_KEY {
            return Err(unreadable("its idempotency key has no or too many characters"));
        }
        let name = match target {
            Target::New(_) => "create",
            Target::Existing { action, .. } => action.transition().as_str(),
        };
        let at = self.app.now();
        Ok(Some(CommandKey {
            owner: caller.user,
            // Stored: the names of the first release.
            command: format!("{}Article {id}", capitalised(name)),
            key: key.clone(),
            fingerprint: hex::encode(Sha256::digest(&call.body)),
            at,
            until: self.app.kept_until(at),
        }))
    }
}

fn target(request: messages::CommandRequest) -> Result<Target, Failure> {
    use messages::command_request::Action as Requested;
    let action = match request.action.ok_or_else(|| unreadable("it has no action that this section knows"))? {
        Requested::Create(new) => return Ok(Target::New(new_article(new))),
        Requested::Revise(fields) => Action::Revise(story_input(fields)),
        Requested::Patch(patch) => Action::Patch(story_patch(patch)),
        Requested::Publish(_) => Action::Publish,
        Requested::Delete(_) => Action::Delete,
        Requested::Unpublish(_) => Action::Unpublish,
        Requested::Restore(restore) => Action::Restore(Version::new(restore.version)),
        Requested::Undelete(_) => Action::Undelete,
        Requested::Submit(_) => Action::Submit,
        Requested::Return(back) => Action::Return(back.note),
        Requested::Approve(_) => Action::Approve,
        Requested::Schedule(schedule) => Action::Schedule(Timestamp::from_millis(schedule.at_ms)),
        Requested::Unschedule(_) => Action::Unschedule,
        Requested::Correct(correct) => Action::Correct(correction(correct)),
        Requested::Retract(retract) => Action::Retract(retract.reason),
        Requested::Reinstate(_) => Action::Reinstate,
    };
    Ok(Target::Existing { id: id_of(&request.id)?, expected: expected(request.expected)?, action })
}

fn expected(expected: Option<messages::Expected>) -> Result<Expected, Refusal> {
    let expected = expected.ok_or_else(|| unreadable("it names no expected version"))?;
    if expected.any {
        return Ok(Expected::Any);
    }
    Ok(Expected::OneOf(expected.versions.into_iter().map(Version::new).collect()))
}

fn new_article(new: messages::CreateArticle) -> NewArticle {
    NewArticle { story: story_input(new.fields.unwrap_or_default()), publish: new.publish }
}

fn story_input(fields: messages::ArticleFields) -> StoryInput {
    StoryInput {
        title: fields.title,
        description: fields.description,
        content: fields.content,
        tags: fields.tags,
        lang: fields.lang,
        image: fields.image,
        region: fields.region,
        byline: fields.author,
    }
}

fn story_patch(patch: messages::ArticlePatch) -> StoryPatch {
    StoryPatch {
        title: patch.title,
        description: patch.description,
        content: patch.content,
        tags: patch.tags.map(|tags| tags.tags),
        lang: patch.lang,
        image: patch.image,
        region: patch.region,
        byline: patch.author,
    }
}

fn correction(correct: messages::CorrectArticle) -> CorrectionInput {
    let patch = correct.patch.map(story_patch).unwrap_or_default();
    CorrectionInput { kind: correct.kind, text: correct.text, patch }
}
