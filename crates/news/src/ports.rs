//! The stores that a news section needs: the event store with the truth about its articles, and a view that
//! answers readers.
//!
//! Each law in the documentation of a method is a case of the contract suite with the same name
//! (`store/contract`).

use std::collections::HashMap;

use async_trait::async_trait;
use bus::Envelope;
use chassis::StoreFailure;
use kernel::{ArticleId, Class, Fault, Kind, Timestamp, UserId, Version};
use serde_json::{Map, Value};

use crate::domain::{
    Article, ArticleCorrection, ChainLink, Change, CorrectionPart, Filter, HistoryPage, Part, Position,
    State, VisibleVersions,
};

/// A change of an article with the message that announces it to other services.
#[derive(Debug, Clone)]
pub struct ChangeWithMessage {
    /// The change.
    pub change: Change,
    /// The message that is published after the change is stored.
    pub message: Envelope,
}

/// The idempotency key of a command, and what identifies its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandKey {
    /// The account that sent the key. The same key of another account is another key.
    pub owner: UserId,
    /// The command and its article, such as `PublishArticle <id>`. The same key on another command is another
    /// key.
    pub command: String,
    /// The key.
    pub key: String,
    /// A digest of the whole request.
    pub fingerprint: String,
    /// The present time.
    pub at: Timestamp,
    /// The end of the time for which the answer is kept.
    pub until: Timestamp,
}

/// The answer to a command that came under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The digest of the request that was answered.
    pub fingerprint: String,
    /// The article that was changed.
    pub article: ArticleId,
    /// The version after the command. The answer follows from it, so neither text nor name is stored a second
    /// time.
    pub version: Version,
}

/// The command side: every version of every article of one section. Versions are only added.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends changes of one article whose versions follow each other, with their messages in the outbox, in
    /// one transaction. Each record is chained to the one before it. The byline is stored beside the record.
    ///
    /// * `an_appended_version_is_stored_with_its_message_in_the_outbox`
    /// * `of_parallel_appends_on_one_version_one_wins`: the others are [`AppendError::Stale`], and leave no
    ///   message
    /// * `an_append_that_skips_a_version_is_stale`
    /// * `of_two_changes_both_are_stored_or_none`
    /// * `a_slug_belongs_to_one_article`: otherwise [`AppendError::SlugTaken`], and nothing is stored
    /// * `the_records_of_an_article_form_a_chain`
    /// * `no_record_contains_a_byline`
    /// * `an_erased_person_writes_nothing`: [`AppendError::Erased`], even if the article is another author's
    ///
    /// With a `key`, the answer (the newest version of the article) is kept in the same transaction:
    ///
    /// * `under_one_key_one_append_of_many_is_stored`: the others are [`AppendError::Answered`], and leave
    ///   nothing
    /// * `an_answer_is_kept_with_its_effect_or_not_at_all`
    /// * `a_key_belongs_to_one_account_and_one_command`
    /// * `an_expired_answer_does_not_count`
    async fn append(
        &self,
        changes: &[ChangeWithMessage],
        key: Option<&CommandKey>,
    ) -> Result<(), AppendError>;

    /// Returns the answer that is kept under a key, whatever its request was, if its time is not over.
    ///
    /// * `an_answer_is_kept_with_its_effect_or_not_at_all`
    /// * `an_expired_answer_does_not_count`
    /// * `a_refusal_that_an_older_release_kept_does_not_count`
    async fn answer(&self, key: &CommandKey) -> Result<Option<KeptAnswer>, StoreFailure>;

    /// Removes at most `limit` answers whose time is over. Returns how many.
    ///
    /// * `expired_answers_are_removed_in_bounded_steps`
    async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<u64, StoreFailure>;

    /// Returns the newest version of an article.
    ///
    /// * `the_newest_version_is_read_back_exactly`: with quotes, line ends and bidirectional marks as they
    ///   were given
    /// * `an_unknown_article_is_absent`
    async fn latest(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure>;

    /// Returns one version of an article.
    ///
    /// * `every_version_is_read_back_exactly`
    /// * `an_unknown_article_is_absent`
    async fn version(&self, id: ArticleId, version: Version) -> Result<Option<Article>, StoreFailure>;

    /// Returns the history of an article before the version `before` (or all of it), the newest version
    /// first. It examines at most `limit` versions, and shows those of `visible`.
    ///
    /// * `a_history_names_accounts_events_and_changed_fields`
    /// * `pages_of_a_history_join_without_a_gap`
    /// * `a_history_for_readers_compares_the_versions_that_they_saw`
    async fn history(
        &self,
        id: ArticleId,
        visible: VisibleVersions,
        before: Option<Version>,
        limit: u32,
    ) -> Result<HistoryPage, StoreFailure>;

    /// Returns the articles that wait for their time of publication, the next one first, at most `limit`.
    ///
    /// * `scheduled_articles_come_in_the_order_of_their_times`
    async fn scheduled(&self, limit: u32) -> Result<Vec<(ArticleId, Timestamp)>, StoreFailure>;

    /// Returns a part of the corrections of all published articles, the newest first.
    ///
    /// * `corrections_are_listed_as_long_as_their_article_is_public`
    /// * `pages_of_corrections_join_without_a_gap`
    async fn corrections(&self, part: &CorrectionPart) -> Result<Vec<ArticleCorrection>, StoreFailure>;

    /// Returns the stored links of an article's chain after the version `after` (or from the first), in their
    /// order, at most `limit`. The result is empty if there are none.
    ///
    /// * `the_records_of_an_article_form_a_chain`
    /// * `pages_of_a_chain_join_without_a_gap`
    /// * `a_tampered_record_is_returned_as_it_is`: [`crate::domain::ChainVerifier`] finds it
    async fn links(
        &self,
        id: ArticleId,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<ChainLink>, StoreFailure>;

    /// Returns the ids of the articles after `after`, in their order, at most `limit`.
    ///
    /// * `ids_are_listed_even_if_a_record_cannot_be_read`
    async fn ids(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<ArticleId>, StoreFailure>;

    /// Returns the newest versions of the articles after `after`, in the order of their ids, at most `limit`.
    /// A view is rebuilt from them.
    ///
    /// * `a_walk_meets_every_article_once_at_its_newest_version`
    async fn walk(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<Article>, StoreFailure>;

    /// Removes a person's name from all bylines, past and future, and the answers that are kept for the
    /// person. The person's id stays in the records.
    ///
    /// * `an_erased_person_has_no_byline_in_any_version`
    /// * `an_erased_person_gets_no_byline_afterwards`: even if another account changes the article
    /// * `a_byline_that_is_not_the_erased_person_s_name_stays`: a text, and the name of another account
    /// * `no_answer_of_an_erased_person_is_kept`
    /// * `erasing_twice_is_erasing_once`
    /// * `erasing_leaves_the_chain_as_it_is`
    async fn erase(&self, person: UserId) -> Result<(), StoreFailure>;

    /// Checks that the store answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Checks that the store accepts writes, by writing a byte.
    ///
    /// * `a_store_that_answers_accepts_writes`
    async fn try_write(&self) -> Result<(), StoreFailure>;
}

/// The reason why changes were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer was faster.
    #[error("the article has changed since it was read")]
    Stale {
        /// The newest version.
        current: Option<Version>,
    },
    /// Another article has this slug.
    #[error("another article has this slug")]
    SlugTaken,
    /// The account of the writer was erased.
    #[error("the account of the writer was erased")]
    Erased,
    /// The command was done before, under the same key.
    #[error("the command was done before, under the same key")]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The articles in the order of the request. If the content was not requested, it is empty and means
    /// nothing.
    pub articles: Vec<Article>,
    /// The number of all articles that pass the filter, at the same moment, wherever the part begins.
    pub total: u64,
}

/// The lengths of texts in bytes.
pub type Sizes = HashMap<ArticleId, u64>;

/// The number of articles in each state, in the order of [`State::ALL`].
pub type StateCounts = Vec<(State, u64)>;

/// The positions of a part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// The positions in the order of the request.
    pub positions: Vec<Position>,
    /// The total, as in [`Listing`].
    pub total: u64,
}

/// The query side: the newest version of every article of one section, for readers. It can always be rebuilt
/// from the command side.
#[async_trait]
pub trait NewsView: Send + Sync + 'static {
    /// Puts an article into the view if it is newer than the version there. Returns whether it was.
    ///
    /// * `an_older_version_never_overwrites_a_newer_one`
    /// * `applying_twice_is_applying_once`
    /// * `shuffled_and_tripled_deliveries_give_the_same_view`
    /// * `an_article_comes_back_exactly_as_it_was_applied`
    async fn apply(&self, article: &Article) -> Result<bool, StoreFailure>;

    /// Returns an article, whatever its state is.
    ///
    /// * `an_article_comes_back_exactly_as_it_was_applied`
    /// * `an_article_that_was_never_applied_is_absent`
    async fn get(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure>;

    /// Returns those of these articles that pass the filter, in the order of the ids.
    ///
    /// * `picked_articles_pass_the_filter_and_keep_the_order_of_the_ids`
    /// * `articles_are_picked_with_content_only_on_request`
    async fn pick(
        &self,
        ids: &[ArticleId],
        filter: &Filter,
        with_content: bool,
    ) -> Result<Vec<Article>, StoreFailure>;

    /// Returns the sizes of the texts of those of these articles that pass the filter, without reading the
    /// texts. A text that an older program has written may count as the longest possible one.
    ///
    /// * `sizes_are_of_the_articles_that_pass_the_filter`
    async fn sizes(&self, ids: &[ArticleId], filter: &Filter) -> Result<Sizes, StoreFailure>;

    /// Returns a part of the articles that pass a filter, without their texts.
    ///
    /// * `a_list_contains_published_articles_in_one_order_with_their_total`: unless the filter names other
    ///   states
    /// * `pages_of_a_list_are_slices_of_one_order`
    /// * `a_list_contains_the_articles_that_pass_its_filter`: by label in any spelling, by byline in NFC, by
    ///   author, time, state and return, and by several of them
    /// * `the_parts_before_and_after_a_position_are_the_whole_list`: in each order, even if articles are of
    ///   the same moment
    /// * `a_walk_by_positions_neither_skips_nor_repeats_while_articles_come`: articles that come before the
    ///   current position are not seen, and those after it are
    /// * `a_list_carries_no_content`
    /// * `totals_follow_every_change_of_an_article`
    async fn list(&self, part: &Part) -> Result<Listing, StoreFailure>;

    /// Returns the positions of the same part, without reading the articles.
    ///
    /// * `the_positions_of_a_part_are_those_of_its_articles`
    async fn positions(&self, part: &Part) -> Result<Positions, StoreFailure>;

    /// Returns the number of articles in each state: of one author, or of all.
    ///
    /// * `articles_are_counted_in_each_state_for_one_author_or_for_all`
    async fn count_states(&self, author: Option<UserId>) -> Result<StateCounts, StoreFailure>;

    /// Removes a person's name from all bylines, past and future.
    ///
    /// * `an_erased_person_has_no_byline_in_the_view`
    /// * `an_article_that_comes_after_its_author_was_erased_has_no_byline`
    /// * `a_byline_that_is_not_the_erased_person_s_name_stays_in_the_view`: a text, and the name of another
    ///   account
    async fn erase(&self, person: UserId) -> Result<(), StoreFailure>;

    /// Begins to build a new view beside this one, empty at first. Articles that are applied from now on go
    /// into both. A new view that was begun before and never finished is removed.
    ///
    /// * `readers_see_the_old_view_until_the_new_one_is_complete`
    /// * `an_article_applied_during_a_rebuild_is_in_the_new_view`
    /// * `a_rebuild_that_was_never_finished_leaves_no_trace`
    async fn begin_rebuild(&self) -> Result<(), StoreFailure>;

    /// Puts articles into the new view, each if it is newer than the version there.
    ///
    /// * `an_article_applied_during_a_rebuild_is_in_the_new_view`
    async fn load(&self, articles: &[Article]) -> Result<(), StoreFailure>;

    /// Replaces the old view by the new one, in one step.
    ///
    /// * `a_rebuild_repairs_a_wrong_view`
    async fn finish_rebuild(&self) -> Result<(), StoreFailure>;

    /// Checks that the view answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Checks that the view accepts writes, by writing a byte.
    ///
    /// * `a_view_that_answers_accepts_writes`
    async fn try_write(&self) -> Result<(), StoreFailure>;
}
