use chassis::http::Caller;
use chassis::{Context, causes};
use futures::future::join_all;
use kernel::{Fault, Section, UserId};

use super::gather::Answered;
use super::{App, ArticleError};
use crate::domain::{
    Article, FrontPage, ListSlice, MAX_BLOCK, MAX_FOR_YOU, MAX_TOP, Suggestion, Taste, for_you,
};
use crate::ports::{SectionError, TastesError};

/// The largest number of a section's newest articles that the front page can need.
const NEWEST: usize = MAX_TOP + MAX_BLOCK;
/// The largest number of a reader's labels that are considered.
const MAX_LABELS: u32 = 20;
/// The number of heaviest labels for which articles are requested. The other labels count on the newest
/// articles only.
const SEARCHED_LABELS: usize = 3;

/// The front page for one caller.
#[derive(Debug)]
pub struct HomePage {
    /// The slice that is the same for everyone.
    pub front: FrontPage,
    /// The slice for this caller.
    pub for_you: ForYou,
    /// The sections that did not answer in time, in the order of [`Section::ALL`].
    pub missing: Vec<Section>,
}

/// The suggestions for the caller.
#[derive(Debug)]
pub enum ForYou {
    /// The caller is not signed in.
    Anonymous,
    /// The suggestions. They are empty if the reader did not consent, or does not like any label yet.
    Ready(Vec<Suggestion>),
    /// The reader's labels are not available now. The rest of the page is complete.
    Unavailable,
}

/// The labels that a reader likes, and the newest articles with these labels.
struct ReaderNews {
    tastes: Vec<Taste>,
    articles: Vec<Article>,
}

impl App {
    /// Returns the front page: top stories, the newest articles of each section and, for a signed-in reader,
    /// suggestions.
    ///
    /// The sections and the personal slice are requested in parallel, each with its own deadline, so the page
    /// is as fast as an anonymous one. If the personal slice fails, the page is made without it.
    ///
    /// # Errors
    /// Fails if no section answered, or if one refused the request itself.
    pub async fn home(&self, caller: &Caller) -> Result<HomePage, ArticleError> {
        let (newest, personal) = tokio::join!(self.newest(), self.news_for(caller));
        let (newest, missing) = newest?;
        let for_you = match personal {
            None => ForYou::Anonymous,
            Some(Err(error)) => {
                // No operator has to act: the page is served, and the breaker logs when the failure is over.
                tracing::warn!(
                    code = error.code().as_str(),
                    cause = causes(&error),
                    "a front page has no suggestions for its reader"
                );
                ForYou::Unavailable
            }
            Some(Ok(ReaderNews { tastes, mut articles })) => {
                articles.extend(newest.iter().flat_map(|(_, articles)| articles.iter().cloned()));
                ForYou::Ready(for_you(articles, &tastes))
            }
        };
        Ok(HomePage { front: FrontPage::compose(newest), for_you, missing })
    }

    async fn newest(&self) -> Result<Answered<Vec<Article>>, ArticleError> {
        let requests = Section::ALL.map(|section| (section, self.newest_of(section, None, NEWEST)));
        self.gather(false).ask(requests).await
    }

    /// Returns the news for a signed-in reader within the budget for it, or `None` for an anonymous caller.
    async fn news_for(&self, caller: &Caller) -> Option<Result<ReaderNews, TastesError>> {
        let reader = caller.identity.as_ref()?.user;
        let context = Context::current().within(self.taste_budget);
        Some(context.scope(self.news_for_reader(reader)).await)
    }

    async fn news_for_reader(&self, reader: UserId) -> Result<ReaderNews, TastesError> {
        let tastes = self.tastes.of(reader, MAX_LABELS).await?;
        let labels = tastes.iter().take(SEARCHED_LABELS).map(|taste| taste.label.key());
        let requests = labels
            .flat_map(|label| Section::ALL.map(|section| self.newest_of(section, Some(label), MAX_FOR_YOU)));
        // The other half of the page names a section that does not answer as missing, and contains its newest
        // articles if it answers there.
        let articles = join_all(requests).await.into_iter().filter_map(Result::ok).flatten().collect();
        Ok(ReaderNews { tastes, articles })
    }

    /// Returns the newest published articles of a section, with this label if there is one.
    ///
    /// The request carries no token: the articles are the same for everyone, and a section must not learn who
    /// likes a label.
    async fn newest_of(
        &self,
        section: Section,
        label: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Article>, SectionError> {
        let mut slice = ListSlice::newest(0, u32::try_from(limit).unwrap_or(u32::MAX));
        slice.filter.label = label.map(str::to_owned);
        Ok(self.sections.list(section, &slice, None).await?.articles)
    }
}
