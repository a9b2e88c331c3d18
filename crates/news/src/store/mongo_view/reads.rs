//! Queries of a view whose answers are lists.

use chassis::StoreFailure;
use futures::TryStreamExt;
use futures::future::try_join_all;
use kernel::UserId;
use mongodb::bson::Document;
use serde::de::DeserializeOwned;

use super::document::ArticleRow;
use super::failure::failure;
use super::read_cache::ChangeMark;
use super::{MongoNewsView, QUERY_TIME, select};
use crate::domain::{Filter, Part, Start, State};
use crate::ports::StateCounts;

impl MongoNewsView {
    /// Returns the number of articles that pass a filter, as it was counted since the last change, or counts
    /// them.
    async fn total(&self, number: i64, filter: &Filter, mark: &ChangeMark) -> Result<u64, StoreFailure> {
        if let Some(total) = self.cache.total(number, filter, mark) {
            return Ok(total);
        }
        let view = self.view::<ArticleRow>(number);
        let counted = view.count_documents(select::passing(filter)).max_time(QUERY_TIME).await;
        let total = counted.map_err(failure)?;
        self.cache.keep_total(number, filter, mark, total);
        Ok(total)
    }

    /// Returns the number of articles in each state. Each is the total of a list, so it is counted once for
    /// each change.
    pub(super) async fn totals_of_states(
        &self,
        number: i64,
        author: Option<UserId>,
        mark: &ChangeMark,
    ) -> Result<StateCounts, StoreFailure> {
        let total = async |state| {
            let filter = Filter { author, states: vec![state], ..Filter::default() };
            Ok((state, self.total(number, &filter, mark).await?))
        };
        try_join_all(State::ALL.map(total)).await
    }

    /// Reads a part of a view.
    pub(super) async fn part<T>(
        &self,
        number: i64,
        part: &Part,
        projection: Document,
    ) -> Result<Vec<T>, StoreFailure>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let offset = if let Start::Offset(offset) = part.start { offset } else { 0 };
        let found = self
            .view::<T>(number)
            .find(select::wanted(part))
            .projection(projection)
            .sort(select::sorted(part))
            .skip(u64::from(offset))
            .limit(i64::from(part.limit))
            .batch_size(part.limit)
            .max_time(QUERY_TIME)
            .await
            .map_err(failure)?;
        let mut found: Vec<T> = found.try_collect().await.map_err(failure)?;
        if part.looks_back() {
            found.reverse();
        }
        Ok(found)
    }

    /// Returns the total of a part of which `found` articles were read. If the part shows the end of the
    /// list, the total follows from it and is of the same moment. Otherwise a second query counts, possibly a
    /// moment later.
    pub(super) async fn total_of(
        &self,
        number: i64,
        part: &Part,
        found: usize,
        mark: &ChangeMark,
    ) -> Result<u64, StoreFailure> {
        match part.start {
            Start::Offset(offset) if found < part.limit as usize && (found > 0 || offset == 0) => {
                Ok(u64::from(offset) + found as u64)
            }
            _ => self.total(number, &part.filter, mark).await,
        }
    }
}
