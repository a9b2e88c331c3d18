//! Calls to a news section over the broker, as bare as AMQP allows: by the driver alone, in the form that
//! sections answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use prost::Message;
use proto::news::v1::{Article, ArticleReply, GetArticleRequest};
use tokio::sync::oneshot;

use crate::tally::Tally;

/// The exchanges of requests and replies, as `bus` names them.
const CALLS: &str = "portal.calls";
const REPLIES: &str = "portal.replies";
/// The time that a section has for a reply: the read budget of the portal.
const BUDGET: Duration = Duration::from_secs(2);

/// A call: the method and its message.
#[derive(Debug, Clone)]
pub struct Call {
    method: &'static str,
    body: Vec<u8>,
    token: Option<String>,
    refused: bool,
}

impl Call {
    /// Asks for an article.
    pub fn get(id: &str) -> Self {
        let body = GetArticleRequest { id: id.to_owned(), ..GetArticleRequest::default() }.encode_to_vec();
        Self { method: "GetArticle", body, token: None, refused: false }
    }

    /// Creates any other call, with a token.
    pub fn by(method: &'static str, message: &impl Message, token: &str) -> Self {
        Self { method, body: message.encode_to_vec(), token: Some(token.to_owned()), refused: false }
    }

    /// Returns the same call in a form that the section refuses. Its result is an empty article.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { refused: true, ..self }
    }

    /// Decodes the reply.
    fn article(&self, reply: &Delivery) -> Result<Article> {
        let is_refusal = reply.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == "Refusal");
        match (is_refusal, self.refused) {
            (false, false) => {
                ArticleReply::decode(reply.data.as_slice())?.article.context("a reply without an article")
            }
            (true, true) => Ok(Article::default()),
            (true, false) => bail!("refused: {}", String::from_utf8_lossy(&reply.data)),
            (false, true) => bail!("answered, where a refusal was expected"),
        }
    }

    fn properties(&self, id: &str, reply_to: &str) -> BasicProperties {
        let mut headers = FieldTable::default();
        if let Some(token) = &self.token {
            headers.insert("token".into(), AMQPValue::LongString(token.as_str().into()));
        }
        BasicProperties::default()
            .with_delivery_mode(1)
            .with_type(self.method.into())
            .with_correlation_id(id.into())
            .with_reply_to(reply_to.into())
            .with_expiration(BUDGET.as_millis().to_string().into())
            .with_headers(headers)
    }

    async fn send(&self, channel: &Channel, section: &str, id: &str, reply_to: &str) -> Result<()> {
        let (key, properties) = (format!("news.{section}.calls"), self.properties(id, reply_to));
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(CALLS.into(), key.into(), options, &self.body, properties).await;
        sent.map(drop).context("the call can't be sent")
    }
}

/// A queue of replies with its consumer.
async fn desk(channel: &Channel, name: &str, options: QueueDeclareOptions) -> Result<Consumer> {
    let nothing = FieldTable::default;
    channel.queue_declare(name.into(), options, nothing()).await.context("the queue of replies")?;
    let binding = QueueBindOptions::default();
    channel
        .queue_bind(name.into(), REPLIES.into(), name.into(), binding, nothing())
        .await
        .context("its binding")?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(name.into(), "".into(), options, nothing()).await.context("its consumer")
}

/// The original's way: a connection and a durable queue for this one call. (The original left its queues
/// behind; here they go with the connection, so that the portal need not be measured beside thousands of
/// them.)
///
/// # Errors
/// Where any of it fails.
pub async fn ask_once(broker: &str, section: &str, call: &Call) -> Result<Article> {
    let connection = connect(broker).await?;
    let channel = connection.create_channel().await?;
    let id = uuid::Uuid::new_v4().to_string();
    let options = QueueDeclareOptions { durable: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut replies = desk(&channel, &format!("original.{id}"), options).await?;
    call.send(&channel, section, &id, &format!("original.{id}")).await?;
    let reply = tokio::time::timeout(BUDGET, replies.next()).await.context("no reply in time")?;
    let reply = reply.context("the connection ended")??;
    connection.close(200, "OK".into()).await?;
    call.article(&reply)
}

async fn connect(broker: &str) -> Result<Connection> {
    Connection::connect(broker, ConnectionProperties::default()).await.context("the broker can't be reached")
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Delivery>>>>;

/// A connection for many calls in flight.
pub struct Caller {
    channel: Channel,
    queue: String,
    waiting: Waiting,
    next: AtomicU64,
    // Everything above ends with it.
    _connection: Connection,
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn new(broker: &str) -> Result<Arc<Self>> {
        let connection = connect(broker).await?;
        let channel = connection.create_channel().await?;
        let queue = format!("bench.{}", uuid::Uuid::new_v4());
        let options =
            QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let mut replies = desk(&connection.create_channel().await?, &queue, options).await?;
        let waiting = Waiting::default();
        let asked = waiting.clone();
        tokio::spawn(async move {
            while let Some(Ok(reply)) = replies.next().await {
                let id =
                    reply.properties.correlation_id().as_ref().map(ToString::to_string).unwrap_or_default();
                if let Some(waiting) = lock(&asked).remove(&id) {
                    let _gave_up = waiting.send(reply);
                }
            }
        });
        Ok(Arc::new(Self { channel, queue, waiting, next: AtomicU64::new(0), _connection: connection }))
    }

    /// Asks and waits for the article.
    ///
    /// # Errors
    /// If there is no reply in time.
    pub async fn ask(&self, section: &str, call: &Call) -> Result<Article> {
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let (sender, reply) = oneshot::channel();
        lock(&self.waiting).insert(id.clone(), sender);
        call.send(&self.channel, section, &id, &self.queue).await?;
        let reply = tokio::time::timeout(BUDGET, reply).await;
        lock(&self.waiting).remove(&id);
        call.article(&reply.context("no reply in time")?.context("the connection ended")?)
    }

    /// Sends calls with this many in flight, each followed by the next. Returns the result and the last
    /// article.
    ///
    /// # Errors
    /// Where not a single call was answered.
    pub async fn closed(
        self: &Arc<Self>,
        section: &'static str,
        in_flight: usize,
        time: Duration,
        call: impl Fn(u64) -> Call + Send + Sync + 'static,
    ) -> Result<(Tally, Article)> {
        let (call, number, begun) = (Arc::new(call), Arc::new(AtomicU64::new(0)), Instant::now());
        let one = |_| {
            let (caller, call, number) = (self.clone(), call.clone(), number.clone());
            tokio::spawn(async move {
                let (mut tally, mut last) = (Tally::default(), None);
                while begun.elapsed() < time {
                    let call = call(number.fetch_add(1, Ordering::Relaxed));
                    let from = Instant::now();
                    let answer = caller.ask(section, &call).await;
                    let answer = answer.map(|article| last = Some(article));
                    tally.count(from.elapsed(), answer.map(|()| 200));
                }
                (tally, last)
            })
        };
        let parts = futures::future::join_all((0..in_flight).map(one)).await;
        let (tallies, articles): (Vec<_>, Vec<_>) = parts.into_iter().flatten().unzip();
        let tally = Tally::sum(tallies, None, begun.elapsed());
        let newest = articles.into_iter().flatten().max_by_key(|article| article.created_at_ms);
        ensure!(newest.is_some(), "{}", tally.first_error.unwrap_or_default());
        Ok((tally, newest.context("an article")?))
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Delivery>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
