use kernel::{ArticleId, FieldFault, TextError};

use super::{App, NewsError, Writer};
use crate::domain::{Article, Byline, Denied, Drafting, Slug, Story, StoryInput, may_create};
use crate::ports::AppendError;

/// A new article, as somebody sent it.
#[derive(Debug, Clone, Default)]
pub struct CreateArticle {
    /// What it says.
    pub story: StoryInput,
    /// The byline; absent for the account's name.
    pub byline: Option<String>,
    /// Makes it public at once.
    pub publish: bool,
}

impl App {
    /// Writes a draft, and publishes it at once if that is asked for and allowed: both are stored or nothing is.
    pub async fn create(&self, writer: Writer<'_>, new: CreateArticle) -> Result<Article, NewsError> {
        let who = writer.who.ok_or(Denied::Anonymous)?;
        may_create(who, self.section, new.publish, &self.newsroom)?;
        let mut input = new.story;
        input.lang = input.lang.or_else(|| self.newsroom.language.clone());
        let byline = match &new.byline {
            Some(text) => Byline::typed(text, None, who),
            None => Ok(Byline::of(&who.name, who.user)),
        };
        let (story, byline) = checked(Story::parse(input), byline)?;
        let id = ArticleId::new(self.ids.next());
        let at = self.clock.now();
        let mut outcome = Err(AppendError::SlugTaken);
        // Two articles may have one title. The last candidate holds the id and is always free.
        for slug in Slug::candidates(&story.title, id) {
            let (story, byline) = (story.clone(), byline.clone());
            let mut changes = vec![Article::draft(Drafting {
                id,
                section: self.section,
                slug,
                story,
                byline,
                author: who.user,
                at,
            })];
            if new.publish {
                changes.push(changes[0].article.publish(who.user, at)?);
            }
            let newest = changes[changes.len() - 1].article.clone();
            outcome = self.append(changes, writer.once).await.map(|()| newest);
            if !matches!(outcome, Err(AppendError::SlugTaken)) {
                break;
            }
        }
        outcome.map_err(NewsError::from)
    }
}

/// Story and byline, or every fault of both.
pub(super) fn checked(
    story: Result<Story, Vec<FieldFault>>,
    byline: Result<Byline, TextError>,
) -> Result<(Story, Byline), NewsError> {
    let byline = byline.map_err(|error| FieldFault::new("/author", error.code(), error.to_string()));
    match (story, byline) {
        (Ok(story), Ok(byline)) => Ok((story, byline)),
        (Ok(_), Err(fault)) => Err(NewsError::Invalid(vec![fault])),
        (Err(faults), byline) => Err(NewsError::Invalid(faults.into_iter().chain(byline.err()).collect())),
    }
}
