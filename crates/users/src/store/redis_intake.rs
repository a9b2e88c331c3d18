//! The intake in a Redis server of its own, shared by the replicas of this service: a stream with a consumer group, and hashes
//! beside it for what is looked up. Every step is one script (`db/users/intake/redis`), which happens whole or not at all.
//!
//! Limits: what is acknowledged is as safe as the server's append-only file. `appendfsync always` writes it to disk before the
//! answer; with `everysec` a power cut (not a crash of the server) may cost the last second. A server without the file, or
//! one that evicts, is refused. Leases are compared with the clocks of the replicas, which should agree within seconds: a wrong one
//! makes a lease shorter or longer, and never gives an e-mail to two, as an append asks who holds it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Context, StoreFailure, in_time};
use kernel::{Clock, Timestamp, Trace, UserId};
use redis::streams::StreamRangeReply;
use redis::{Script, ScriptInvocation, cmd};
use uuid::Uuid;

use super::record;
use super::redis::Redis;
use crate::domain::{Account, Email, Fingerprint};
use crate::ports::{AHEAD, Answer, Begun, Intake, IntakeError, LONGEST_PAUSE, Once, Reservation, Waiting};

/// The names of the keys, in the order of `keys.lua`. The braces are the hash tag of a cluster: all lie on one node.
const KEYS: [&str; 12] = [
    "stream",
    "places",
    "records",
    "mails",
    "owners",
    "leases",
    "due",
    "failures",
    "buried",
    "answers",
    "answer_times",
    "answered",
];
/// How long an answer of the server is waited for; whoever asks may be in more of a hurry.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so long without a sign of life, a consumer with nothing in hand is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

macro_rules! scripts {
    ($($name:ident),*) => {
        struct Scripts { $($name: Script),* }

        impl Scripts {
            fn new() -> Self {
                Self { $($name: Script::new(concat!(
                    include_str!("../../../../db/users/intake/redis/keys.lua"),
                    include_str!(concat!("../../../../db/users/intake/redis/", stringify!($name), ".lua")),
                ))),* }
            }
        }
    };
}

scripts!(
    prepare,
    reserve,
    append,
    release,
    by_email,
    take,
    give_back,
    failed,
    bury,
    settled,
    begin,
    give_up,
    forget_answers,
    forget_answers_about
);

/// The intake of one Redis server.
pub struct RedisIntake {
    redis: Arc<Redis>,
    scripts: Scripts,
    keys: Vec<String>,
    /// Whom the consumer group knows this process as.
    consumer: String,
    clock: Arc<dyn Clock>,
}

impl RedisIntake {
    /// Connects to the server that `url` names and makes the consumer group where there is none. Leases are compared with `clock`.
    ///
    /// # Errors
    /// Where it does not answer, or forgets what it was told.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreFailure> {
        let redis = Arc::new(Redis::new(url, PATIENCE)?);
        let keys = KEYS.iter().map(|name| redis.key(format_args!("{{users-intake}}:{name}"))).collect();
        let consumer = Uuid::new_v4().to_string();
        let intake = Self { redis, scripts: Scripts::new(), keys, consumer, clock };
        intake.keeps_what_it_is_told().await?;
        intake.run::<()>(intake.script(&intake.scripts.prepare).arg(millis(FORGOTTEN))).await?;
        Ok(intake)
    }

    async fn keeps_what_it_is_told(&self) -> Result<(), StoreFailure> {
        let mut told = String::new();
        for section in ["persistence", "memory"] {
            told += &self.redis.ask::<String>(cmd("INFO").arg(section)).await?;
        }
        let says = |line: &str| told.lines().any(|told| told.trim_end() == line);
        if !says("aof_enabled:1") {
            return Err(StoreFailure::broken("the server keeps no append-only file (appendonly yes)"));
        }
        if !says("maxmemory_policy:noeviction") {
            return Err(StoreFailure::broken("the server evicts (maxmemory-policy noeviction)"));
        }
        Ok(())
    }

    /// Lets go of the connection.
    pub fn closer(&self) -> chassis::Closer {
        let redis = self.redis.clone();
        Box::pin(async move { redis.close().await })
    }

    fn script<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut invocation = script.prepare_invoke();
        for key in &self.keys {
            invocation.key(key);
        }
        invocation
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreFailure> {
        in_time(self.redis.run(script)).await
    }

    fn now(&self) -> i64 {
        self.clock.now().millis()
    }

    fn later(&self, duration: Duration) -> i64 {
        self.clock.now().plus(duration).millis()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn text(id: UserId) -> String {
    id.uuid().to_string()
}

fn decoded(record: Option<String>) -> Result<Option<Account>, IntakeError> {
    Ok(record.as_deref().map(record::decode).transpose()?)
}

fn id_of(text: &str) -> Result<UserId, StoreFailure> {
    text.parse().map_err(|_| StoreFailure::broken("an account is named that can't be one"))
}

/// What `take.lua` hands out: account, attempts, trace, record.
type Taken = (String, u32, String, Option<String>);

fn waiting((id, attempts, trace, record): Taken) -> Result<Waiting, StoreFailure> {
    let missing = || StoreFailure::broken("the record of the registration is missing");
    Ok(Waiting {
        id: id_of(&id)?,
        attempts,
        trace: trace.parse().unwrap_or_else(|_| Trace::start()),
        account: record.ok_or_else(missing).and_then(|record| record::decode(&record)),
    })
}

/// What `begin.lua` finds: how it is, and of an answer the fingerprint, the account, and when it was registered.
type Found = (String, String, String, Option<i64>);

fn begun((state, fingerprint, id, registered_at): Found) -> Result<Begun, StoreFailure> {
    match state.as_str() {
        "now" => return Ok(Begun::Now),
        "running" => return Ok(Begun::Running),
        _ => {}
    }
    let at = registered_at.map(Timestamp::from_millis);
    let at = at.ok_or_else(|| StoreFailure::broken("a kept answer says nothing"))?;
    Ok(Begun::Before(Answer { fingerprint: Fingerprint::stored(fingerprint), id: id_of(&id)?, at }))
}

#[async_trait]
impl Intake for RedisIntake {
    async fn reserve(&self, email: &Email, id: UserId, lease: Duration) -> Result<Reservation, IntakeError> {
        let mut script = self.script(&self.scripts.reserve);
        script.arg(email.key()).arg(text(id)).arg(self.later(lease)).arg(self.now());
        script.arg(self.later(lease * AHEAD));
        if self.run(&script).await? {
            Ok(Reservation { email: email.clone(), id })
        } else {
            Err(IntakeError::EmailTaken)
        }
    }

    async fn append(
        &self,
        reservation: &Reservation,
        account: &Account,
        once: Option<&Once>,
    ) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.append);
        script.arg(reservation.email.key()).arg(text(reservation.id)).arg(self.now());
        script.arg(record::encode(account)?).arg(Context::current().trace.to_string());
        if let Some(once) = once {
            script.arg(once.name.hex()).arg(text(once.id)).arg(self.later(once.kept));
            script.arg(account.user.created_at.millis());
        }
        if self.run(&script).await? { Ok(()) } else { Err(IntakeError::LeaseLost) }
    }

    async fn release(&self, reservation: &Reservation) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.release);
        Ok(self.run(script.arg(reservation.email.key()).arg(text(reservation.id))).await?)
    }

    async fn by_id(&self, id: UserId) -> Result<Option<Account>, IntakeError> {
        let records = &self.keys[2];
        decoded(in_time(self.redis.ask(cmd("HGET").arg(records).arg(text(id)))).await?)
    }

    async fn by_email(&self, email: &Email) -> Result<Option<Account>, IntakeError> {
        decoded(self.run(self.script(&self.scripts.by_email).arg(email.key())).await?)
    }

    async fn waiting(&self, limit: u32) -> Result<Vec<UserId>, IntakeError> {
        let stream = &self.keys[0];
        let mut ask = cmd("XRANGE");
        ask.arg(stream).arg("-").arg("+").arg("COUNT").arg(limit);
        let entries: StreamRangeReply = in_time(self.redis.ask(&ask)).await?;
        let ids = entries.ids.iter().map(|entry| id_of(&entry.get::<String>("user").unwrap_or_default()));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    async fn take(&self, limit: u32, lease: Duration) -> Result<Vec<Waiting>, IntakeError> {
        let mut script = self.script(&self.scripts.take);
        script.arg(limit).arg(self.now()).arg(self.later(lease)).arg(&self.consumer);
        script.arg(self.later(LONGEST_PAUSE.max(lease)));
        let taken: Vec<Taken> = self.run(&script).await?;
        Ok(taken.into_iter().map(waiting).collect::<Result<_, _>>()?)
    }

    async fn settled(&self, id: UserId) -> Result<(), IntakeError> {
        Ok(self.run(self.script(&self.scripts.settled).arg(text(id))).await?)
    }

    async fn give_back(&self, id: UserId) -> Result<(), IntakeError> {
        Ok(self.run(self.script(&self.scripts.give_back).arg(text(id)).arg(&self.consumer)).await?)
    }

    async fn failed(&self, id: UserId, reason: &str, pause: Duration) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.failed);
        script.arg(text(id)).arg(&self.consumer).arg(self.later(pause)).arg(reason);
        Ok(self.run(&script).await?)
    }

    async fn bury(&self, id: UserId, reason: &str) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.bury);
        Ok(self.run(script.arg(text(id)).arg(reason).arg(self.now())).await?)
    }

    async fn begin(&self, once: &Once, lease: Duration) -> Result<Begun, IntakeError> {
        let mut script = self.script(&self.scripts.begin);
        script.arg(once.name.hex()).arg(once.fingerprint.as_str()).arg(text(once.id));
        script.arg(self.later(lease)).arg(self.now()).arg(self.later(lease * AHEAD));
        Ok(begun(self.run(&script).await?)?)
    }

    async fn give_up(&self, once: &Once) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.give_up);
        Ok(self.run(script.arg(once.name.hex()).arg(text(once.id))).await?)
    }

    async fn forget_answers(&self, limit: u32) -> Result<u64, IntakeError> {
        let mut script = self.script(&self.scripts.forget_answers);
        Ok(self.run(script.arg(self.now()).arg(limit)).await?)
    }

    async fn forget_answers_about(&self, id: UserId) -> Result<(), IntakeError> {
        Ok(self.run(self.script(&self.scripts.forget_answers_about).arg(text(id))).await?)
    }

    /// A server that writes its keys to a file appends what was deleted to what was there; rewriting the file drops both. A login that may
    /// not ask for that leaves it to the server, which does it by itself when the file has doubled.
    async fn wipe(&self) -> Result<bool, StoreFailure> {
        match in_time(self.redis.ask::<::redis::Value>(&cmd("BGREWRITEAOF"))).await {
            Err(error @ StoreFailure::Broken(_)) => {
                tracing::debug!(
                    cause = chassis::causes(&error),
                    "the intake's file is rewritten by its server alone"
                );
                Ok(true)
            }
            outcome => outcome.map(|_| true),
        }
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        in_time(self.redis.ask(&cmd("PING"))).await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        let mut set = cmd("SET");
        set.arg(self.redis.key("health")).arg(1).arg("EX").arg(60);
        in_time(self.redis.ask(&set)).await
    }
}
