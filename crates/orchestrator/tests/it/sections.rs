//! The laws of `NewsSections`. Each case is one sentence of the port's documentation. It runs with fake
//! sections behind the bus, in process and over AMQP. This file has the laws of every call; `sections_reads`
//! and `sections_commands` have those of single methods.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bus::{AmqpBus, Bus, Schedule};
use chassis::{Context, RetryRule, Runnable, Surroundings};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kernel::{ArticleId, Expected, Fault, FieldFault, Kind, Refusal, Section, Version};
use orchestrator::{
    Action, Article, BusSections, Command, Done, ListSlice, NewsSections, ProofSlice, SectionError,
};
use proto::news::v1::{ArticleFields, CreateArticle, PublishArticle};
use testkit::{Folder, PATIENCE, Vhost, wait_until};

use crate::fake_section::{Behaviour, FakeSection};

pub const SPORTS: Section = Section::Sports;
/// The time of a command to a section that does not return: enough for the slowest attempt.
const SHORT: Duration = Duration::from_millis(500);

/// The port, and the three fake sections behind it.
pub struct Fixture {
    pub port: Arc<dyn NewsSections>,
    sections: [Arc<FakeSection>; 3],
    servers: [Option<Box<dyn Runnable>>; 3],
    bus: Arc<dyn Bus>,
    /// The file or the virtual host of the bus.
    _resource: Box<dyn Any + Send + Sync>,
}

/// Makes a test of each case for the adapter that `open` opens.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                the_token_alone_says_who_the_caller_is,
                no_call_outlives_the_deadline_of_the_current_request,
                a_section_stops_working_on_a_call_whose_caller_has_gone,
                a_read_that_no_process_received_is_retried,
                a_command_is_retried_under_one_key,
                a_first_attempt_that_is_still_running_is_not_the_answer,
                a_refusal_of_a_section_is_passed_on_unchanged,
                a_section_without_a_process_is_unavailable,
                a_section_that_had_no_process_is_called_as_soon_as_it_has_one,
                a_command_waits_for_a_section_that_returns_in_time,
                only_some_commands_wait_for_a_section_without_a_process,
                after_repeated_failures_a_section_is_not_called_and_the_others_are,
                abandoned_answers_count_as_failures_of_their_section,
                a_costly_request_never_counts_as_a_failure_of_its_section,
                a_section_that_can_not_write_can_still_be_read,
                a_section_whose_history_is_unavailable_can_still_be_read_and_written,
                a_section_that_is_busy_comparing_is_still_called,
                an_invalid_answer_is_a_failure_of_the_section,
            }
            in (crate::sections_reads) {
                an_article_arrives_as_its_section_sent_it,
                min_version_reaches_the_section,
                an_article_that_the_caller_may_not_see_is_not_found,
                existing_articles_arrive_in_the_order_of_the_ids,
                only_articles_in_the_requested_states_arrive,
                texts_arrive_up_to_the_bound_of_a_page_and_sizes_without_texts,
                a_list_is_a_slice_of_the_matching_articles_with_their_total,
                positions_are_those_of_the_same_slice,
                the_work_of_a_section_arrives_in_its_groups,
                a_history_has_the_versions_before_one_newest_first,
                an_article_arrives_as_it_was_at_a_version_or_at_a_moment,
                a_comparison_has_the_words_of_two_versions,
                a_proof_has_the_links_after_a_version,
            }
            in (crate::sections_commands) {
                a_command_reaches_its_section_unchanged,
                the_answer_to_a_command_is_the_article_after_it,
                a_command_that_was_done_before_under_the_same_key_says_so,
            }
        }
    };
}

mod local {
    use super::*;

    async fn open() -> Fixture {
        let folder = Folder::new();
        let url = format!("local:{}", folder.join("bus.db").display());
        let bus = bus::open_local(&url, &Surroundings::one_process()).await.expect("a bus");
        fixture(bus, Box::new(folder)).await
    }

    every_case!(open);
}

mod amqp {
    use super::*;

    async fn open() -> Fixture {
        let vhost = Vhost::new().await;
        let bus = AmqpBus::open(&vhost.url(), Schedule::default()).await.expect("a bus");
        fixture(Arc::new(bus), Box::new(vhost)).await
    }

    every_case!(open, ignore = "needs rabbitmq");
}

async fn fixture(bus: Arc<dyn Bus>, resource: Box<dyn Any + Send + Sync>) -> Fixture {
    let sections = Section::ALL.map(FakeSection::new);
    let rule = RetryRule { retries: 2, pause: Duration::from_millis(1), longest: Duration::from_millis(2) };
    let port = Arc::new(BusSections::new(bus.clone(), rule));
    let servers = [None, None, None];
    let mut fixture = Fixture { port, sections, servers, bus, _resource: resource };
    for section in Section::ALL {
        fixture.start(section).await;
    }
    fixture
}

impl Fixture {
    pub fn section(&self, section: Section) -> &FakeSection {
        &self.sections[section as usize]
    }

    pub async fn get(&self, section: Section, id: ArticleId) -> Result<Article, SectionError> {
        self.port.get(section, id, None, None).await
    }

    async fn create(&self, key: Option<&str>) -> Result<Done, SectionError> {
        self.port.command(SPORTS, Command { key: key.map(str::to_owned), ..creation() }).await
    }

    async fn publish(&self, id: ArticleId) -> Result<Done, SectionError> {
        self.port.command(SPORTS, on(id, Action::Publish(PublishArticle {}))).await
    }

    /// Starts a process of the section.
    async fn start(&mut self, section: Section) {
        let (address, fake) = (format!("news.{section}.calls"), self.sections[section as usize].clone());
        let server = self.bus.serve(section.service(), &address, fake).await.expect("serves");
        self.servers[section as usize] = Some(server);
    }

    /// Sends a command that may take this long.
    async fn publish_within(&self, budget: Duration) -> Result<Done, SectionError> {
        Context::for_work("orchestrator", budget).scope(self.publish(article_id(1))).await
    }

    /// Stops the section in order.
    async fn stop(&mut self, section: Section) {
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        self.servers[section as usize].take().expect("it serves").run(stop).await;
    }
}

/// The creation of a draft, without a token and without a key.
pub fn creation() -> Command {
    let action = Action::Create(CreateArticle { fields: Some(fields("New")), publish: false });
    Command { id: None, expected: None, action, token: None, key: None }
}

/// An action on an article at version 7, without a token and without a key.
pub fn on(id: ArticleId, action: Action) -> Command {
    Command { id: Some(id), expected: Some(seen(7)), ..Command { action, ..creation() } }
}

pub fn seen(version: u32) -> Expected {
    Expected::OneOf(vec![Version::new(version)])
}

pub fn fields(title: &str) -> ArticleFields {
    ArticleFields {
        title: title.to_owned(),
        content: "It's \"quoted\" \u{202b}שלום\u{202c}".to_owned(),
        tags: vec!["budget".to_owned()],
        author: Some("Ada Byron".to_owned()),
        ..ArticleFields::default()
    }
}

fn unavailable() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "The store is unavailable.")
}

async fn the_token_alone_says_who_the_caller_is(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    fixture.port.get(SPORTS, id, None, Some("a.b.c")).await.expect("an article");
    let command = Command { token: Some("d.e.f".into()), ..creation() };
    fixture.port.command(SPORTS, command).await.expect("a draft");
    fixture.get(SPORTS, id).await.expect("an article");
    let tokens: Vec<Option<String>> =
        fixture.section(SPORTS).calls().into_iter().map(|call| call.token).collect();
    assert_eq!(tokens, [Some("a.b.c".to_owned()), Some("d.e.f".to_owned()), None]);
}

async fn no_call_outlives_the_deadline_of_the_current_request(fixture: Fixture) {
    fixture.section(SPORTS).behave(Behaviour::Hang);
    let begun = Instant::now();
    let work = Context::for_work("orchestrator", Duration::from_millis(200));
    let slice = ListSlice::newest(0, 1);
    let result = work.scope(fixture.port.list(SPORTS, &slice, None));
    assert_eq!(result.await.expect_err("no answer").kind(), Kind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn a_section_stops_working_on_a_call_whose_caller_has_gone(fixture: Fixture) {
    fixture.section(SPORTS).behave(Behaviour::Hang);
    let id = fixture.section(SPORTS).add_published(1, 10);
    let called = wait_until("the call at the section", PATIENCE, || async {
        (!fixture.section(SPORTS).calls().is_empty()).then_some(())
    });
    tokio::select! {
        answer = fixture.get(SPORTS, id) => panic!("{answer:?}"),
        () = called => {}
    }
    wait_until("the end of its work", PATIENCE, || async {
        fixture.section(SPORTS).cancelled.load(Ordering::SeqCst).then_some(())
    })
    .await;
}

async fn a_read_that_no_process_received_is_retried(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    fixture.section(SPORTS).behave(Behaviour::RefuseOnce(vec![unavailable(), unavailable()]));
    assert_eq!(fixture.get(SPORTS, id).await.expect("the third attempt succeeds").id, id);
    assert_eq!(fixture.section(SPORTS).methods(), ["GetArticle"; 3]);
}

async fn a_command_is_retried_under_one_key(fixture: Fixture) {
    let section = fixture.section(SPORTS);
    let keys = || {
        let keys: Vec<String> = section.calls().into_iter().filter_map(|call| call.idempotency_key).collect();
        section.clear_calls();
        keys
    };
    section.behave(Behaviour::RefuseOnce(vec![unavailable(), unavailable()]));
    fixture.create(Some("the-clients")).await.expect("the third attempt succeeds");
    assert_eq!(keys(), ["the-clients"; 3]);
    // Without a key of the client, each command gets its own key, which no client can send.
    section.behave(Behaviour::RefuseOnce(vec![unavailable(), unavailable()]));
    fixture.create(None).await.expect("the third attempt succeeds");
    let own = keys();
    assert!(own[0].starts_with(' '), "{:?}", own[0]);
    assert_eq!(own, [own[0].as_str(); 3]);
    fixture.create(None).await.expect("the first attempt succeeds");
    let another = keys();
    assert_eq!(another.len(), 1);
    assert_ne!(another[0], own[0]);
}

async fn a_first_attempt_that_is_still_running_is_not_the_answer(fixture: Fixture) {
    let section = fixture.section(SPORTS);
    let running = Refusal::new(Kind::Conflict, "still_running", "It is being done.");
    // The answer to the first attempt is lost, the second attempt finds the first still running, and the
    // third gets the answer. The scripted answers are given last first.
    section.behave(Behaviour::RefuseOnce(vec![running.clone(), unavailable()]));
    fixture.create(Some("a")).await.expect("the third attempt succeeds");
    assert_eq!(section.methods(), ["Command"; 3]);
    // If another client's attempt is running, that is the answer.
    section.clear_calls();
    section.behave(Behaviour::Refuse(running.clone()));
    let fault = fixture.create(Some("a")).await.expect_err("another attempt is running");
    assert!(matches!(fault, SectionError::Refused(refusal) if refusal == running));
    assert_eq!(section.methods(), ["Command"]);
}

async fn a_refusal_of_a_section_is_passed_on_unchanged(fixture: Fixture) {
    let refusals = [
        Refusal::new(Kind::Stale, "stale_version", "It has changed.").with("current_version", 9),
        Refusal::new(Kind::Invalid, "invalid", "No.")
            .with_fields(vec![FieldFault::new("/title", "empty", "say")]),
        Refusal::new(Kind::Forbidden, "self_review", "Not your own."),
    ];
    for refusal in refusals {
        fixture.section(SPORTS).behave(Behaviour::Refuse(refusal.clone()));
        let fault = fixture.create(None).await.expect_err("no");
        let SectionError::Refused(passed_on) = fault else { panic!("{fault:?}") };
        assert_eq!(passed_on, refusal);
    }
}

async fn a_section_without_a_process_is_unavailable(mut fixture: Fixture) {
    fixture.stop(SPORTS).await;
    let fault = fixture.publish_within(SHORT).await.expect_err("no process serves it");
    assert!(matches!(fault, SectionError::Unserved { section: SPORTS }), "{fault:?}");
    assert_eq!((fault.kind(), fault.code().as_str()), (Kind::Unavailable, "section_unavailable"));
    assert!(fault.is_unavailable() && fault.retry_after().is_some());
}

async fn a_section_that_had_no_process_is_called_as_soon_as_it_has_one(mut fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    fixture.stop(SPORTS).await;
    // Enough failures to open each breaker.
    for _ in 0..6 {
        fixture.publish_within(SHORT).await.expect_err("no process serves it");
        fixture.get(SPORTS, id).await.expect_err("no process serves it");
        fixture.port.history(SPORTS, id, None, 3, None).await.expect_err("no process serves it");
    }
    fixture.start(SPORTS).await;
    fixture.get(SPORTS, id).await.expect("it is read");
    fixture.port.history(SPORTS, id, None, 3, None).await.expect("its history is read");
    fixture.publish(id).await.expect("it is written");
}

async fn a_command_waits_for_a_section_that_returns_in_time(mut fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    fixture.stop(SPORTS).await;
    // They use up the retry budget, which a waiting command does not need.
    for _ in 0..11 {
        fixture.get(SPORTS, id).await.expect_err("no process serves it");
    }
    let port = fixture.port.clone();
    let command = port.command(SPORTS, on(id, Action::Publish(PublishArticle {})));
    let returning = async {
        // The first attempt of the command has failed before the section returns.
        for _ in 0..5 {
            fixture.get(SPORTS, id).await.expect_err("no process serves it");
        }
        fixture.start(SPORTS).await;
    };
    let (done, ()) = tokio::join!(command, returning);
    assert_eq!(done.expect("it is done").article.state.as_str(), "published");
    assert_eq!(fixture.section(SPORTS).methods(), ["Command"]);
}

async fn only_some_commands_wait_for_a_section_without_a_process(mut fixture: Fixture) {
    fixture.stop(SPORTS).await;
    let port = fixture.port.clone();
    // Their deadline is far away, so a command that ends has not waited.
    let context = Context::for_work("orchestrator", Duration::from_secs(3600));
    let command = || context.clone().scope(port.command(SPORTS, creation()));
    let mut commands: FuturesUnordered<_> = (0..40).map(|_| command()).collect();
    for _ in 0..8 {
        let fault = commands.next().await.expect("a command").expect_err("no process serves it");
        assert!(matches!(fault, SectionError::Unserved { .. }), "{fault:?}");
    }
    fixture.start(SPORTS).await;
    let waited: Vec<_> = commands.collect().await;
    assert!(waited.len() == 32 && waited.iter().all(Result::is_ok), "{waited:?}");
}

async fn after_repeated_failures_a_section_is_not_called_and_the_others_are(fixture: Fixture) {
    let id = fixture.section(Section::Famous).add_published(1, 10);
    fixture.section(SPORTS).behave(Behaviour::Refuse(unavailable()));
    for _ in 0..20 {
        fixture.publish(article_id(1)).await.expect_err("it fails");
    }
    assert_eq!(fixture.section(SPORTS).calls().len(), 5, "then it is not called");
    let fault = fixture.publish(article_id(1)).await.expect_err("it is not called");
    assert!(matches!(fault, SectionError::Resting { section: SPORTS, .. }), "{fault:?}");
    assert!(fault.retry_after().is_some());
    fixture.get(Section::Famous, id).await.expect("another section answers");
}

async fn abandoned_answers_count_as_failures_of_their_section(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    for _ in 0..5 {
        fixture.get(Section::Famous, id).await.expect_err("another section does not have it");
        fixture.port.count_failure(SPORTS);
    }
    let fault = fixture.get(SPORTS, id).await.expect_err("it is not called");
    assert!(matches!(fault, SectionError::Resting { section: SPORTS, .. }), "{fault:?}");
}

async fn a_costly_request_never_counts_as_a_failure_of_its_section(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    let slow = Refusal::new(Kind::Timeout, "deadline_exceeded", "too slow");
    fixture.section(SPORTS).behave(Behaviour::Refuse(slow));
    for _ in 0..20 {
        fixture.port.get_many(SPORTS, &[id], &[], true, None).await.expect_err("it is slow");
        fixture.port.sizes(SPORTS, &[id], &[], None).await.expect_err("it is slow");
        fixture.port.diff(SPORTS, id, Version::new(1), Version::new(2), None).await.expect_err("it is slow");
        let whole = ProofSlice { after: None, limit: 100, records: true };
        fixture.port.proof(SPORTS, id, whole, None).await.expect_err("it is slow");
    }
    fixture.section(SPORTS).behave(Behaviour::Answer);
    fixture.get(SPORTS, id).await.expect("it is read");
    fixture.port.history(SPORTS, id, None, 3, None).await.expect("its history is read");
}

async fn a_section_that_can_not_write_can_still_be_read(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    fixture.section(SPORTS).behave(Behaviour::Refuse(unavailable()));
    for _ in 0..6 {
        fixture.publish(id).await.expect_err("it fails");
    }
    fixture.section(SPORTS).behave(Behaviour::Answer);
    let fault = fixture.publish(id).await.expect_err("it is not called");
    assert!(matches!(fault, SectionError::Resting { .. }), "{fault:?}");
    fixture.get(SPORTS, id).await.expect("it is read");
}

async fn a_section_whose_history_is_unavailable_can_still_be_read_and_written(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    fixture.section(SPORTS).behave(Behaviour::Refuse(unavailable()));
    for _ in 0..6 {
        fixture.port.history(SPORTS, id, None, 3, None).await.expect_err("it fails");
    }
    fixture.section(SPORTS).behave(Behaviour::Answer);
    let fault = fixture.port.history(SPORTS, id, None, 3, None).await.expect_err("it is not called");
    assert!(matches!(fault, SectionError::Resting { .. }), "{fault:?}");
    fixture.get(SPORTS, id).await.expect("it is read");
    fixture.create(None).await.expect("it is written");
}

async fn a_section_that_is_busy_comparing_is_still_called(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    let (one, two) = (Version::new(1), Version::new(2));
    fixture.section(SPORTS).behave(Behaviour::Refuse(Refusal::new(
        Kind::Unavailable,
        "busy",
        "Too many compare.",
    )));
    for _ in 0..20 {
        let fault = fixture.port.diff(SPORTS, id, one, two, None).await.expect_err("it is busy");
        assert_eq!(fault.code().as_str(), "busy");
    }
    fixture.section(SPORTS).behave(Behaviour::Answer);
    fixture.port.history(SPORTS, id, None, 3, None).await.expect("it is called");
}

async fn an_invalid_answer_is_a_failure_of_the_section(fixture: Fixture) {
    // Bytes that are not protobuf, and an answer without an article.
    for bytes in [&b"\xff\xff\xff"[..], b""] {
        fixture.section(SPORTS).behave(Behaviour::SendBytes(bytes));
        let fault = fixture.get(SPORTS, article_id(1)).await.expect_err("no answer");
        assert!(matches!(fault, SectionError::Unreadable { section: SPORTS, .. }), "{fault:?}");
        assert_eq!(fault.kind(), Kind::Internal);
    }
}

pub fn article_id(number: u128) -> ArticleId {
    ArticleId::new(uuid::Uuid::from_u128(number))
}
