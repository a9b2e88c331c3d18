//! The intake on a Redis server of its own, shared by the replicas of this service: a stream with a consumer
//! group, and hashes for lookups. Every step is one script (`db/users/intake/redis`), which runs completely
//! or not at all.
//!
//! Limits: an acknowledged registration is as safe as the server's append-only file. `appendfsync always`
//! writes it to disk before the answer. With `everysec` a power cut may lose the last second; a crash of the
//! server loses nothing. A server without the file, or one that evicts, is refused. Leases are compared with
//! the clocks of the replicas, which should agree within seconds. A wrong clock makes a lease shorter or
//! longer. It never gives an e-mail to two accounts, because an append checks which account holds it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Closer, Context, OpenedStore, StoreFailure, in_time};
use kernel::{Clock, Timestamp, Trace, UserId};
use redis::streams::StreamRangeReply;
use redis::{Script, ScriptInvocation, cmd};
use uuid::Uuid;

use super::Redis;
use crate::domain::{Account, Email, Fingerprint};
use crate::ports::{
    BeginOutcome, IdempotencyAttempt, Intake, IntakeError, LONGEST_PAUSE, MAX_LEASES_AHEAD,
    RegistrationAnswer, Reservation, WaitingRegistration,
};
use crate::store::record;

/// The names of the keys, in the order of `keys.lua`. The braces in [`RedisIntake::open`] are the hash tag of
/// a cluster: all keys are on one node.
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
/// The longest wait for an answer of the server; a caller may have less time.
const PATIENCE: Duration = Duration::from_secs(2);
/// The idle time after which a consumer without claimed registrations is deleted.
const CONSUMER_IDLE: Duration = Duration::from_secs(3600);

macro_rules! scripts {
    ($($name:ident),*) => {
        struct Scripts { $($name: Script),* }

        impl Scripts {
            fn new() -> Self {
                Self { $($name: Script::new(concat!(
                    include_str!("../../../../../db/users/intake/redis/keys.lua"),
                    include_str!(concat!("../../../../../db/users/intake/redis/", stringify!($name), ".lua")),
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
    defer,
    bury,
    settle,
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
    /// The name of this process in the consumer group.
    consumer: String,
    clock: Arc<dyn Clock>,
}

impl RedisIntake {
    /// Connects to the server that `url` names, and creates the consumer group if there is none. Leases are
    /// compared with `clock`.
    ///
    /// # Errors
    /// If the server does not answer, keeps no append-only file, or evicts.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreFailure> {
        let redis = Arc::new(Redis::new(url, PATIENCE)?);
        let keys = KEYS.iter().map(|name| redis.key(format_args!("{{users-intake}}:{name}"))).collect();
        let consumer = Uuid::new_v4().to_string();
        let intake = Self { redis, scripts: Scripts::new(), keys, consumer, clock };
        intake.check_durability().await?;
        intake.run::<()>(intake.script(&intake.scripts.prepare).arg(millis(CONSUMER_IDLE))).await?;
        Ok(intake)
    }

    async fn check_durability(&self) -> Result<(), StoreFailure> {
        let mut info = String::new();
        for section in ["persistence", "memory"] {
            info += &self.redis.ask::<String>(cmd("INFO").arg(section)).await?;
        }
        let has = |wanted: &str| info.lines().any(|line| line.trim_end() == wanted);
        if !has("aof_enabled:1") {
            return Err(StoreFailure::broken("the server keeps no append-only file: set `appendonly yes`"));
        }
        if !has("maxmemory_policy:noeviction") {
            return Err(StoreFailure::broken("the server evicts: set `maxmemory-policy noeviction`"));
        }
        Ok(())
    }

    /// Returns what drops the connection.
    pub fn closer(&self) -> Closer {
        let redis = self.redis.clone();
        Box::pin(async move { redis.close().await })
    }

    /// Returns the intake with what closes its connection.
    pub fn into_opened(self) -> OpenedStore<dyn Intake> {
        let closer = self.closer();
        OpenedStore::<dyn Intake>::new(Arc::new(self)).with_closer(closer)
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

    fn after(&self, duration: Duration) -> i64 {
        self.clock.now().plus(duration).millis()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn id_text(id: UserId) -> String {
    id.uuid().to_string()
}

fn decode(record: Option<String>) -> Result<Option<Account>, IntakeError> {
    Ok(record.as_deref().map(record::decode).transpose()?)
}

fn parse_id(text: &str) -> Result<UserId, StoreFailure> {
    text.parse().map_err(|_| StoreFailure::broken("the name of an entry is not the id of an account"))
}

/// An entry of what `take.lua` returns: account, attempts, trace, record.
type TakenEntry = (String, u32, String, Option<String>);

fn waiting_registration(
    (id, attempts, trace, record): TakenEntry,
) -> Result<WaitingRegistration, StoreFailure> {
    let missing = || StoreFailure::broken("the record of the registration is missing");
    Ok(WaitingRegistration {
        id: parse_id(&id)?,
        attempts,
        trace: trace.parse().unwrap_or_else(|_| Trace::start()),
        account: record.ok_or_else(missing).and_then(|record| record::decode(&record)),
    })
}

/// The reply of `begin.lua`: the state, and of an answer the fingerprint, the account, and the time of the
/// registration.
type BeginReply = (String, String, String, Option<i64>);

fn begin_outcome((state, fingerprint, id, registered_at): BeginReply) -> Result<BeginOutcome, StoreFailure> {
    match state.as_str() {
        "now" => return Ok(BeginOutcome::Begun),
        "running" => return Ok(BeginOutcome::StillRunning),
        _ => {}
    }
    let at = registered_at.map(Timestamp::from_millis);
    let at = at.ok_or_else(|| StoreFailure::broken("a stored answer has no time of registration"))?;
    Ok(BeginOutcome::Answered(RegistrationAnswer {
        fingerprint: Fingerprint::stored(fingerprint),
        user: parse_id(&id)?,
        registered_at: at,
    }))
}

#[async_trait]
impl Intake for RedisIntake {
    async fn reserve(&self, email: &Email, id: UserId, lease: Duration) -> Result<Reservation, IntakeError> {
        let mut script = self.script(&self.scripts.reserve);
        script.arg(email.key()).arg(id_text(id)).arg(self.after(lease)).arg(self.now());
        script.arg(self.after(lease * MAX_LEASES_AHEAD));
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
        attempt: Option<&IdempotencyAttempt>,
    ) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.append);
        script.arg(reservation.email.key()).arg(id_text(reservation.id)).arg(self.now());
        script.arg(record::encode(account)?).arg(Context::current().trace.to_string());
        if let Some(attempt) = attempt {
            script.arg(attempt.key.hex()).arg(id_text(attempt.user)).arg(self.after(attempt.answer_life));
            script.arg(account.user.created_at.millis());
        }
        if self.run(&script).await? { Ok(()) } else { Err(IntakeError::LeaseLost) }
    }

    async fn release(&self, reservation: &Reservation) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.release);
        Ok(self.run(script.arg(reservation.email.key()).arg(id_text(reservation.id))).await?)
    }

    async fn by_id(&self, id: UserId) -> Result<Option<Account>, IntakeError> {
        let records = &self.keys[2];
        decode(in_time(self.redis.ask(cmd("HGET").arg(records).arg(id_text(id)))).await?)
    }

    async fn by_email(&self, email: &Email) -> Result<Option<Account>, IntakeError> {
        decode(self.run(self.script(&self.scripts.by_email).arg(email.key())).await?)
    }

    async fn waiting(&self, limit: u32) -> Result<Vec<UserId>, IntakeError> {
        let stream = &self.keys[0];
        let mut range = cmd("XRANGE");
        range.arg(stream).arg("-").arg("+").arg("COUNT").arg(limit);
        let entries: StreamRangeReply = in_time(self.redis.ask(&range)).await?;
        let ids = entries.ids.iter().map(|entry| parse_id(&entry.get::<String>("user").unwrap_or_default()));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    async fn take(&self, limit: u32, lease: Duration) -> Result<Vec<WaitingRegistration>, IntakeError> {
        let mut script = self.script(&self.scripts.take);
        script.arg(limit).arg(self.now()).arg(self.after(lease)).arg(&self.consumer);
        script.arg(self.after(LONGEST_PAUSE.max(lease)));
        let entries: Vec<TakenEntry> = self.run(&script).await?;
        Ok(entries.into_iter().map(waiting_registration).collect::<Result<_, _>>()?)
    }

    async fn settle(&self, id: UserId) -> Result<(), IntakeError> {
        Ok(self.run(self.script(&self.scripts.settle).arg(id_text(id))).await?)
    }

    async fn give_back(&self, id: UserId) -> Result<(), IntakeError> {
        Ok(self.run(self.script(&self.scripts.give_back).arg(id_text(id)).arg(&self.consumer)).await?)
    }

    async fn defer(&self, id: UserId, reason: &str, pause: Duration) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.defer);
        script.arg(id_text(id)).arg(&self.consumer).arg(self.after(pause)).arg(reason);
        Ok(self.run(&script).await?)
    }

    async fn bury(&self, id: UserId, reason: &str) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.bury);
        Ok(self.run(script.arg(id_text(id)).arg(reason).arg(self.now())).await?)
    }

    async fn begin(
        &self,
        attempt: &IdempotencyAttempt,
        lease: Duration,
    ) -> Result<BeginOutcome, IntakeError> {
        let mut script = self.script(&self.scripts.begin);
        script.arg(attempt.key.hex()).arg(attempt.fingerprint.as_str()).arg(id_text(attempt.user));
        script.arg(self.after(lease)).arg(self.now()).arg(self.after(lease * MAX_LEASES_AHEAD));
        Ok(begin_outcome(self.run(&script).await?)?)
    }

    async fn give_up(&self, attempt: &IdempotencyAttempt) -> Result<(), IntakeError> {
        let mut script = self.script(&self.scripts.give_up);
        Ok(self.run(script.arg(attempt.key.hex()).arg(id_text(attempt.user))).await?)
    }

    async fn forget_answers(&self, limit: u32) -> Result<u64, IntakeError> {
        let mut script = self.script(&self.scripts.forget_answers);
        Ok(self.run(script.arg(self.now()).arg(limit)).await?)
    }

    async fn forget_answers_about(&self, id: UserId) -> Result<(), IntakeError> {
        Ok(self.run(self.script(&self.scripts.forget_answers_about).arg(id_text(id))).await?)
    }

    /// The append-only file still contains deleted keys; rewriting the file drops them. If the login may not
    /// request that, the server does it when the file has doubled.
    async fn wipe(&self) -> Result<bool, StoreFailure> {
        match in_time(self.redis.ask::<::redis::Value>(&cmd("BGREWRITEAOF"))).await {
            Err(error @ StoreFailure::Broken(_)) => {
                tracing::debug!(
                    cause = chassis::causes(&error),
                    "the server rewrites the intake's file on its own schedule: the login may not request it"
                );
                Ok(true)
            }
            reply => reply.map(|_| true),
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
