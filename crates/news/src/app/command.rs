//! The one way in which articles change.

use chassis::Context;
use kernel::{ArticleId, Expected, Identity, MessageId};
use uuid::Uuid;

use super::{App, Done, NewArticle, NewsError, newest};
use crate::codec;
use crate::domain::{AccessDenied, Action, ActionError, Article, Change, Event, allowed, may_change};
use crate::ports::{AppendError, ChangeWithMessage, CommandKey};

/// A change that a caller wants.
#[derive(Debug, Clone)]
pub struct Command {
    /// The caller; `None` without a token.
    pub caller: Option<Identity>,
    /// The idempotency key, if the command came under one. The effect is stored once under it.
    pub key: Option<CommandKey>,
    /// The article and the change.
    pub target: Target,
}

/// The article that a command is about.
#[derive(Debug, Clone)]
pub enum Target {
    /// An article that does not exist yet.
    New(NewArticle),
    /// An article that exists.
    Existing {
        /// The article.
        id: ArticleId,
        /// The version that the caller has seen.
        expected: Expected,
        /// The change.
        action: Action,
    },
}

impl App {
    /// Carries out a command, or returns the answer that it got before under the same key.
    pub async fn command(&self, command: Command) -> Result<Done, NewsError> {
        let Command { caller, key, target } = command;
        let work = async {
            let caller = caller.as_ref().ok_or(AccessDenied::Anonymous)?;
            match target {
                Target::New(new) => self.create(caller, new, key.as_ref()).await,
                Target::Existing { id, expected, action } => {
                    self.change(caller, id, &expected, &action, key.as_ref()).await
                }
            }
        };
        self.once(key.as_ref(), work).await
    }

    /// Adds a version to an article that exists. It asks in this order: whether the caller is allowed to,
    /// whether the caller has seen the version, whether the state machine has the transition, whether the
    /// fields are valid.
    ///
    /// A caller who expects any version does not lose against others: the action is tried again on the
    /// version that they wrote.
    async fn change(
        &self,
        caller: &Identity,
        id: ArticleId,
        expected: &Expected,
        action: &Action,
        key: Option<&CommandKey>,
    ) -> Result<Article, NewsError> {
        let at = self.clock.now();
        loop {
            let article = self.events.latest(id).await?.ok_or(AccessDenied::NotThere)?;
            let standing = may_change(caller, action.transition(), &article, &self.newsroom)?;
            if !expected.admits(article.version) {
                return Err(NewsError::Stale { current: Some(article.version) });
            }
            let older = match action.older_version(&article) {
                Some(version) => self.events.version(id, version).await?,
                None => None,
            };
            let change = action.apply(&article, older.as_ref(), caller, standing, at);
            let Some(change) = change.map_err(|error| self.refusal(error, caller, &article))? else {
                return Ok(article);
            };
            let changes = self.with_messages(vec![change]);
            match self.append(&changes, key).await {
                Err(AppendError::Stale { .. }) if *expected == Expected::Any => {}
                outcome => {
                    outcome?;
                    return newest(changes);
                }
            }
        }
    }

    /// Returns the refusal of an action, with what the caller can do instead.
    fn refusal(&self, error: ActionError, caller: &Identity, article: &Article) -> NewsError {
        match error {
            ActionError::Invalid(faults) => NewsError::Invalid(faults),
            ActionError::Illegal(illegal) => {
                NewsError::Illegal { illegal, allowed: allowed(caller, article, &self.newsroom) }
            }
        }
    }

    /// Joins changes with the messages that announce them, and gives each its nonce.
    pub(super) fn with_messages(&self, changes: Vec<Change>) -> Vec<ChangeWithMessage> {
        let trace = Context::current().trace;
        let with_message = |change: Change| {
            let change = Change { nonce: Some(Uuid::new_v4()), ..change };
            let message = codec::event_message(&change, MessageId::new(self.ids.next()), trace);
            ChangeWithMessage { change, message }
        };
        changes.into_iter().map(with_message).collect()
    }

    /// Stores changes together with their messages.
    pub(super) async fn append(
        &self,
        changes: &[ChangeWithMessage],
        key: Option<&CommandKey>,
    ) -> Result<(), AppendError> {
        self.events.append(changes, key).await?;
        for ChangeWithMessage { change, .. } in changes {
            let article = &change.article;
            tracing::info!(
                article = %article.id,
                version = article.version.number(),
                section = %article.section,
                by = %change.by,
                event = %change.event,
                "an article has a new version"
            );
            if change.event == Event::Scheduled {
                self.scheduled.notify_one();
            }
        }
        Ok(())
    }
}
