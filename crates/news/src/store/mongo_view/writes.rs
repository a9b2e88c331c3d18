//! Changes of the documents of a view.

use std::collections::BTreeSet;

use chassis::StoreFailure;
use kernel::UserId;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;

use super::MongoNewsView;
use super::document::fields;
use super::failure::{DUPLICATE_KEY, failure, is_duplicate};
use super::generations::view_names;
use super::values::{key, version};
use crate::domain::Article;

impl MongoNewsView {
    /// True if the person was erased.
    pub(super) async fn is_erased(&self, person: UserId) -> Result<bool, StoreFailure> {
        let tombstones = self.database.collection::<Document>("erased");
        let found = tombstones.find_one(doc! { "_id": key(person.uuid()) }).await.map_err(failure)?;
        Ok(found.is_some())
    }

    /// True if there is a person and it was erased.
    pub(super) async fn is_one_erased(&self, person: Option<UserId>) -> Result<bool, StoreFailure> {
        match person {
            Some(person) => self.is_erased(person).await,
            None => Ok(false),
        }
    }

    /// Removes a person's name from the bylines of all views, also of views that are no longer read.
    pub(super) async fn blank(&self, person: UserId) -> Result<(), StoreFailure> {
        let _guard = self.change_lock.lock().await;
        for view in view_names(&self.database).await? {
            let view = self.database.collection::<Document>(&view);
            let person = key(person.uuid());
            let own = doc! { "byline_of": &person, "byline": { "$ne": "" } };
            // A replica of an older program does not say whose name the byline is: then it is the author's.
            let older =
                doc! { "author": &person, "byline_of": { "$exists": false }, "byline": { "$ne": "" } };
            for named in [own, older] {
                let blank = doc! { "$set": { "byline": "", "byline_key": "" } };
                view.update_many(named, blank).await.map_err(failure)?;
            }
        }
        Ok(())
    }

    /// Puts an article into one view if it is newer than the version there. The guard on the version is in
    /// the statement, so two deliveries at the same time can't both take theirs for the newer one.
    pub(super) async fn put(
        &self,
        number: i64,
        article: &Article,
        erased: bool,
    ) -> Result<bool, StoreFailure> {
        let _guard = self.change_lock.lock().await;
        let view = self.view::<Document>(number);
        let older = doc! { "_id": key(article.id.uuid()), "version": { "$lt": version(article) } };
        let change = doc! { "$set": fields(article, erased)? };
        match view.update_one(older.clone(), change.clone()).upsert(true).await {
            Ok(put) => return Ok(put.matched_count > 0 || put.upserted_id.is_some()),
            Err(error) if !is_duplicate(&error) => return Err(failure(error)),
            Err(_) => {}
        }
        // It exists now: an older version may have come between the query and the insertion.
        let put = view.update_one(older, change).await.map_err(failure)?;
        Ok(put.matched_count > 0)
    }

    /// Loads many articles into a view that has few of them: one insertion for all, and the guarded update
    /// for those that exist.
    pub(super) async fn load_into(
        &self,
        number: i64,
        articles: &[Article],
        erased: &BTreeSet<UserId>,
    ) -> Result<(), StoreFailure> {
        let mut documents = Vec::with_capacity(articles.len());
        for article in articles {
            let mut document = doc! { "_id": key(article.id.uuid()) };
            document.extend(fields(article, is_one_of(erased, article))?);
            documents.push(document);
        }
        let inserted = self.view::<Document>(number).insert_many(documents).ordered(false).await;
        let Err(error) = inserted else { return Ok(()) };
        let ErrorKind::InsertMany(many) = &*error.kind else { return Err(failure(error)) };
        let refused = many.write_errors.as_deref().unwrap_or_default();
        if many.write_concern_error.is_some() || refused.iter().any(|each| each.code != DUPLICATE_KEY) {
            return Err(failure(error));
        }
        for article in refused.iter().filter_map(|each| articles.get(each.index)) {
            self.put(number, article, is_one_of(erased, article)).await?;
        }
        Ok(())
    }

    /// Returns the erased people among the owners of these articles' bylines.
    pub(super) async fn erased_of(&self, articles: &[Article]) -> Result<BTreeSet<UserId>, StoreFailure> {
        let named: BTreeSet<UserId> = articles.iter().filter_map(|article| article.byline.owner()).collect();
        let mut erased = BTreeSet::new();
        for person in named {
            if self.is_erased(person).await? {
                erased.insert(person);
            }
        }
        Ok(erased)
    }
}

fn is_one_of(people: &BTreeSet<UserId>, article: &Article) -> bool {
    article.byline.owner().is_some_and(|owner| people.contains(&owner))
}
