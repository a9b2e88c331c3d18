//! Each adapter on a server against its embedded twin: equal random work gets equal answers. The seeds are in
//! the source, so that a failure can be repeated.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Expected, ManualClock, MessageId, Role, Sections, SessionId, Version};
use rand::RngExt;
use rand::rngs::StdRng;
use testkit::{Folder, random};
use uuid::Uuid;

use super::servers::{Keys, Schema};
use super::{BY, NOW, account, email, id};
use crate::domain::{
    AccountChange, ConsentChoice, Credentials, Digest, Fingerprint, Name, RefreshRequest, RefreshToken, Salt,
    Session, SessionRules,
};
use crate::ports::{
    IdempotencyAttempt, Intake, RefreshOutcome, Reservation, SessionName, SessionsToEnd, UserCache, UserStore,
};
use crate::store::memory::MemoryUserCache;
use crate::store::postgres::PostgresUserStore;
use crate::store::redis::RedisIntake;
use crate::store::redis::RedisUserCache;
use crate::store::sqlite::SqliteIntake;
use crate::store::sqlite::SqliteUserStore;

fn address(random: &mut StdRng) -> String {
    format!("reader{}@example.org", random.random_range(0..6))
}

/// Checks that two adapters give equal answers, and returns the answer.
async fn same<'a, T: std::fmt::Debug>(
    what: &str,
    twins: impl IntoIterator<Item = impl Future<Output = T> + 'a>,
) -> T {
    let mut answers = Vec::new();
    for twin in twins {
        answers.push(twin.await);
    }
    let texts: Vec<String> = answers.iter().map(|answer| format!("{answer:?}")).collect();
    assert_eq!(texts[0], texts[1], "{what}");
    answers.swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn the_intake_in_redis_answers_like_the_one_in_a_file() {
    for seed in 0..12 {
        let (folder, keys) = (Folder::new(), Keys::of_intake());
        let clock = Arc::new(ManualClock::at(NOW));
        let file = SqliteIntake::open(&folder.sqlite("intake.db"), clock.clone()).await.expect("opens");
        let server = RedisIntake::open(&keys.url(), clock.clone()).await.expect("opens");
        let twins: [&dyn Intake; 2] = [&file, &server];
        let mut work = IntakeWork::new(twins, clock, random(seed));
        for step in 0..150 {
            work.step(&format!("seed {seed}, step {step}")).await;
        }
    }
}

/// Random work on two intakes, with what it has to remember.
struct IntakeWork<'a> {
    twins: [&'a dyn Intake; 2],
    clock: Arc<ManualClock>,
    random: StdRng,
    next: u128,
    granted: Vec<(u128, Reservation)>,
    taken: Vec<u128>,
}

impl<'a> IntakeWork<'a> {
    fn new(twins: [&'a dyn Intake; 2], clock: Arc<ManualClock>, random: StdRng) -> Self {
        Self { twins, clock, random, next: 1, granted: Vec::new(), taken: Vec::new() }
    }

    fn some_id(&mut self) -> u128 {
        self.random.random_range(0..self.next + 1)
    }

    fn some_taken(&mut self) -> Option<u128> {
        (!self.taken.is_empty()).then(|| self.taken[self.random.random_range(0..self.taken.len())])
    }

    fn some_granted(&mut self) -> Option<(u128, Reservation)> {
        (!self.granted.is_empty())
            .then(|| self.granted[self.random.random_range(0..self.granted.len())].clone())
    }

    async fn step(&mut self, what: &str) {
        let twins = self.twins;
        match self.random.random_range(0..15) {
            0 | 1 => {
                let (number, address) = (self.next, email(&address(&mut self.random)));
                let lease = Duration::from_millis(self.random.random_range(1..20));
                self.next += 1;
                let made = same(what, twins.map(|twin| twin.reserve(&address, id(number), lease))).await;
                self.granted.extend(made.ok().map(|reservation| (number, reservation)));
            }
            2 | 3 => {
                let Some((number, reservation)) = self.some_granted() else { return };
                let account = account(number, reservation.email.as_str());
                let attempt = self.some_attempt();
                let attempt = attempt.map(|attempt| IdempotencyAttempt { user: id(number), ..attempt });
                let _ =
                    same(what, twins.map(|twin| twin.append(&reservation, &account, attempt.as_ref()))).await;
            }
            4 => {
                let Some((_, reservation)) = self.some_granted() else { return };
                let _ = same(what, twins.map(|twin| twin.release(&reservation))).await;
            }
            5 | 6 => {
                let limit = self.random.random_range(1..4);
                let lease = Duration::from_millis(self.random.random_range(1..30));
                let take = async |twin: &dyn Intake| {
                    let taken = twin.take(limit, lease).await.expect("takes");
                    let parts = |waiting: crate::ports::WaitingRegistration| {
                        (waiting.id, waiting.attempts, waiting.account.expect("readable"))
                    };
                    taken.into_iter().map(parts).collect::<Vec<_>>()
                };
                let taken = same(what, twins.map(take)).await;
                self.taken.extend(taken.into_iter().map(|(id, ..)| id.uuid().as_u128()));
            }
            7 => {
                let Some(number) = self.some_taken() else { return };
                let _ = same(what, twins.map(|twin| twin.give_back(id(number)))).await;
            }
            8 => {
                let Some(number) = self.some_taken() else { return };
                let pause = Duration::from_millis(self.random.random_range(0..30));
                let _ = same(what, twins.map(|twin| twin.defer(id(number), "no", pause))).await;
            }
            9 => {
                let number = self.some_id();
                let _ = if self.random.random_bool(0.8) {
                    same(what, twins.map(|twin| twin.settle(id(number)))).await
                } else {
                    same(what, twins.map(|twin| twin.bury(id(number), "never"))).await
                };
            }
            10..13 => self.step_under_a_key(what).await,
            _ => self.clock.advance(Duration::from_millis(self.random.random_range(0..10))),
        }
        self.look(what).await;
    }

    /// Returns an attempt under one of a few keys, or none.
    fn some_attempt(&mut self) -> Option<IdempotencyAttempt> {
        let key = self.random.random_range(0..5u8);
        let user = id(self.some_id());
        (key > 0).then(|| IdempotencyAttempt {
            key: Digest::of(&[key]),
            fingerprint: Fingerprint::stored(key.to_string()),
            user,
            answer_life: Duration::from_millis(40),
        })
    }

    async fn step_under_a_key(&mut self, what: &str) {
        let (twins, number, lease) = (self.twins, self.some_id(), Duration::from_millis(20));
        let Some(attempt) = self.some_attempt() else { return };
        match self.random.random_range(0..8) {
            0..5 => drop(same(what, twins.map(|twin| twin.begin(&attempt, lease))).await),
            5 => drop(same(what, twins.map(|twin| twin.give_up(&attempt))).await),
            6 => drop(same(what, twins.map(|twin| twin.forget_answers(2))).await),
            _ => drop(same(what, twins.map(|twin| twin.forget_answers_about(id(number)))).await),
        }
    }

    async fn look(&mut self, what: &str) {
        let (number, address) = (self.some_id(), email(&address(&mut self.random)));
        let _ = same(what, self.twins.map(|twin| twin.by_id(id(number)))).await;
        let _ = same(what, self.twins.map(|twin| twin.by_email(&address))).await;
        let _ = same(what, self.twins.map(|twin| twin.waiting(100))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn the_store_in_postgres_answers_like_the_one_in_a_file() {
    for seed in 0..6 {
        let (folder, schema) = (Folder::new(), Schema::new().await);
        let file = SqliteUserStore::open(&folder.sqlite("users.db")).await.expect("opens");
        let server = PostgresUserStore::open(&schema.url()).await.expect("opens");
        let mut random = random(seed);
        for step in 0..150 {
            step_of_stores(&mut random, [&file, &server], &format!("seed {seed}, step {step}")).await;
        }
    }
}

async fn step_of_stores(random: &mut StdRng, twins: [&dyn UserStore; 2], what: &str) {
    let number = random.random_range(1..9);
    let message = MessageId::new(Uuid::from_u128(77));
    match random.random_range(0..10) {
        0 | 1 => {
            let many: Vec<_> = (0..random.random_range(0..4))
                .map(|_| account(random.random_range(1..9), &address(random)))
                .collect();
            let _ = same(what, twins.map(|twin| twin.insert_all(&many))).await;
        }
        2 => {
            let one = account(number, &address(random));
            let _ = same(what, twins.map(|twin| twin.insert(&one))).await;
        }
        3 => {
            let mut admin = account(number, &address(random));
            admin.user.role = Role::Admin;
            let _ = same(what, twins.map(|twin| twin.insert_first_admin(&admin))).await;
        }
        4 | 5 => {
            let version = Version::new(random.random_range(1..4));
            let expected = if random.random_bool(0.5) { Expected::Any } else { Expected::exactly(version) };
            let credentials = |number: u32| Credentials::from_phc(format!("$argon2id$of-{number}"));
            let change = AccountChange {
                name: random.random_bool(0.5).then(|| Name::parse("Ann").expect("a name")),
                email: random.random_bool(0.5).then(|| email(&address(random))),
                credentials: random.random_bool(0.2).then(|| credentials(random.random_range(1..9))),
                proven: random.random_bool(0.2).then(|| credentials(random.random_range(1..9))),
                keeps: None,
            };
            let _ = same(what, twins.map(|twin| twin.update(id(number), &expected, &change, &BY))).await;
        }
        6 => {
            let role = [Role::Reader, Role::Editor, Role::Admin][random.random_range(0..3)];
            let sections = if random.random_bool(0.5) {
                Sections::All
            } else {
                Sections::Only([kernel::Section::Sports].into())
            };
            let _ = same(what, twins.map(|twin| twin.set_role(id(number), role, &sections, &BY))).await;
        }
        7 => drop(same(what, twins.map(|twin| twin.erase(id(number), message, &BY))).await),
        _ => {
            let choice =
                ConsentChoice { personalisation: random.random_bool(0.5), history: random.random_bool(0.5) };
            let _ = same(what, twins.map(|twin| twin.set_consent(id(number), choice, message, &BY))).await;
        }
    }
    let (start, address) = (random.random_range(0..4), email(&address(random)));
    let _ = same(what, twins.map(|twin| twin.account(id(number)))).await;
    let _ = same(what, twins.map(|twin| twin.account_by_email(&address))).await;
    let _ = same(what, twins.map(|twin| twin.consent(id(number)))).await;
    let _ = same(what, twins.map(|twin| twin.list(start, 3))).await;
    let _ = same(what, twins.map(|twin| twin.has_admin())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn the_sessions_in_postgres_are_like_those_in_a_file() {
    for seed in 0..6 {
        let (folder, schema) = (Folder::new(), Schema::new().await);
        let file = SqliteUserStore::open(&folder.sqlite("users.db")).await.expect("opens");
        let server = PostgresUserStore::open(&schema.url()).await.expect("opens");
        let mut work = SessionWork {
            twins: [&file, &server],
            random: random(seed),
            seconds: 0,
            next: 1,
            tokens: Vec::new(),
        };
        for step in 0..200 {
            work.step(&format!("seed {seed}, step {step}")).await;
        }
        assert!(work.tokens.len() > 40, "seed {seed}: too few sessions were renewed");
    }
}

/// Random work on two stores of three accounts, with every token that was issued.
struct SessionWork<'a> {
    twins: [&'a dyn UserStore; 2],
    random: StdRng,
    seconds: u64,
    next: u128,
    tokens: Vec<RefreshToken>,
}

impl SessionWork<'_> {
    const RULES: SessionRules = SessionRules {
        idle: Duration::from_secs(60),
        longest: Duration::from_secs(200),
        retry: Duration::from_secs(5),
        grace: Duration::from_secs(3),
        most: 3,
    };

    fn now(&self) -> kernel::Timestamp {
        NOW.plus(Duration::from_secs(self.seconds))
    }

    /// Returns a token, more often one of the newest: old ones end sessions.
    fn some_token(&mut self) -> Option<RefreshToken> {
        let count = self.tokens.len();
        let reach = if self.random.random_bool(0.9) { 3.min(count) } else { count };
        (count > 0).then(|| self.tokens[count - 1 - self.random.random_range(0..reach)].clone())
    }

    fn credentials(number: u128) -> Credentials {
        Credentials::from_phc(format!("$argon2id$of-{number}"))
    }

    async fn step(&mut self, what: &str) {
        self.seconds += self.random.random_range(0..4);
        let (twins, now, number) = (self.twins, self.now(), self.random.random_range(1..4));
        match self.random.random_range(0..20) {
            0..5 => self.open(what, number).await,
            5..16 => self.refresh(what).await,
            16 => {
                let keeps = Some(SessionId::new(Uuid::from_u128(self.random.random_range(0..self.next))));
                let new = Some(Self::credentials(number)).filter(|_| self.random.random_bool(0.3));
                let change = AccountChange { credentials: new, keeps, ..AccountChange::default() };
                let _ =
                    same(what, twins.map(|twin| twin.update(id(number), &Expected::Any, &change, &BY))).await;
            }
            17 => {
                let which = match (self.random.random_range(0..3), self.some_token()) {
                    (0, Some(token)) => SessionsToEnd::Series(token.digest().series),
                    (1, _) => SessionsToEnd::All(id(number)),
                    _ => SessionsToEnd::One(id(number), SessionId::new(Uuid::from_u128(self.next - 1))),
                };
                let _ = same(what, twins.map(|twin| twin.end_sessions(which, &BY))).await;
            }
            18 => {
                let choice = ConsentChoice { personalisation: false, history: self.random.random_bool(0.5) };
                let message = MessageId::new(Uuid::from_u128(77));
                let _ =
                    same(what, twins.map(|twin| twin.set_consent(id(number), choice, message, &BY))).await;
            }
            _ => self.seconds += 20,
        }
        for number in 1..4 {
            let _ = same(what, twins.map(|twin| twin.sessions(id(number), now))).await;
        }
        if let Some(token) = self.some_token() {
            let name = SessionName::Series(token.digest().series);
            let _ = same(what, twins.map(|twin| twin.session(name, now))).await;
        }
    }

    /// Inserts an account and opens a session for it, at times with a password that is not its own.
    async fn open(&mut self, what: &str, number: u128) {
        let (twins, now) = (self.twins, self.now());
        let one = account(number, &format!("reader{number}@example.org"));
        let _ = same(what, twins.map(|twin| twin.insert(&one))).await;
        let (token, sid) = (RefreshToken::mint(), SessionId::new(Uuid::from_u128(self.next)));
        self.next += 1;
        let session = Session::new(sid, id(number), &token, now, &Self::RULES);
        let proven = Self::credentials(if self.random.random_bool(0.9) { number } else { 77 });
        let opened =
            same(what, twins.map(|twin| twin.open_session(&session, &proven, Self::RULES.most, &BY))).await;
        self.tokens.extend(opened.is_ok().then_some(token));
    }

    /// Exchanges one of the tokens for the next one.
    async fn refresh(&mut self, what: &str) {
        let (twins, now) = (self.twins, self.now());
        let Some(token) = self.some_token() else { return };
        let salt = Salt::mint();
        let next = token.next(&salt);
        let key = self.random.random_range(0..3);
        let key = (key > 0).then(|| Digest::of(&[key]));
        let (presented, value) = (token.digest(), next.digest().value);
        let refresh =
            RefreshRequest { presented, next: value, salt, key, at: now, network: None, rules: Self::RULES };
        let answer = same(what, twins.map(|twin| twin.refresh_session(&refresh))).await;
        self.tokens.extend(matches!(answer, Ok(RefreshOutcome::Renewed(..))).then_some(next));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn the_cache_in_redis_answers_like_the_one_in_memory() {
    let (keys, life) = (Keys::of_cache(), Duration::from_secs(60));
    let memory = MemoryUserCache::new(1000, life);
    let server = RedisUserCache::new(&keys.url(), life, Duration::from_secs(20)).expect("opens");
    let twins: [&dyn UserCache; 2] = [&memory, &server];
    let mut random = random(1);
    for step in 0..500 {
        let what = format!("step {step}");
        let number = random.random_range(1..30);
        let mut user = account(number, "ann@example.org").user;
        user.version = Version::new(random.random_range(1..9));
        match random.random_range(0..10) {
            0 => same(&what, twins.map(|twin| twin.forget(id(number)))).await,
            _ => same(&what, twins.map(|twin| twin.put(&user))).await,
        }
        let (bucket, now) = (format!("door:{}", number % 3), NOW.plus(Duration::from_millis(step * 700)));
        let window = Duration::from_secs(30);
        let _ = same(&what, twins.map(|twin| twin.current_count(&bucket, window, now))).await;
        let _ = same(&what, twins.map(|twin| twin.count(&bucket, window, now))).await;
        let _ = same(&what, twins.map(|twin| twin.get(id(number)))).await;
    }
}
