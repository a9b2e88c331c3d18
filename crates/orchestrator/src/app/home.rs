use chassis::http::Caller;
use chassis::{Context, causes};
use futures::future::join_all;
use kernel::{Fault, Section, UserId};

use super::gather::Answered;
use super::{App, ArticleError};
use crate::domain::{Article, BLOCK, FOR_YOU, Front, Part, Suggestion, TOP, Taste, for_you};
use crate::ports::{SectionError, TastesError};

/// As many of the newest of a section as the front page can need.
const NEWEST: usize = TOP + BLOCK;
/// The most labels of a reader that are looked at.
const LIKED: u32 = 20;
/// For so many of them, the heaviest, the sections are asked; the others count where they are on what is new.
const FOLLOWED: usize = 3;

/// The front page.
#[derive(Debug)]
pub struct Home {
    /// What everybody sees.
    pub front: Front,
    /// What the caller alone sees.
    pub for_you: ForYou,
    /// The sections that did not answer in time, in the order of [`Section::ALL`].
    pub missing: Vec<Section>,
}

/// What follows the labels of whoever asks.
#[derive(Debug)]
pub enum ForYou {
    /// Nobody is signed in.
    Nobody,
    /// What was found; nothing where the reader did not consent, or likes nothing yet.
    Found(Vec<Suggestion>),
    /// What the reader likes could not be asked just now. The rest of the page is as full as ever.
    Away,
}

/// What a reader likes, and articles about it.
struct Followed {
    tastes: Vec<Taste>,
    articles: Vec<Article>,
}

impl App {
    /// The front page: top stories, the newest of each section and, for a signed-in reader, what follows their labels.
    ///
    /// The sections are waited for together, and the personal part has its own deadline beside that: neither waits for the other, so the
    /// page is as fast as if nobody were signed in. If the personal part fails the page is without it.
    ///
    /// # Errors
    /// Only where no section answered, or one refused the request itself.
    pub async fn home(&self, caller: &Caller) -> Result<Home, ArticleError> {
        let (newest, followed) = tokio::join!(self.newest(), self.follow(caller));
        let (newest, missing) = newest?;
        let for_you = match followed {
            None => ForYou::Nobody,
            Some(Err(error)) => {
                // Nobody has to look: the page is served, and the breaker says when it is over.
                tracing::warn!(
                    code = error.code().as_str(),
                    cause = causes(&error),
                    "a front page is without what follows its reader"
                );
                ForYou::Away
            }
            Some(Ok(Followed { tastes, mut articles })) => {
                articles.extend(newest.iter().flat_map(|(_, articles)| articles.iter().cloned()));
                ForYou::Found(for_you(articles, &tastes))
            }
        };
        Ok(Home { front: Front::of(newest), for_you, missing })
    }

    async fn newest(&self) -> Result<Answered<Vec<Article>>, ArticleError> {
        let asked = Section::ALL.map(|section| (section, self.newest_of(section, None, NEWEST)));
        self.gather(false).ask(asked).await
    }

    async fn follow(&self, caller: &Caller) -> Option<Result<Followed, TastesError>> {
        let reader = caller.identity.as_ref()?.user;
        let context = Context::current().within(self.taste_budget);
        Some(context.scope(self.followed_by(reader)).await)
    }

    async fn followed_by(&self, reader: UserId) -> Result<Followed, TastesError> {
        let tastes = self.tastes.of(reader, LIKED).await?;
        let labels = tastes.iter().take(FOLLOWED).map(|taste| taste.label.key());
        let asked = labels
            .flat_map(|label| Section::ALL.map(|section| self.newest_of(section, Some(label), FOR_YOU)));
        // A section that does not answer is named as missing by the other half of the page; what is new is there in any case.
        let articles = join_all(asked).await.into_iter().filter_map(Result::ok).flatten().collect();
        Ok(Followed { tastes, articles })
    }

    /// The newest published articles of a section, with this label where one is given.
    ///
    /// Asked by nobody in particular: everybody gets the same, and a section need not know who likes what.
    async fn newest_of(
        &self,
        section: Section,
        label: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Article>, SectionError> {
        let mut part = Part::newest(0, u32::try_from(limit).unwrap_or(u32::MAX));
        part.filter.label = label.map(str::to_owned);
        Ok(self.sections.list(section, &part, None).await?.articles)
    }
}
