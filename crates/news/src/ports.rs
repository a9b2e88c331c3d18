//! What a news section needs: the truth about its articles, and a view of them that answers readers.
//!
//! Each law in a method's documentation is a case of the contract suite under that name (`store/contract`).

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bus::Envelope;
use chassis::{Erasable, StoreFailure};
use kernel::{ArticleId, Class, Fault, Kind, Timestamp, UserId, Version};
use serde_json::{Map, Value};

use crate::domain::{Article, Change, Filter, Link, Part, Position, Step};

/// A step in the life of an article with the message that tells the others of it.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What happened.
    pub change: Change,
    /// What leaves for the bus, once this is stored.
    pub message: Envelope,
}

/// A command that has one effect however often it is sent: the key under which it came, and what makes two requests the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The account that gave the key. The same key of another account is another key.
    pub owner: UserId,
    /// The command and what it is about, such as `PublishArticle <id>`. The same key on another command is another key.
    pub command: String,
    /// The key.
    pub key: String,
    /// A digest of the whole request.
    pub fingerprint: String,
    /// The present.
    pub at: Timestamp,
    /// How long the answer is kept.
    pub until: Timestamp,
}

/// What a command under a key was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The request that was answered.
    pub fingerprint: String,
    /// The article that was changed …
    pub article: ArticleId,
    /// … and the version that this led to. The answer follows from it: neither text nor name is kept a second time.
    pub version: Version,
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
    /// * `an_erased_person_writes_nothing`: they are [`AppendError::Erased`], also where the article is somebody else's
    ///
    /// With `once`, the answer (the article's newest version) is kept in the same transaction:
    ///
    /// * `under_one_key_one_append_of_many_is_stored`: the others are [`AppendError::Answered`], and leave nothing
    /// * `an_answer_is_kept_with_its_effect_or_not_at_all`
    /// * `a_key_is_of_one_account_and_one_command`
    /// * `an_answer_whose_time_is_over_counts_as_none`
    async fn append(&self, facts: &[Fact], once: Option<&Once>) -> Result<(), AppendError>;

    /// What was answered under this key, to whichever request, if it was within its time.
    ///
    /// * `an_answer_is_kept_with_its_effect_or_not_at_all`
    /// * `an_answer_whose_time_is_over_counts_as_none`
    /// * `a_refusal_that_an_older_release_has_kept_counts_as_none`
    async fn answer(&self, once: &Once) -> Result<Option<Answer>, StoreFailure>;

    /// Forgets at most `limit` answers whose time is over. Returns how many.
    ///
    /// * `answers_whose_time_is_over_are_forgotten_in_bounded_steps`
    async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<u64, StoreFailure>;

    /// The newest version of an article.
    ///
    /// * `the_newest_version_is_read_back_exactly`: with quotes, line ends and bidirectional marks as they were given
    /// * `what_was_never_written_is_not_there`
    async fn latest(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure>;

    /// One version of an article.
    ///
    /// * `every_version_is_read_back_exactly`
    /// * `what_was_never_written_is_not_there`
    async fn version(&self, id: ArticleId, version: Version) -> Result<Option<Article>, StoreFailure>;

    /// What happened to an article before the version `before` (or ever), the newest first, at most `limit` steps.
    ///
    /// * `a_history_says_who_did_what_and_which_fields_changed`
    /// * `pages_of_a_history_join_without_a_gap`
    async fn steps(
        &self,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Step>, StoreFailure>;

    /// The versions of an article after `after` (or from the first), in their order, as they are stored; at most `limit`. Empty
    /// where there is none.
    ///
    /// * `the_records_of_an_article_form_a_chain`
    /// * `pages_of_a_chain_join_without_a_gap`
    /// * `a_tampered_record_is_handed_out_as_it_is`: finding it is the affair of [`crate::domain::Follower`]
    async fn history(
        &self,
        id: ArticleId,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreFailure>;

    /// The ids of the articles after `after`, in their order, at most `limit`.
    ///
    /// * `ids_are_walked_also_where_a_record_cannot_be_read`
    async fn ids(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<ArticleId>, StoreFailure>;

    /// The newest versions of the articles after `after`, in the order of their ids, at most `limit`: how a view is
    /// rebuilt.
    ///
    /// * `a_walk_meets_every_article_once_at_its_newest_version`
    async fn walk(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<Article>, StoreFailure>;

    /// Takes a person's name off everything that they wrote, past and to come, and forgets what they were answered. Their id stays
    /// in the records.
    ///
    /// * `an_erased_person_has_no_byline_in_any_version`
    /// * `an_erased_person_gets_no_byline_afterwards`: whoever else changes what they wrote
    /// * `a_byline_that_is_not_the_erased_person_s_name_stays`: a text, and the name of another account
    /// * `of_an_erased_person_no_answer_is_kept`
    /// * `erasing_twice_is_erasing_once`
    /// * `erasing_leaves_the_chain_as_it_is`
    async fn erase(&self, person: UserId) -> Result<(), StoreFailure>;

    /// What the store owes to people who were erased, if it is one that can be wiped: a row of the duty is written in the transaction of
    /// each erasure of a person whom it names.
    fn erasure(&self) -> Option<Arc<dyn Erasable>>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Asks whether the store takes writes, by writing a byte.
    ///
    /// * `a_store_that_answers_takes_writes`
    async fn try_write(&self) -> Result<(), StoreFailure>;

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
    /// The person's account was erased.
    #[error("the person who writes was erased")]
    Erased,
    /// The command was answered before under its key.
    #[error("the command was answered before")]
    Answered,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl Fault for AppendError {
    fn classify(&self) -> Class<'_> {
        match self {
            AppendError::Stale { .. } => Class::own(Kind::Stale, "stale_version"),
            AppendError::SlugTaken => Class::own(Kind::Conflict, "slug_taken"),
            AppendError::Erased => Class::own(Kind::Unauthenticated, "invalid_token"),
            AppendError::Answered => Class::own(Kind::Conflict, "still_running"),
            AppendError::Store(failure) => Class::Inner(failure),
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

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In the order that was asked for. Where content was not asked for, it is empty and means nothing.
    pub articles: Vec<Article>,
    /// How many articles pass the filter in all, wherever the part begins, at the same moment.
    pub total: u64,
}

/// The lengths of texts in bytes.
pub type Sizes = HashMap<ArticleId, u64>;

/// The same as places alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// In the order that was asked for.
    pub positions: Vec<Position>,
    /// As in [`Listing`].
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

    /// Those of these articles that pass the filter, in the order of the ids.
    ///
    /// * `of_given_ids_only_those_that_pass_the_filter_come_and_in_their_order`
    /// * `articles_are_picked_with_content_only_if_it_was_asked_for`
    async fn pick(
        &self,
        ids: &[ArticleId],
        filter: &Filter,
        with_content: bool,
    ) -> Result<Vec<Article>, StoreFailure>;

    /// How many bytes the texts of those of these articles have that pass the filter, known without reading them. A text that an
    /// older program has written may count as the longest there can be.
    ///
    /// * `the_sizes_of_texts_are_those_of_what_passes_the_filter`
    async fn sizes(&self, ids: &[ArticleId], filter: &Filter) -> Result<Sizes, StoreFailure>;

    /// A part of the articles that pass a filter, without their texts.
    ///
    /// * `a_list_holds_published_articles_only_in_one_order_with_their_total`: unless other states are named
    /// * `pages_of_a_list_are_slices_of_one_order`
    /// * `a_list_holds_what_passes_its_filter_and_nothing_else`: by label in any spelling, by byline in NFC, by author, time and
    ///   state, together too
    /// * `what_comes_after_a_place_and_before_it_is_the_whole_list`: in each order, also where articles are of one moment
    /// * `a_walk_from_place_to_place_neither_skips_nor_repeats_while_articles_come`: what comes before the place that was reached
    ///   is not seen, what comes after it is
    /// * `a_list_carries_no_content`
    /// * `totals_follow_every_change_of_an_article`
    async fn list(&self, part: &Part) -> Result<Listing, StoreFailure>;

    /// The places of the same part, without reading the articles.
    ///
    /// * `the_places_of_a_part_are_those_of_its_articles`
    async fn positions(&self, part: &Part) -> Result<Positions, StoreFailure>;

    /// Takes a person's name off everything that they wrote, past and to come.
    ///
    /// * `an_erased_person_has_no_byline_in_the_view`
    /// * `an_article_that_comes_after_its_author_was_erased_has_no_byline`
    /// * `a_byline_that_is_not_the_erased_person_s_name_stays_in_the_view`: a text, and the name of another account
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

    /// What the store owes to people who were erased, if it is one that can be wiped: a row of the duty is written in the transaction of
    /// each erasure of a person whom it names.
    fn erasure(&self) -> Option<Arc<dyn Erasable>>;

    /// Whether the view answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Asks whether the view takes writes, by writing a byte.
    ///
    /// * `a_view_that_answers_takes_writes`
    async fn try_write(&self) -> Result<(), StoreFailure>;

    /// Writes everything out and lets go of the store.
    async fn close(&self);
}
