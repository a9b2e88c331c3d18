use kernel::{ArticleId, Identity};

use super::{App, NewsError};
use crate::domain::{Article, Byline, NewDraft, Slug, Story, StoryInput, may_create, with_byline};
use crate::ports::{AppendError, CommandKey};

/// A new article, as a client sent it.
#[derive(Debug, Clone, Default)]
pub struct NewArticle {
    /// The text and the byline.
    pub story: StoryInput,
    /// Publishes the article immediately.
    pub publish: bool,
}

impl App {
    /// Writes a draft, and publishes it immediately if that is requested and allowed: both are stored or
    /// nothing is.
    pub(super) async fn create(
        &self,
        caller: &Identity,
        new: NewArticle,
        key: Option<&CommandKey>,
    ) -> Result<Article, NewsError> {
        may_create(caller, self.section, new.publish, &self.newsroom)?;
        let mut input = new.story;
        input.lang = input.lang.or_else(|| self.newsroom.language.clone());
        let byline = Byline::by_writer(input.byline.as_deref(), None, caller);
        let (story, byline) = with_byline(Story::parse(input), byline).map_err(NewsError::Invalid)?;
        let (id, at) = (ArticleId::new(self.ids.next()), self.clock.now());
        let candidates = Slug::candidates(&story.title, id);
        let (section, slug, author) = (self.section, candidates[0].clone(), caller.user);
        let mut changes = vec![Article::draft(NewDraft { id, section, slug, story, byline, author, at })];
        if new.publish {
            let published = changes[0].article.publish(author, at);
            let illegal = |illegal| NewsError::Illegal { illegal, allowed: Vec::new() };
            changes.push(published.map_err(illegal)?);
        }
        // Two articles may have one title. The last candidate contains the id and is always free.
        for slug in candidates {
            for change in &mut changes {
                change.article.slug = slug.clone();
            }
            let appended = self.with_messages(changes);
            match self.append(&appended, key).await {
                Err(AppendError::SlugTaken) => {
                    changes = appended.into_iter().map(|each| each.change).collect()
                }
                outcome => {
                    outcome?;
                    return super::newest(appended);
                }
            }
        }
        Err(AppendError::SlugTaken.into())
    }
}
