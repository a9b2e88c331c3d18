//! The query side in MongoDB. `db/news/mongo/README.md` describes what stands there.

mod backfill;
mod document;
mod failure;
mod marks;
mod memory;
mod places;
mod pool;
mod select;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::metrics::WatchedPool;
use chassis::{Erasable, StoreFailure, in_time};
use futures::TryStreamExt;
use kernel::{ArticleId, UserId};
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use self::document::{Row, Size, columns, fields, key, version};
use self::failure::{DUPLICATE_KEY, failure, is_duplicate};
use self::memory::{Mark, Memory, changed, mark};
use self::places::{Known, Places, name, views};
use crate::domain::{Article, Filter, Part, Start};
use crate::ports::{Listing, NewsView, Positions, Sizes};

/// How many connections a replica holds.
const CONNECTIONS: u32 = 20;
/// How long the driver looks for a server, and waits for a connection to be made.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the server works on a question. What takes longer is a fault, and its caller is gone.
const QUESTION: Duration = Duration::from_secs(4);

/// The query side in a MongoDB database, shared by the section's replicas.
pub struct MongoNewsView {
    client: Client,
    database: Database,
    known: Known,
    memory: Memory,
    // The view that this process is building.
    building: Mutex<Option<i64>>,
    // One change of an article at a time. MongoDB needs no such help: FerretDB reads, compares and writes in three steps.
    changing: Mutex<()>,
    _watched: WatchedPool,
}

/// Reads an address, and connects to nothing. The parser's own message may quote it.
pub fn read(url: &str) -> Result<(), StoreFailure> {
    let address = ConnectionString::parse(url).ok().and_then(|read| read.default_database);
    let named = address.map(drop);
    named.ok_or_else(|| StoreFailure::broken("the address is no mongodb: URL that names a database"))
}

impl MongoNewsView {
    /// Connects to the database that `url` names, and makes the first view where there is none. `service` is the name
    /// that the server shows for the connections.
    pub async fn open(url: &str, service: &str) -> Result<Self, StoreFailure> {
        // The parser's own message may quote the URL.
        let options = ClientOptions::parse(url).await;
        let mut options =
            options.map_err(|_| StoreFailure::broken("the address is no mongodb: URL that can be read"))?;
        let Some(database) = options.default_database.clone() else {
            return Err(StoreFailure::broken("the mongodb: URL names no database"));
        };
        options.app_name = Some(service.to_owned());
        options.max_pool_size = Some(CONNECTIONS);
        let (connections, watched) = pool::watch(service, CONNECTIONS);
        options.cmap_event_handler = Some(connections);
        options.connect_timeout = Some(PATIENCE);
        options.server_selection_timeout = Some(PATIENCE);
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.write_concern = Some(
            WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(QUESTION).build(),
        );
        let client = Client::with_options(options).map_err(failure)?;
        let database = client.database(&database);
        Places::make(&database).await?;
        backfill::run(&database).await?;
        Ok(Self {
            client,
            database,
            known: Known::default(),
            memory: Memory::new(),
            building: Mutex::default(),
            changing: Mutex::default(),
            _watched: watched,
        })
    }

    fn view<T: Send + Sync>(&self, number: i64) -> Collection<T> {
        self.database.collection(&name(number))
    }

    /// Which view is where, asked now: whoever writes must know.
    async fn places(&self) -> Result<Places, StoreFailure> {
        let places = Places::read(&self.database).await?;
        self.known.keep(places);
        Ok(places)
    }

    /// The view that readers see.
    async fn live(&self) -> Result<i64, StoreFailure> {
        match self.known.live() {
            Some(number) => Ok(number),
            None => Ok(self.places().await?.live),
        }
    }

    async fn is_erased(&self, person: UserId) -> Result<bool, StoreFailure> {
        let tombstones = self.database.collection::<Document>("erased");
        let found = tombstones.find_one(doc! { "_id": key(person.uuid()) }).await.map_err(failure)?;
        Ok(found.is_some())
    }

    async fn is_one_erased(&self, person: Option<UserId>) -> Result<bool, StoreFailure> {
        match person {
            Some(person) => self.is_erased(person).await,
            None => Ok(false),
        }
    }

    /// Takes a person's name off in every view that is there, also in those that nobody reads any more.
    async fn blank(&self, person: UserId) -> Result<(), StoreFailure> {
        let _alone = self.changing.lock().await;
        for view in views(&self.database).await? {
            let view = self.database.collection::<Document>(&view);
            let person = key(person.uuid());
            let own = doc! { "byline_of": &person, "byline": { "$ne": "" } };
            // A replica of an older program does not say whose name it is: then it goes with the author.
            let older =
                doc! { "author": &person, "byline_of": { "$exists": false }, "byline": { "$ne": "" } };
            for named in [own, older] {
                let blank = doc! { "$set": { "byline": "", "byline_key": "" } };
                view.update_many(named, blank).await.map_err(failure)?;
            }
        }
        Ok(())
    }

    /// Puts an article into one view if it is newer than what is there. The guard on the version is in the statement: two
    /// deliveries at once can't both believe that theirs is the newer one.
    async fn put(&self, number: i64, article: &Article, erased: bool) -> Result<bool, StoreFailure> {
        let _alone = self.changing.lock().await;
        let view = self.view::<Document>(number);
        let older = doc! { "_id": key(article.id.uuid()), "version": { "$lt": version(article) } };
        let change = doc! { "$set": fields(article, erased)? };
        match view.update_one(older.clone(), change.clone()).upsert(true).await {
            Ok(put) => return Ok(put.matched_count > 0 || put.upserted_id.is_some()),
            Err(error) if !is_duplicate(&error) => return Err(failure(error)),
            Err(_) => {}
        }
        // It is there, but by now: an older version may have come between the question and the insertion.
        let put = view.update_one(older, change).await.map_err(failure)?;
        Ok(put.matched_count > 0)
    }

    /// Loads many articles into a view that has few of them: one insertion for all, and the guard for those that are there.
    async fn load_into(
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

    /// Those of the people whose names are over these articles who were erased.
    async fn erased_of(&self, articles: &[Article]) -> Result<BTreeSet<UserId>, StoreFailure> {
        let named: BTreeSet<UserId> = articles.iter().filter_map(|article| article.byline.owner()).collect();
        let mut erased = BTreeSet::new();
        for person in named {
            if self.is_erased(person).await? {
                erased.insert(person);
            }
        }
        Ok(erased)
    }

    /// How many articles pass, as it was counted since the last change, or counted now.
    async fn total(&self, number: i64, filter: &Filter, mark: &Mark) -> Result<u64, StoreFailure> {
        if let Some(total) = self.memory.total(number, filter, mark) {
            return Ok(total);
        }
        let view = self.view::<Row>(number);
        let counted = view.count_documents(select::passing(filter)).max_time(QUESTION).await;
        let total = counted.map_err(failure)?;
        self.memory.keep_total(number, filter, mark, total);
        Ok(total)
    }

    /// A part of a view, read from it.
    async fn part<T>(&self, number: i64, part: &Part, projection: Document) -> Result<Vec<T>, StoreFailure>
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
            .max_time(QUESTION)
            .await
            .map_err(failure)?;
        let mut found: Vec<T> = found.try_collect().await.map_err(failure)?;
        if part.looks_back() {
            found.reverse();
        }
        Ok(found)
    }

    /// The total beside a part of which so many were found. Where the part shows the end it says the total itself, of the very moment;
    /// where another question is needed, its answer may be of a moment later.
    async fn total_of(
        &self,
        number: i64,
        part: &Part,
        found: usize,
        mark: &Mark,
    ) -> Result<u64, StoreFailure> {
        match part.start {
            Start::Offset(offset) if found < part.limit as usize && (found > 0 || offset == 0) => {
                Ok(u64::from(offset) + found as u64)
            }
            _ => self.total(number, &part.filter, mark).await,
        }
    }
}

#[async_trait]
impl NewsView for MongoNewsView {
    async fn apply(&self, article: &Article) -> Result<bool, StoreFailure> {
        in_time(async {
            let owner = article.byline.owner();
            let (places, erased) = tokio::try_join!(self.places(), self.is_one_erased(owner))?;
            let newer = self.put(places.live, article, erased).await?;
            if let Some(next) = places.building {
                self.put(next, article, erased).await?;
            }
            // Without transactions whoever writes last looks at what the other has done: the tombstone stands before names
            // are taken off, and this was written before the tombstone is looked for again.
            if let Some(owner) = owner.filter(|_| !erased)
                && self.is_erased(owner).await?
            {
                self.blank(owner).await?;
            }
            // Also where it was not newer: whoever brought it first may have been killed before they could say so.
            changed(&self.database).await?;
            Ok(newer)
        })
        .await
    }

    async fn get(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure> {
        in_time(async {
            let view = self.view::<Row>(self.live().await?);
            let row =
                view.find_one(doc! { "_id": key(id.uuid()) }).max_time(QUESTION).await.map_err(failure)?;
            row.map(Row::article).transpose()
        })
        .await
    }

    async fn pick(
        &self,
        ids: &[ArticleId],
        filter: &Filter,
        with_content: bool,
    ) -> Result<Vec<Article>, StoreFailure> {
        in_time(async {
            let view = self.view::<Row>(self.live().await?);
            let rows =
                view.find(picked(ids, filter)).projection(columns(with_content)).max_time(QUESTION).await;
            let rows: Vec<Row> = rows.map_err(failure)?.try_collect().await.map_err(failure)?;
            let mut found = HashMap::with_capacity(rows.len());
            for row in rows {
                let article = row.article()?;
                found.insert(article.id, article);
            }
            Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
        })
        .await
    }

    async fn sizes(&self, ids: &[ArticleId], filter: &Filter) -> Result<Sizes, StoreFailure> {
        in_time(async {
            let view = self.view::<Size>(self.live().await?);
            let sizes = view.find(picked(ids, filter)).projection(Size::columns()).max_time(QUESTION).await;
            let sizes: Vec<Size> = sizes.map_err(failure)?.try_collect().await.map_err(failure)?;
            Ok(sizes.iter().map(Size::of_article).collect())
        })
        .await
    }

    async fn list(&self, part: &Part) -> Result<Listing, StoreFailure> {
        in_time(async {
            let (number, mark) = tokio::try_join!(self.live(), mark(&self.database))?;
            if let Some(known) = self.memory.list(number, part, &mark) {
                return Ok(known);
            }
            let rows: Vec<Row> = self.part(number, part, columns(false)).await?;
            let total = self.total_of(number, part, rows.len(), &mark).await?;
            let articles: Result<Vec<Article>, StoreFailure> = rows.into_iter().map(Row::article).collect();
            let listing = Listing { articles: articles?, total };
            self.memory.keep_list(number, part, &mark, &listing);
            Ok(listing)
        })
        .await
    }

    async fn positions(&self, part: &Part) -> Result<Positions, StoreFailure> {
        in_time(async {
            let (number, mark) = tokio::try_join!(self.live(), mark(&self.database))?;
            if let Some(known) = self.memory.positions(number, part, &mark) {
                return Ok(known);
            }
            let wanted = doc! { select::column(part.order): 1 };
            let places: Vec<select::Place> = self.part(number, part, wanted).await?;
            let total = self.total_of(number, part, places.len(), &mark).await?;
            let positions = places.into_iter().map(select::Place::position).collect();
            let found = Positions { positions, total };
            self.memory.keep_positions(number, part, &mark, &found);
            Ok(found)
        })
        .await
    }

    async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        in_time(async {
            let tombstones = self.database.collection::<Document>("erased");
            match tombstones.insert_one(doc! { "_id": key(person.uuid()) }).await {
                Err(error) if !is_duplicate(&error) => return Err(failure(error)),
                _ => {}
            }
            self.blank(person).await?;
            changed(&self.database).await
        })
        .await
    }

    async fn begin_rebuild(&self) -> Result<(), StoreFailure> {
        let mut building = self.building.lock().await;
        *building = Some(in_time(Places::begin(&self.database)).await?);
        Ok(())
    }

    async fn load(&self, articles: &[Article]) -> Result<(), StoreFailure> {
        let number = (*self.building.lock().await).ok_or_else(not_begun)?;
        if articles.is_empty() {
            return Ok(());
        }
        in_time(async {
            let before = self.erased_of(articles).await?;
            self.load_into(number, articles, &before).await?;
            for person in self.erased_of(articles).await?.difference(&before) {
                self.blank(*person).await?;
            }
            Ok(())
        })
        .await
    }

    async fn finish_rebuild(&self) -> Result<(), StoreFailure> {
        let mut building = self.building.lock().await;
        let number = building.ok_or_else(not_begun)?;
        in_time(async {
            Places::finish(&self.database, number).await?;
            self.places().await.map(|_| ())
        })
        .await?;
        *building = None;
        Ok(())
    }

    /// MongoDB overwrites nothing on request: what its journal and its free blocks still hold is for whoever runs the server.
    fn erasure(&self) -> Option<Arc<dyn Erasable>> {
        None
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        let pong = async { self.database.run_command(doc! { "ping": 1 }).await.map_err(failure) };
        in_time(pong).await.map(|_| ())
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        let health = self.database.collection::<Document>("health");
        let written = async {
            let beat = doc! { "$inc": { "beats": 1_i64 } };
            health.update_one(doc! { "_id": "health" }, beat).upsert(true).await.map_err(failure)
        };
        in_time(written).await.map(|_| ())
    }

    async fn close(&self) {
        self.client.clone().shutdown().immediate(true).await;
    }
}

fn picked(ids: &[ArticleId], filter: &Filter) -> Document {
    let mut picked = select::passing(filter);
    picked.insert("_id", doc! { "$in": ids.iter().map(|id| key(id.uuid())).collect::<Vec<_>>() });
    picked
}

fn is_one_of(people: &BTreeSet<UserId>, article: &Article) -> bool {
    article.byline.owner().is_some_and(|owner| people.contains(&owner))
}

fn not_begun() -> StoreFailure {
    StoreFailure::broken("no rebuild was begun by this process")
}
