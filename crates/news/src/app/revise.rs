use kernel::{ArticleId, Expected};

use super::create::checked;
use super::{App, NewsError, Writer};
use crate::domain::{Article, Byline, Command, Denied, StoryInput, StoryPatch};

/// A new version of an article, as somebody sent it.
#[derive(Debug, Clone)]
pub struct ReviseArticle {
    /// The article.
    pub id: ArticleId,
    /// The version that the writer has seen.
    pub expected: Expected,
    /// What it says from now on.
    pub revision: Revision,
    /// The byline; absent where it stays.
    pub byline: Option<String>,
}

/// All of an article, or some of it.
#[derive(Debug, Clone)]
pub enum Revision {
    /// Replaces every field; an absent language stays.
    Full(StoryInput),
    /// Replaces what it names.
    Patch(StoryPatch),
}

impl Revision {
    fn is_empty(&self) -> bool {
        matches!(self, Revision::Patch(patch) if *patch == StoryPatch::default())
    }
}

impl App {
    /// Adds a version; nothing is ever overwritten. A patch that names no field adds none: it returns the article as it is, to a
    /// writer who may change it and has seen its version.
    pub async fn revise(&self, writer: Writer<'_>, revise: ReviseArticle) -> Result<Article, NewsError> {
        let ReviseArticle { id, expected, revision, byline } = revise;
        let at = self.clock.now();
        if revision.is_empty() && byline.is_none() {
            let who = writer.who.ok_or(Denied::Anonymous)?;
            let article = self.changeable(who, Command::Revise, id, &expected).await?;
            article.revise(article.story.clone(), article.byline.clone(), who.user, at)?;
            return Ok(article);
        }
        self.change(writer, Command::Revise, id, &expected, |who, article| {
            // The state machine speaks before the fields do: what can't be revised at all needs no better title.
            article.revise(article.story.clone(), article.byline.clone(), who.user, at)?;
            let story = match &revision {
                Revision::Full(input) => {
                    let mut input = input.clone();
                    input.lang = input.lang.or_else(|| article.story.lang.clone());
                    crate::domain::Story::parse(input)
                }
                Revision::Patch(patch) => article.story.patched(patch.clone()),
            };
            let byline = match &byline {
                Some(text) => Byline::typed(text, Some(&article.byline), who),
                None => Ok(article.byline.clone()),
            };
            let (story, byline) = checked(story, byline)?;
            Ok(article.revise(story, byline, who.user, at)?)
        })
        .await
    }
}
