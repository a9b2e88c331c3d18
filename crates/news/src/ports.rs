//! What a news section needs: the truth about its articles, and a view of them that answers readers.
//!
//! Each law in a method's documentation is a case of the contract suite under that name (`store/contract`).

use async_trait::async_trait;
use bus::Envelope;
use chassis::StoreFailure;
use kernel::{ArticleId, Code, Fault, Kind, UserId, Version};
use serde_json::{Map, Value};

use crate::domain::{Article, Change, Link};

/// A step in the life of an article with the message that tells the others of it.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What happened.
    pub change: Change,
    /// What leaves for the bus, once this is stored.
    pub message: Envelope,
}

/// The command side: every version of every article of one section, only ever added to.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends facts about one article, whose versions follow each other, together with their messages in the outbox:
    /// one transaction. Each record is chained to the one before it; the byline stands beside the record.
    ///
    /// * `what_was_appended_is_there_with_its_message_in_the_outbox`
    /// * `of_parallel_appends_on_one_version_one_wins`: the others are [`AppendError::Stale`], and leave no message
    /// * `an_append_that_skips_a_version_is_stale`
    /// * `of_two_facts_both_are_stored_or_none`
    /// * `a_slug_belongs_to_one_article`: else [`AppendError::SlugTaken`], and nothing is stored
    /// * `the_records_of_an_article_form_a_chain`
    /// * `no_byline_stands_in_a_record`
    async fn append(&self, facts: &[Fact]) -> Result<(), AppendError>;

    /// The newest version of an article.
    ///
    /// * `the_newest_version_is_read_back_exactly`: with quotes, line ends and bidirectional marks as they were given
    /// * `what_was_never_written_is_not_there`
    async fn latest(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure>;

    /// Every version of an article, the first one first, as it is stored. Empty where there is none.
    ///
    /// * `the_records_of_an_article_form_a_chain`
    /// * `a_tampered_record_is_handed_out_as_it_is`: finding it is the affair of [`crate::domain::follow`]
    async fn history(&self, id: ArticleId) -> Result<Vec<Link>, StoreFailure>;

    /// The newest versions of the articles after `after`, in the order of their ids, at most `limit`: how a view is
    /// rebuilt.
    ///
    /// * `a_walk_meets_every_article_once_at_its_newest_version`
    async fn walk(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<Article>, StoreFailure>;

    /// Takes a person's name off everything that they wrote, past and to come. Their id stays in the records.
    ///
    /// * `an_erased_person_has_no_byline_in_any_version`
    /// * `an_erased_person_gets_no_byline_afterwards`
    /// * `erasing_twice_is_erasing_once`
    /// * `erasing_leaves_the_chain_as_it_is`
    async fn erase(&self, person: UserId) -> Result<(), StoreFailure>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Writes everything out and lets go of the store.
    async fn close(&self);
}

/// Why facts were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else was faster.
    #[error("the article has changed since it was read")]
    Stale {
        /// The version that is there.
        current: Option<Version>,
    },
    /// Another article has this slug.
    #[error("another article has this slug")]
    SlugTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl Fault for AppendError {
    fn kind(&self) -> Kind {
        match self {
            AppendError::Stale { .. } => Kind::Stale,
            AppendError::SlugTaken => Kind::Conflict,
            AppendError::Store(failure) => failure.kind(),
        }
    }

    fn code(&self) -> Code {
        match self {
            AppendError::Stale { .. } => Code::new("stale_version"),
            AppendError::SlugTaken => Code::new("slug_taken"),
            AppendError::Store(failure) => failure.code(),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        let mut extra = Map::new();
        if let AppendError::Stale { current: Some(version) } = self {
            extra.insert("current_version".to_owned(), version.number().into());
        }
        extra
    }
}

/// A page of published articles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In the order that was asked for. Where content was not asked for, it is empty and means nothing.
    pub articles: Vec<Article>,
    /// How many published articles there are, at the same moment.
    pub total: u64,
}

/// The query side: the newest version of every article of one section, as readers ask for it. It can always be rebuilt
/// from the command side.
#[async_trait]
pub trait NewsView: Send + Sync + 'static {
    /// Puts an article into the view if it is newer than what is there. Returns whether it was.
    ///
    /// * `an_older_version_never_overwrites_a_newer_one`
    /// * `applying_twice_is_applying_once`
    /// * `shuffled_and_tripled_deliveries_give_the_same_view`
    /// * `an_article_comes_back_exactly_as_it_was_applied`
    async fn apply(&self, article: &Article) -> Result<bool, StoreFailure>;

    /// An article in whatever state it is.
    ///
    /// * `an_article_comes_back_exactly_as_it_was_applied`
    /// * `what_was_never_applied_is_not_there`
    async fn get(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure>;

    /// Those of these articles that are published, in the order of the ids, with the total of all published ones.
    ///
    /// * `of_given_ids_only_published_articles_come_and_in_their_order`
    async fn pick(&self, ids: &[ArticleId]) -> Result<Listing, StoreFailure>;

    /// A part of the published articles, newest first: `published_at desc, id desc`.
    ///
    /// * `a_list_holds_published_articles_only_in_one_order_with_their_total`
    /// * `pages_of_a_list_are_slices_of_one_order`
    /// * `a_list_carries_content_only_where_it_was_asked_for`
    async fn list(&self, offset: u32, limit: u32, with_content: bool) -> Result<Listing, StoreFailure>;

    /// Takes a person's name off everything that they wrote, past and to come.
    ///
    /// * `an_erased_person_has_no_byline_in_the_view`
    /// * `an_article_that_comes_after_its_author_was_erased_has_no_byline`
    async fn erase(&self, person: UserId) -> Result<(), StoreFailure>;

    /// Begins to build another view beside this one, empty at first. What is applied from now on goes into both. One
    /// that was begun before and never finished is forgotten.
    ///
    /// * `readers_see_the_old_view_until_the_new_one_is_complete`
    /// * `what_is_applied_during_a_rebuild_is_in_the_new_view`
    /// * `a_rebuild_that_was_never_finished_leaves_no_trace`
    async fn begin_rebuild(&self) -> Result<(), StoreFailure>;

    /// Puts articles into the view that is being built, each if it is newer than what is there.
    ///
    /// * `what_is_applied_during_a_rebuild_is_in_the_new_view`
    async fn load(&self, articles: &[Article]) -> Result<(), StoreFailure>;

    /// Puts the new view in the place of the old one, at one moment.
    ///
    /// * `a_rebuild_repairs_whatever_was_wrong`
    async fn finish_rebuild(&self) -> Result<(), StoreFailure>;

    /// Whether the view answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Writes everything out and lets go of the store.
    async fn close(&self);
}
