//! The view in MongoDB. `db/news/mongo/README.md` describes its collections.

mod backfill;
mod document;
mod failure;
mod generations;
mod marks;
mod pool;
mod read_cache;
mod reads;
mod select;
mod values;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::metrics::WatchedPool;
use chassis::{Closer, OpenedStore, StoreFailure, in_time};
use futures::TryStreamExt;
use kernel::{ArticleId, UserId};
use mongodb::bson::{Document, doc};
use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use tokio::sync::Mutex;

use self::document::{ArticleRow, SizeRow, columns};
use self::failure::{failure, is_duplicate};
use self::generations::{Generations, RecentGenerations, view_name};
use self::read_cache::{ReadCache, change_mark, set_change_mark};
use self::values::key;
use crate::domain::{Article, Filter, Part, in_order_of};
use crate::ports::{Listing, NewsView, Positions, Sizes, StateCounts};

/// The most connections of a replica.
const CONNECTIONS: u32 = 20;
/// The most time in which the driver finds a server, and in which a connection is made.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most time of the server for a query. A longer query is a fault, and its caller has gone.
const QUERY_TIME: Duration = Duration::from_secs(4);

/// The view in a MongoDB database, shared by the section's replicas.
pub struct MongoNewsView {
    client: Client,
    database: Database,
    recent: RecentGenerations,
    cache: ReadCache,
    // The view that this process is building.
    rebuild: Mutex<Option<i64>>,
    // One change of an article at a time. MongoDB does not need it, but FerretDB reads, compares and writes
    // in three steps.
    change_lock: Mutex<()>,
    _watched: WatchedPool,
}

/// Reads an address without connecting. The error never quotes it, as the parser's own message may.
pub fn read(url: &str) -> Result<(), StoreFailure> {
    let database = ConnectionString::parse(url).ok().and_then(|address| address.default_database);
    let is_valid = database.map(drop);
    is_valid.ok_or_else(|| StoreFailure::broken("the address is not a mongodb: URL that names a database"))
}

impl MongoNewsView {
    /// Connects to the database that `url` names, and creates the first view if there is none. `service` is
    /// the name that the server shows for the connections.
    pub async fn open(url: &str, service: &str) -> Result<Self, StoreFailure> {
        // The parser's own message may quote the URL.
        let options = ClientOptions::parse(url).await;
        let mut options =
            options.map_err(|_| StoreFailure::broken("the address is not a valid mongodb: URL"))?;
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
            WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(QUERY_TIME).build(),
        );
        let client = Client::with_options(options).map_err(failure)?;
        let database = client.database(&database);
        Generations::create_first(&database).await?;
        backfill::run(&database).await?;
        Ok(Self {
            client,
            database,
            recent: RecentGenerations::default(),
            cache: ReadCache::new(),
            rebuild: Mutex::default(),
            change_lock: Mutex::default(),
            _watched: watched,
        })
    }

    /// Returns what closes the connections.
    pub fn closer(&self) -> Closer {
        let client = self.client.clone();
        Box::pin(async move { client.shutdown().immediate(true).await })
    }

    /// Returns the view with everything that belongs to its database. It has no duty to wipe the data of
    /// erased people: MongoDB can't be asked to overwrite its journal and its free blocks. That is up to the
    /// operator of the server.
    pub fn into_opened(self) -> OpenedStore<dyn NewsView> {
        let closer = self.closer();
        OpenedStore::<dyn NewsView>::new(Arc::new(self)).with_closer(closer)
    }

    /// Returns the collection of a view.
    fn view<T: Send + Sync>(&self, number: i64) -> Collection<T> {
        self.database.collection(&view_name(number))
    }

    /// Reads the numbers of the views. A write must know the present ones.
    async fn generations(&self) -> Result<Generations, StoreFailure> {
        let generations = Generations::read(&self.database).await?;
        self.recent.keep(generations);
        Ok(generations)
    }

    /// Returns the view that readers see.
    async fn live(&self) -> Result<i64, StoreFailure> {
        match self.recent.live() {
            Some(number) => Ok(number),
            None => Ok(self.generations().await?.live),
        }
    }
}

#[async_trait]
impl NewsView for MongoNewsView {
    async fn apply(&self, article: &Article) -> Result<bool, StoreFailure> {
        in_time(async {
            let owner = article.byline.owner();
            let (generations, erased) = tokio::try_join!(self.generations(), self.is_one_erased(owner))?;
            let newer = self.put(generations.live, article, erased).await?;
            if let Some(next) = generations.building {
                self.put(next, article, erased).await?;
            }
            // There are no transactions, so the later writer looks at the effect of the other: an erasure
            // writes the tombstone before it removes names, and this looks for the tombstone again after the
            // write.
            if let Some(owner) = owner.filter(|_| !erased)
                && self.is_erased(owner).await?
            {
                self.blank(owner).await?;
            }
            // Also if it was not newer: the first delivery may have been killed before it set the mark.
            set_change_mark(&self.database).await?;
            Ok(newer)
        })
        .await
    }

    async fn get(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure> {
        in_time(async {
            let view = self.view::<ArticleRow>(self.live().await?);
            let row =
                view.find_one(doc! { "_id": key(id.uuid()) }).max_time(QUERY_TIME).await.map_err(failure)?;
            row.map(ArticleRow::article).transpose()
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
            let view = self.view::<ArticleRow>(self.live().await?);
            let rows = view
                .find(select::by_ids(ids, filter))
                .projection(columns(with_content))
                .max_time(QUERY_TIME)
                .await;
            let rows: Vec<ArticleRow> = rows.map_err(failure)?.try_collect().await.map_err(failure)?;
            let articles = rows.into_iter().map(ArticleRow::article).collect::<Result<_, _>>()?;
            Ok(in_order_of(ids, articles))
        })
        .await
    }

    async fn sizes(&self, ids: &[ArticleId], filter: &Filter) -> Result<Sizes, StoreFailure> {
        in_time(async {
            let view = self.view::<SizeRow>(self.live().await?);
            let sizes = view
                .find(select::by_ids(ids, filter))
                .projection(SizeRow::columns())
                .max_time(QUERY_TIME)
                .await;
            let sizes: Vec<SizeRow> = sizes.map_err(failure)?.try_collect().await.map_err(failure)?;
            Ok(sizes.iter().map(SizeRow::of_article).collect())
        })
        .await
    }

    async fn list(&self, part: &Part) -> Result<Listing, StoreFailure> {
        in_time(async {
            let (number, mark) = tokio::try_join!(self.live(), change_mark(&self.database))?;
            if let Some(listing) = self.cache.list(number, part, &mark) {
                return Ok(listing);
            }
            let rows: Vec<ArticleRow> = self.part(number, part, columns(false)).await?;
            let total = self.total_of(number, part, rows.len(), &mark).await?;
            let articles: Result<Vec<Article>, StoreFailure> =
                rows.into_iter().map(ArticleRow::article).collect();
            let listing = Listing { articles: articles?, total };
            self.cache.keep_list(number, part, &mark, &listing);
            Ok(listing)
        })
        .await
    }

    async fn positions(&self, part: &Part) -> Result<Positions, StoreFailure> {
        in_time(async {
            let (number, mark) = tokio::try_join!(self.live(), change_mark(&self.database))?;
            if let Some(positions) = self.cache.positions(number, part, &mark) {
                return Ok(positions);
            }
            let columns = doc! { select::column(part.order): 1 };
            let rows: Vec<select::PositionRow> = self.part(number, part, columns).await?;
            let total = self.total_of(number, part, rows.len(), &mark).await?;
            let positions = rows.into_iter().map(select::PositionRow::position).collect();
            let found = Positions { positions, total };
            self.cache.keep_positions(number, part, &mark, &found);
            Ok(found)
        })
        .await
    }

    async fn count_states(&self, author: Option<UserId>) -> Result<StateCounts, StoreFailure> {
        in_time(async {
            let (number, mark) = tokio::try_join!(self.live(), change_mark(&self.database))?;
            self.totals_of_states(number, author, &mark).await
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
            set_change_mark(&self.database).await
        })
        .await
    }

    async fn begin_rebuild(&self) -> Result<(), StoreFailure> {
        let mut building = self.rebuild.lock().await;
        *building = Some(in_time(Generations::begin(&self.database)).await?);
        Ok(())
    }

    async fn load(&self, articles: &[Article]) -> Result<(), StoreFailure> {
        let number = (*self.rebuild.lock().await).ok_or_else(not_begun)?;
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
        let mut building = self.rebuild.lock().await;
        let number = building.ok_or_else(not_begun)?;
        in_time(async {
            Generations::finish(&self.database, number).await?;
            self.generations().await.map(|_| ())
        })
        .await?;
        *building = None;
        Ok(())
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
}

fn not_begun() -> StoreFailure {
    StoreFailure::broken("no rebuild was begun by this process")
}
