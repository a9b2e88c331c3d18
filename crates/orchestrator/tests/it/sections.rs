//! The laws of `NewsSections`. Each case is one sentence of the port's documentation, asked of played sections behind the bus in
//! process and over AMQP. Here are those of every call; what each method promises is in `sections_reads` and `sections_commands`.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bus::{AmqpBus, Bus, Schedule};
use chassis::{Context, Runnable, Surroundings};
use kernel::{ArticleId, Expected, Fault, FieldFault, Kind, Refusal, Section, Version};
use orchestrator::clients::{BusSections, RetryRule};
use orchestrator::domain::{Article, Part};
use orchestrator::ports::{Action, Command, Done, NewsSections, SectionError};
use proto::news::v1::{ArticleFields, CreateArticle, PublishArticle};
use testkit::{Folder, PATIENCE, Vhost, wait_until};

use crate::desk::{Desk, Mood};

pub const SPORTS: Section = Section::Sports;

/// The port, and the three sections behind it.
pub struct Given {
    pub port: Arc<dyn NewsSections>,
    desks: [Arc<Desk>; 3],
    servers: [Option<Box<dyn Runnable>>; 3],
    /// The file or the virtual host.
    _place: Box<dyn Any + Send + Sync>,
}

/// Opens an adapter and names the server that it needs, if any.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                who_asks_is_said_by_the_token_alone,
                no_call_outlives_the_deadline_of_the_work_in_hand,
                a_call_whose_caller_is_gone_is_abandoned_at_the_section_too,
                a_read_that_found_nobody_is_tried_again,
                a_command_is_tried_again_under_one_key,
                a_command_still_at_work_under_its_own_key_is_not_taken_for_its_answer,
                what_a_section_refuses_is_passed_on_as_it_said_it,
                a_refusal_that_was_kept_under_the_clients_key_says_so,
                where_nobody_serves_a_section_it_is_unavailable,
                a_section_that_keeps_failing_is_left_in_peace_and_the_others_are_not,
                a_section_that_is_given_up_too_often_is_left_in_peace_too,
                a_question_that_is_costly_by_itself_never_counts_as_a_failure_of_its_section,
                a_section_that_can_not_write_can_still_be_read,
                a_section_that_can_not_tell_of_the_past_can_still_be_read_and_written,
                a_section_that_is_busy_comparing_is_not_left_in_peace_for_it,
                an_answer_that_can_not_be_read_is_a_failure_of_the_section,
            }
            in (crate::sections_reads) {
                an_article_comes_as_its_section_tells_it,
                with_a_least_version_the_section_is_told_what_to_wait_for,
                what_the_caller_may_not_see_is_refused_as_if_it_were_not_there,
                of_these_articles_those_that_are_there_come_in_the_order_of_the_ids,
                of_these_articles_those_in_the_states_that_were_asked_for_come,
                texts_come_as_far_as_one_page_holds_them_and_their_sizes_without_them,
                a_list_is_a_part_of_what_passes_the_filter_with_its_total,
                positions_are_the_places_of_the_same_part,
                a_history_is_of_the_versions_before_one_the_newest_first,
                an_article_comes_as_it_was_at_a_version_or_at_a_moment,
                a_difference_is_the_words_of_two_versions,
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

    async fn open() -> Given {
        let folder = Folder::new();
        let url = format!("local:{}", folder.join("bus.db").display());
        let bus = bus::open_local(&url, &Surroundings::one_process()).await.expect("a bus");
        given(bus, Box::new(folder)).await
    }

    every_case!(open);
}

mod amqp {
    use super::*;

    async fn open() -> Given {
        let vhost = Vhost::new().await;
        let bus = AmqpBus::open(&vhost.url(), Schedule::default()).await.expect("a bus");
        given(Arc::new(bus), Box::new(vhost)).await
    }

    every_case!(open, ignore = "needs rabbitmq");
}

async fn given(bus: Arc<dyn Bus>, place: Box<dyn Any + Send + Sync>) -> Given {
    let desks = Section::ALL.map(Desk::new);
    let mut servers = [None, None, None];
    for (section, desk) in Section::ALL.into_iter().zip(&desks) {
        let address = format!("news.{section}.calls");
        let server = bus.serve(section.service(), &address, desk.clone()).await.expect("serves");
        servers[section as usize] = Some(server);
    }
    let rule = RetryRule { retries: 2, pause: Duration::from_millis(1) };
    Given { port: Arc::new(BusSections::new(bus, rule)), desks, servers, _place: place }
}

impl Given {
    pub fn desk(&self, section: Section) -> &Desk {
        &self.desks[section as usize]
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

    /// The section stops in order.
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

fn away() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "away")
}

async fn who_asks_is_said_by_the_token_alone(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.port.get(SPORTS, id, None, Some("a.b.c")).await.expect("an article");
    let command = Command { token: Some("d.e.f".into()), ..creation() };
    given.port.command(SPORTS, command).await.expect("a draft");
    given.get(SPORTS, id).await.expect("an article");
    let tokens: Vec<Option<String>> = given.desk(SPORTS).calls().into_iter().map(|call| call.token).collect();
    assert_eq!(tokens, [Some("a.b.c".to_owned()), Some("d.e.f".to_owned()), None]);
}

async fn no_call_outlives_the_deadline_of_the_work_in_hand(given: Given) {
    given.desk(SPORTS).set(Mood::Silent);
    let begun = Instant::now();
    let work = Context::for_work("orchestrator", Duration::from_millis(200));
    let part = Part::newest(0, 1);
    let outcome = work.scope(given.port.list(SPORTS, &part, None));
    assert_eq!(outcome.await.expect_err("no answer").kind(), Kind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn a_call_whose_caller_is_gone_is_abandoned_at_the_section_too(given: Given) {
    given.desk(SPORTS).set(Mood::Silent);
    let id = given.desk(SPORTS).published(1, 10);
    let asked = wait_until("the call at the section", PATIENCE, || async {
        (!given.desk(SPORTS).calls().is_empty()).then_some(())
    });
    tokio::select! {
        answer = given.get(SPORTS, id) => panic!("{answer:?}"),
        () = asked => {}
    }
    wait_until("the end of its work", PATIENCE, || async {
        given.desk(SPORTS).abandoned.load(Ordering::SeqCst).then_some(())
    })
    .await;
}

async fn a_read_that_found_nobody_is_tried_again(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.desk(SPORTS).set(Mood::RefusingOnce(vec![away(), away()]));
    assert_eq!(given.get(SPORTS, id).await.expect("at the third time").id, id);
    assert_eq!(given.desk(SPORTS).methods(), ["GetArticle"; 3]);
}

async fn a_command_is_tried_again_under_one_key(given: Given) {
    let desk = given.desk(SPORTS);
    let keys = || {
        let given: Vec<String> = desk.calls().into_iter().filter_map(|call| call.idempotency_key).collect();
        desk.forget();
        given
    };
    desk.set(Mood::RefusingOnce(vec![away(), away()]));
    given.create(Some("the-clients")).await.expect("at the third time");
    assert_eq!(keys(), ["the-clients"; 3]);
    // Without one of the client's: one of its own each command, that no client can have given.
    desk.set(Mood::RefusingOnce(vec![away(), away()]));
    given.create(None).await.expect("at the third time");
    let own = keys();
    assert!(own[0].starts_with(' '), "{:?}", own[0]);
    assert_eq!(own, [own[0].as_str(); 3]);
    given.create(None).await.expect("at once");
    let another = keys();
    assert_eq!(another.len(), 1);
    assert_ne!(another[0], own[0]);
}

async fn a_command_still_at_work_under_its_own_key_is_not_taken_for_its_answer(given: Given) {
    let desk = given.desk(SPORTS);
    let running = Refusal::new(Kind::Conflict, "still_running", "It is being done.");
    // The first attempt got lost on its way back, the second met it at work; the third has its answer. The last is said first.
    desk.set(Mood::RefusingOnce(vec![running.clone(), away()]));
    given.create(Some("a")).await.expect("at the third time");
    assert_eq!(desk.methods(), ["Command"; 3]);
    // What is said of somebody else's attempt is the answer.
    desk.forget();
    desk.set(Mood::Refusing(running.clone()));
    let fault = given.create(Some("a")).await.expect_err("somebody is at it");
    assert!(matches!(fault, SectionError::Refused(refusal) if refusal == running));
    assert_eq!(desk.methods(), ["Command"]);
}

async fn what_a_section_refuses_is_passed_on_as_it_said_it(given: Given) {
    let said = [
        Refusal::new(Kind::Stale, "stale_version", "It has changed.").with("current_version", 9),
        Refusal::new(Kind::Invalid, "invalid", "No.")
            .with_fields(vec![FieldFault::new("/title", "empty", "say")]),
        Refusal::new(Kind::Forbidden, "self_review", "Not your own."),
    ];
    for refusal in said {
        given.desk(SPORTS).set(Mood::Refusing(refusal.clone()));
        let fault = given.create(None).await.expect_err("no");
        let SectionError::Refused(passed_on) = fault else { panic!("{fault:?}") };
        assert_eq!(passed_on, refusal);
    }
}

async fn a_refusal_that_was_kept_under_the_clients_key_says_so(given: Given) {
    let kept =
        Refusal::new(Kind::Forbidden, "self_review", "Not your own.").with("idempotency_replayed", true);
    given.desk(SPORTS).set(Mood::Refusing(kept));
    let fault = given.create(Some("a")).await.expect_err("no");
    assert_eq!(fault.extra()["idempotency_replayed"], true);
}

async fn where_nobody_serves_a_section_it_is_unavailable(mut given: Given) {
    given.stop(SPORTS).await;
    let fault = given.publish(article_id(1)).await.expect_err("nobody");
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert!(fault.is_unavailable());
}

async fn a_section_that_keeps_failing_is_left_in_peace_and_the_others_are_not(given: Given) {
    let id = given.desk(Section::Famous).published(1, 10);
    given.desk(SPORTS).set(Mood::Refusing(away()));
    for _ in 0..20 {
        given.publish(article_id(1)).await.expect_err("it fails");
    }
    assert_eq!(given.desk(SPORTS).calls().len(), 5, "then it is left in peace");
    let fault = given.publish(article_id(1)).await.expect_err("it rests");
    assert!(matches!(fault, SectionError::Resting { section: SPORTS, .. }), "{fault:?}");
    assert!(fault.retry_after().is_some());
    given.get(Section::Famous, id).await.expect("another section answers");
}

async fn a_section_that_is_given_up_too_often_is_left_in_peace_too(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    for _ in 0..5 {
        given.get(Section::Famous, id).await.expect_err("another section does not have it");
        given.port.count_failure(SPORTS);
    }
    let fault = given.get(SPORTS, id).await.expect_err("it rests");
    assert!(matches!(fault, SectionError::Resting { section: SPORTS, .. }), "{fault:?}");
}

async fn a_question_that_is_costly_by_itself_never_counts_as_a_failure_of_its_section(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    let slow = Refusal::new(Kind::Timeout, "deadline_exceeded", "too slow");
    given.desk(SPORTS).set(Mood::Refusing(slow));
    for _ in 0..20 {
        given.port.get_many(SPORTS, &[id], &[], true, None).await.expect_err("it is slow");
        given.port.sizes(SPORTS, &[id], &[], None).await.expect_err("it is slow");
        given.port.diff(SPORTS, id, Version::new(1), Version::new(2), None).await.expect_err("it is slow");
    }
    given.desk(SPORTS).set(Mood::Well);
    given.get(SPORTS, id).await.expect("it is read");
    given.port.history(SPORTS, id, None, 3, None).await.expect("so is its past");
}

async fn a_section_that_can_not_write_can_still_be_read(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.desk(SPORTS).set(Mood::Refusing(away()));
    for _ in 0..6 {
        given.publish(id).await.expect_err("it fails");
    }
    given.desk(SPORTS).set(Mood::Well);
    let fault = given.publish(id).await.expect_err("it rests");
    assert!(matches!(fault, SectionError::Resting { .. }), "{fault:?}");
    given.get(SPORTS, id).await.expect("it is read");
}

async fn a_section_that_can_not_tell_of_the_past_can_still_be_read_and_written(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.desk(SPORTS).set(Mood::Refusing(away()));
    for _ in 0..6 {
        given.port.history(SPORTS, id, None, 3, None).await.expect_err("it fails");
    }
    given.desk(SPORTS).set(Mood::Well);
    let fault = given.port.history(SPORTS, id, None, 3, None).await.expect_err("it rests");
    assert!(matches!(fault, SectionError::Resting { .. }), "{fault:?}");
    given.get(SPORTS, id).await.expect("it is read");
    given.create(None).await.expect("it is written");
}

async fn a_section_that_is_busy_comparing_is_not_left_in_peace_for_it(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    let (one, two) = (Version::new(1), Version::new(2));
    given.desk(SPORTS).set(Mood::Refusing(Refusal::new(Kind::Unavailable, "busy", "Too many compare.")));
    for _ in 0..20 {
        let fault = given.port.diff(SPORTS, id, one, two, None).await.expect_err("it is busy");
        assert_eq!(fault.code().as_str(), "busy");
    }
    given.desk(SPORTS).set(Mood::Well);
    given.port.history(SPORTS, id, None, 3, None).await.expect("it is asked");
}

async fn an_answer_that_can_not_be_read_is_a_failure_of_the_section(given: Given) {
    // No protobuf; and an answer without an article.
    for bytes in [&b"\xff\xff\xff"[..], b""] {
        given.desk(SPORTS).set(Mood::Saying(bytes));
        let fault = given.get(SPORTS, article_id(1)).await.expect_err("no answer");
        assert!(matches!(fault, SectionError::Unreadable { section: SPORTS, .. }), "{fault:?}");
        assert_eq!(fault.kind(), Kind::Internal);
    }
}

pub fn article_id(number: u128) -> ArticleId {
    ArticleId::new(uuid::Uuid::from_u128(number))
}
