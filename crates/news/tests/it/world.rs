//! The section `sports` in a process of its own making: built, run, stopped and built again on the same
//! files.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Bus, Call, Envelope};
use bytes::Bytes;
use chassis::config::{Loaded, Settings, layers, over, read};
use chassis::{Closer, Context, Service, Surroundings, Worker, drive};
use kernel::{Kind, Refusal, Section};
use news::{App, Config, OpenedNews};
use prost::Message;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use testkit::Folder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::engines;
use crate::people::{Person, users};

pub const SECTION: Section = Section::Sports;
/// Names the URLs of the stores that are no files.
const SERVERS: &str = "servers";

/// A folder with the stores of a section, and how it is configured.
pub struct Place {
    path: PathBuf,
    // Removed with the place; absent if another test owns the folder.
    _folder: Option<Folder>,
    pub self_review: bool,
    pub wait_ms: u64,
}

impl Place {
    pub fn new() -> Self {
        let folder = Folder::new();
        Self { path: folder.path().to_owned(), _folder: Some(folder), self_review: false, wait_ms: 8_000 }
    }

    /// Returns a place whose stores are on the servers for tests. A file in the folder names them.
    pub async fn on_servers() -> Self {
        let place = Self::new();
        let stores = format!("{}\n{}", engines::postgres().await, engines::mongodb());
        std::fs::write(place.file(SERVERS), stores).expect("the file is written");
        place
    }

    /// Returns another place with the same stores, for a second replica.
    pub fn beside(&self) -> Self {
        let place = Self::new();
        std::fs::copy(self.file(SERVERS), place.file(SERVERS)).expect("the stores are on servers");
        place
    }

    /// True if the stores are files.
    pub fn is_on_files(&self) -> bool {
        !self.file(SERVERS).exists()
    }

    /// Reads a number from the event store.
    pub async fn count(&self, statement: &'static str) -> i64 {
        let servers = std::fs::read_to_string(self.file(SERVERS)).ok();
        match servers.as_deref().and_then(|stores| stores.split_once('\n')) {
            Some((events, _)) => {
                let mut connection = sqlx::PgConnection::connect(events).await.expect("the server answers");
                sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it is counted")
            }
            None => {
                let mut connection = self.connection("sports-news.db").await;
                sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it is counted")
            }
        }
    }

    /// Returns a place in a folder that exists.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), _folder: None, self_review: false, wait_ms: 8_000 }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn config(&self) -> Config {
        let url = |scheme: &str, name: &str| format!("{scheme}:{}", self.file(name).display());
        let servers = std::fs::read_to_string(self.file(SERVERS)).ok();
        let (events, view) = match servers.as_deref().and_then(|stores| stores.split_once('\n')) {
            Some((events, view)) => (events.to_owned(), view.to_owned()),
            None => (url("sqlite", "{service}.db"), url("sqlite", "{service}-view.db")),
        };
        let text = format!(
            "[bus]\nurl = {:?}\n[events]\nurl = {:?}\n[view]\nurl = {:?}\n[newsroom]\nself_review = {}\n[reads]\nprojection_wait_ms = {}\n",
            url("local", "bus.db"),
            events,
            view,
            self.self_review,
            self.wait_ms,
        );
        let layers = layers(&[Config::DEFAULTS, &text], None).expect("the layers");
        let loaded: Loaded<Config> = read(&over(layers, Default::default())).expect("a good configuration");
        loaded.service
    }

    /// Opens a connection to one of the files, besides those of the stores.
    pub async fn connection(&self, name: &str) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.file(name)).connect().await.expect("the file opens")
    }

    /// Opens the stores without the service, as `portal replay` does.
    pub async fn open(&self) -> OpenSection {
        let surroundings = Surroundings::one_process();
        let opened = news::open(SECTION, &self.config(), &surroundings).await.expect("the stores open");
        OpenSection(opened)
    }
}

/// The use cases of a section without its service.
pub struct OpenSection(pub OpenedNews);

impl Deref for OpenSection {
    type Target = Arc<App>;

    fn deref(&self) -> &Arc<App> {
        &self.0.app
    }
}

/// Closes the stores and their files.
pub async fn shut(section: OpenSection) {
    section.0.close().await;
}

/// A running section.
pub struct World {
    pub bus: Arc<dyn Bus>,
    stop: CancellationToken,
    running: JoinSet<()>,
    // Behind a mutex only so that tasks may share the world.
    closers: Mutex<Vec<Closer>>,
    pub workers: Vec<Arc<dyn Worker>>,
}

impl World {
    /// Starts the service with its relay and its projection.
    pub async fn start(place: &Place) -> Self {
        let mut world = Self::start_without_relay(place).await;
        for worker in world.workers.clone() {
            world.running.spawn(drive(SECTION.service(), worker, world.stop.clone(), Duration::from_secs(5)));
        }
        world
    }

    /// Starts the service without its relay.
    pub async fn start_without_relay(place: &Place) -> Self {
        let surroundings = Surroundings::one_process();
        surroundings.register_http("users", users());
        let config = place.config();
        let bus = bus::open(config.bus.url.expose(), &surroundings).await.expect("the bus opens").bus;
        let service = news::build(SECTION, config, surroundings.clone()).await.expect("the service is built");
        let Service { consumers, workers, closers, .. } = service;
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        for consumer in consumers {
            running.spawn(consumer.run(stop.clone()));
        }
        Self { bus, stop, running, closers: Mutex::new(closers), workers }
    }

    /// Stops the service in order and closes all files.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.expect("no part of the service panics");
        }
        for closer in self.closers.into_inner().expect("no task panicked") {
            closer.await;
        }
        self.bus.close().await;
    }

    pub async fn call<M: Message>(
        &self,
        who: Option<String>,
        method: &str,
        request: M,
    ) -> Result<Bytes, Refusal> {
        self.call_within(Duration::from_secs(10), who, method, request).await
    }

    /// Makes a call with this much time.
    pub async fn call_within<M: Message>(
        &self,
        budget: Duration,
        who: Option<String>,
        method: &str,
        request: M,
    ) -> Result<Bytes, Refusal> {
        self.send(budget, who, None, method, request).await
    }

    /// Sends a call under a key.
    pub async fn call_once<M: Message>(
        &self,
        who: &Person,
        key: &str,
        method: &str,
        request: M,
    ) -> Result<Bytes, Refusal> {
        self.send(Duration::from_secs(10), Some(who.token()), Some(key.to_owned()), method, request).await
    }

    async fn send<M: Message>(
        &self,
        budget: Duration,
        token: Option<String>,
        idempotency_key: Option<String>,
        method: &str,
        request: M,
    ) -> Result<Bytes, Refusal> {
        let body = request.encode_to_vec().into();
        let call = Call { method: method.to_owned(), body, token, idempotency_key };
        let context = Context::for_work("test", budget);
        context.scope(self.bus.call("news.sports.calls", call)).await
    }

    pub async fn create(&self, who: &Person, fields: ArticleFields) -> Result<Article, Refusal> {
        self.command(who, creation(fields, false)).await
    }

    pub async fn create_published(&self, who: &Person, fields: ArticleFields) -> Result<Article, Refusal> {
        self.command(who, creation(fields, true)).await
    }

    pub async fn revise(
        &self,
        who: &Person,
        seen: &Article,
        fields: ArticleFields,
    ) -> Result<Article, Refusal> {
        self.command(who, on(seen, Action::Revise(fields))).await
    }

    pub async fn patch(&self, who: &Person, seen: &Article, patch: ArticlePatch) -> Result<Article, Refusal> {
        self.command(who, on(seen, Action::Patch(patch))).await
    }

    pub async fn publish(&self, who: &Person, seen: &Article) -> Result<Article, Refusal> {
        self.command(who, on(seen, Action::Publish(PublishArticle {}))).await
    }

    pub async fn unpublish(&self, who: &Person, seen: &Article) -> Result<Article, Refusal> {
        self.command(who, on(seen, Action::Unpublish(UnpublishArticle {}))).await
    }

    pub async fn undelete(&self, who: &Person, id: &str, version: u32) -> Result<Article, Refusal> {
        self.command(who, request(id, exactly(version), Action::Undelete(UndeleteArticle {}))).await
    }

    pub async fn restore(&self, who: &Person, seen: &Article, version: u32) -> Result<Article, Refusal> {
        self.command(who, on(seen, Action::Restore(RestoreArticle { version }))).await
    }

    pub async fn delete(&self, who: &Person, seen: &Article) -> Result<Article, Refusal> {
        self.command(who, on(seen, Action::Delete(DeleteArticle {}))).await
    }

    /// Sends a command without an idempotency key.
    pub async fn command(&self, who: &Person, request: CommandRequest) -> Result<Article, Refusal> {
        let reply = self.call(Some(who.token()), "Command", request).await?;
        let reply = CommandReply::decode(reply).expect("a reply");
        Ok(reply.article.expect("with an article"))
    }

    /// Sends a command under a key. Returns the article, and whether the answer was given before.
    pub async fn command_once(
        &self,
        who: &Person,
        key: &str,
        request: CommandRequest,
    ) -> Result<(Article, bool), Refusal> {
        let reply = self.call_once(who, key, "Command", request).await?;
        let CommandReply { article, replayed } = CommandReply::decode(reply).expect("a reply");
        Ok((article.expect("with an article"), replayed))
    }

    /// Reads an article from the view, without waiting.
    pub async fn get(&self, who: Option<&Person>, id: &str) -> Result<Article, Refusal> {
        let request = GetArticleRequest { id: id.to_owned(), min_version: None };
        article(self.call(who.map(Person::token), "GetArticle", request).await)
    }

    /// Reads an article from the view as soon as it has this version.
    pub async fn get_since(&self, who: Option<&Person>, seen: &Article) -> Result<Article, Refusal> {
        let request = GetArticleRequest { id: seen.id.clone(), min_version: Some(seen.version) };
        article(self.call(who.map(Person::token), "GetArticle", request).await)
    }

    pub async fn list(
        &self,
        offset: u32,
        limit: u32,
        include_content: bool,
    ) -> Result<ListArticlesReply, Refusal> {
        let request =
            ListArticlesRequest { offset, limit, include_content, ..ListArticlesRequest::default() };
        self.list_as(None, request).await
    }

    pub async fn list_as(
        &self,
        who: Option<&Person>,
        request: ListArticlesRequest,
    ) -> Result<ListArticlesReply, Refusal> {
        let reply = self.call(who.map(Person::token), "ListArticles", request).await?;
        Ok(ListArticlesReply::decode(reply).expect("a reply"))
    }

    /// Returns an author's draft that an editor has published and the view contains.
    pub async fn published(&self, title: &str) -> Article {
        let draft = self.create(&crate::people::author(), fields(title)).await.expect("a draft");
        let published = self.publish(&crate::people::editor(), &draft).await.expect("it is published");
        self.get_since(None, &published).await.expect("it is projected")
    }

    pub async fn deliver(&self, message: Envelope) {
        self.bus.publish(vec![message]).await.expect("the bus takes it");
    }
}

fn article(reply: Result<Bytes, Refusal>) -> Result<Article, Refusal> {
    let reply = ArticleReply::decode(reply?).expect("a reply");
    Ok(reply.article.expect("with an article"))
}

/// A command on an article at a version.
pub fn request(id: &str, expected: Option<Expected>, action: Action) -> CommandRequest {
    CommandRequest { id: id.to_owned(), expected, action: Some(action) }
}

/// A command on an article at the version that was seen.
pub fn on(seen: &Article, action: Action) -> CommandRequest {
    request(&seen.id, exactly(seen.version), action)
}

/// The creation of an article.
pub fn creation(fields: ArticleFields, publish: bool) -> CommandRequest {
    request("", None, Action::Create(CreateArticle { fields: Some(fields), publish }))
}

pub fn exactly(version: u32) -> Option<Expected> {
    Some(Expected { any: false, versions: vec![version] })
}

pub fn fields(title: &str) -> ArticleFields {
    ArticleFields {
        title: title.to_owned(),
        content: format!("All about it: {title}."),
        tags: vec!["budget".to_owned()],
        ..ArticleFields::default()
    }
}

/// Returns the kind and the code of a refusal.
pub fn refusal_of<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> (Kind, String) {
    let refusal = outcome.expect_err("it is refused");
    (refusal.kind, refusal.code.as_str().to_owned())
}

pub fn refusal(kind: Kind, code: &str) -> (Kind, String) {
    (kind, code.to_owned())
}
