//! The laws of `NewsDesks`. Each case is one sentence of the port's documentation, asked of played sections behind the bus in
//! process and over AMQP.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bus::{AmqpBus, Bus, Schedule};
use chassis::{Context, Runnable, Surroundings};
use kernel::{ArticleId, Expected, Fault, FieldFault, Kind, Refusal, Section, Version};
use orchestrator::clients::{BusDesks, RetryRule};
use orchestrator::domain::{Article, Change, Fields, Patch};
use orchestrator::ports::{DeskError, NewsDesks, Window};
use proto::news::v1 as wire;
use testkit::{Folder, PATIENCE, Vhost, wait_until};

use crate::desk::{Desk, Mood, article};

const SPORTS: Section = Section::Sports;

/// The port, and the three sections behind it.
struct Given {
    port: Arc<dyn NewsDesks>,
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
                a_write_is_sent_once,
                what_a_section_refuses_is_passed_on_as_it_said_it,
                where_nobody_serves_a_section_it_is_unavailable,
                a_section_that_keeps_failing_is_left_in_peace_and_the_others_are_not,
                a_section_that_can_not_write_can_still_be_read,
                an_answer_that_can_not_be_read_is_a_failure_of_the_section,
                an_article_comes_as_its_section_tells_it,
                with_a_least_version_the_section_is_told_what_to_wait_for,
                of_these_articles_those_that_are_there_come_in_the_order_of_the_ids,
                a_list_is_a_part_of_what_is_published_with_its_total,
                a_new_draft_is_what_the_author_said,
                a_new_version_is_of_what_the_writer_has_seen_in_all_fields_or_in_some,
                an_article_is_made_public_at_the_version_that_was_seen,
                the_answer_to_putting_away_is_the_version_in_which_it_was_put_away,
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
    Given { port: Arc::new(BusDesks::new(bus, rule)), desks, servers, _place: place }
}

impl Given {
    fn desk(&self, section: Section) -> &Desk {
        &self.desks[section as usize]
    }

    /// The section stops in order.
    async fn stop(&mut self, section: Section) {
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        self.servers[section as usize].take().expect("it serves").run(stop).await;
    }

    async fn get(&self, section: Section, id: ArticleId) -> Result<Article, DeskError> {
        self.port.get(section, id, None, None).await
    }
}

fn seen(version: u32) -> Expected {
    Expected::OneOf(vec![Version::new(version)])
}

fn fields(title: &str) -> Fields {
    Fields {
        title: title.to_owned(),
        content: "It's \"quoted\" \u{202b}שלום\u{202c}".to_owned(),
        tags: vec!["budget".to_owned()],
        author: Some("Ada Byron".to_owned()),
        ..Fields::default()
    }
}

fn wire_fields(title: &str) -> wire::ArticleFields {
    let Fields { title, content, tags, author, .. } = fields(title);
    wire::ArticleFields { title, content, tags, author, ..Default::default() }
}

fn away() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "away")
}

async fn who_asks_is_said_by_the_token_alone(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.port.get(SPORTS, id, None, Some("a.b.c")).await.expect("an article");
    given.port.create(SPORTS, fields("New"), false, Some("d.e.f")).await.expect("a draft");
    given.get(SPORTS, id).await.expect("an article");
    let tokens: Vec<Option<String>> = given.desk(SPORTS).calls().into_iter().map(|call| call.token).collect();
    assert_eq!(tokens, [Some("a.b.c".to_owned()), Some("d.e.f".to_owned()), None]);
}

async fn no_call_outlives_the_deadline_of_the_work_in_hand(given: Given) {
    given.desk(SPORTS).set(Mood::Silent);
    let begun = Instant::now();
    let work = Context::for_work("orchestrator", Duration::from_millis(200));
    let outcome = work.scope(given.port.list(SPORTS, Window { offset: 0, limit: 1, content: false }, None));
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

async fn a_write_is_sent_once(given: Given) {
    given.desk(SPORTS).set(Mood::RefusingOnce(vec![away()]));
    let fault = given.port.create(SPORTS, fields("New"), false, None).await.expect_err("it failed once");
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert_eq!(given.desk(SPORTS).methods(), ["CreateArticle"]);
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
        let fault = given.port.create(SPORTS, fields("New"), true, None).await.expect_err("no");
        let DeskError::Refused(passed_on) = fault else { panic!("{fault:?}") };
        assert_eq!(passed_on, refusal);
    }
}

async fn where_nobody_serves_a_section_it_is_unavailable(mut given: Given) {
    given.stop(SPORTS).await;
    let fault = given.port.publish(SPORTS, article_id(1), &seen(7), None).await.expect_err("nobody");
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert!(fault.is_away());
}

async fn a_section_that_keeps_failing_is_left_in_peace_and_the_others_are_not(given: Given) {
    let id = given.desk(Section::Famous).published(1, 10);
    given.desk(SPORTS).set(Mood::Refusing(away()));
    for _ in 0..20 {
        given.port.publish(SPORTS, article_id(1), &seen(7), None).await.expect_err("it fails");
    }
    assert_eq!(given.desk(SPORTS).calls().len(), 5, "then it is left in peace");
    let fault = given.port.publish(SPORTS, article_id(1), &seen(7), None).await.expect_err("it rests");
    assert!(matches!(fault, DeskError::Resting { section: SPORTS, .. }), "{fault:?}");
    assert!(fault.retry_after().is_some());
    given.get(Section::Famous, id).await.expect("another section answers");
}

async fn a_section_that_can_not_write_can_still_be_read(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.desk(SPORTS).set(Mood::Refusing(away()));
    for _ in 0..6 {
        given.port.publish(SPORTS, id, &seen(7), None).await.expect_err("it fails");
    }
    given.desk(SPORTS).set(Mood::Well);
    let fault = given.port.publish(SPORTS, id, &seen(7), None).await.expect_err("it rests");
    assert!(matches!(fault, DeskError::Resting { .. }), "{fault:?}");
    given.get(SPORTS, id).await.expect("it is read");
}

async fn an_answer_that_can_not_be_read_is_a_failure_of_the_section(given: Given) {
    // No protobuf; and an answer without an article.
    for bytes in [&b"\xff\xff\xff"[..], b""] {
        given.desk(SPORTS).set(Mood::Saying(bytes));
        let fault = given.get(SPORTS, article_id(1)).await.expect_err("no answer");
        assert!(matches!(fault, DeskError::Unreadable { section: SPORTS, .. }), "{fault:?}");
        assert_eq!(fault.kind(), Kind::Internal);
    }
}

async fn an_article_comes_as_its_section_tells_it(given: Given) {
    let told = wire::Article {
        title: "\u{202b}שלום\u{202c} 🗞️".to_owned(),
        description: Some("In two lines,\nfor lists".to_owned()),
        lang: Some("en".to_owned()),
        image: Some("https://example.org/a.jpg".to_owned()),
        region: Some("GB".to_owned()),
        corrections: vec![wire::Correction {
            kind: "correction".to_owned(),
            text: "It was 40".to_owned(),
            at_ms: 1_500,
            version: 6,
        }],
        ..article(SPORTS, 1, 10, "of-a-later-release")
    };
    let id = given.desk(SPORTS).put(told.clone());
    let found = given.get(SPORTS, id).await.expect("an article");
    assert_eq!((found.id, found.section, found.version.number()), (id, SPORTS, told.version));
    assert_eq!((found.state.as_str(), found.slug), (told.state.as_str(), told.slug));
    assert_eq!((found.title, found.description, found.content), (told.title, told.description, told.content));
    assert_eq!(
        (found.author, found.author_id.to_string(), found.tags),
        (told.author, told.author_id, told.tags)
    );
    assert_eq!((found.lang, found.image, found.region), (told.lang, told.image, told.region));
    let times =
        (found.created_at.millis(), found.updated_at.millis(), found.published_at.map(|at| at.millis()));
    assert_eq!(times, (told.created_at_ms, told.updated_at_ms, told.published_at_ms));
    let correction = &found.corrections[0];
    assert_eq!((correction.kind.as_str(), correction.text.as_str()), ("correction", "It was 40"));
    assert_eq!((correction.at.millis(), correction.version.number()), (1_500, 6));
}

async fn with_a_least_version_the_section_is_told_what_to_wait_for(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.port.get(SPORTS, id, Some(Version::new(7)), None).await.expect("an article");
    let asked: wire::GetArticleRequest = given.desk(SPORTS).last("GetArticle");
    assert_eq!((asked.id, asked.min_version), (id.to_string(), Some(7)));
    // Waiting in vain says nothing bad about the section: however often, it is asked again.
    let waited = Refusal::new(Kind::Unavailable, "not_yet_projected", "not yet");
    given.desk(SPORTS).forget();
    given.desk(SPORTS).set(Mood::Refusing(waited.clone()));
    for _ in 0..20 {
        let fault = given.port.get(SPORTS, id, Some(Version::new(8)), None).await.expect_err("not yet");
        assert!(matches!(fault, DeskError::Refused(refusal) if refusal == waited));
    }
    assert_eq!(given.desk(SPORTS).calls().len(), 20);
}

async fn of_these_articles_those_that_are_there_come_in_the_order_of_the_ids(given: Given) {
    let (old, new) = (given.desk(SPORTS).published(1, 10), given.desk(SPORTS).published(2, 20));
    let found = given.port.get_many(SPORTS, &[old, article_id(99), new], None).await.expect("articles");
    assert_eq!(found.iter().map(|article| article.id).collect::<Vec<_>>(), [old, new]);
    assert!(found.iter().all(|article| article.content.is_some()));
}

async fn a_list_is_a_part_of_what_is_published_with_its_total(given: Given) {
    let ids: Vec<ArticleId> = (1..=5u32).map(|n| given.desk(SPORTS).published(n, i64::from(n))).collect();
    given.desk(SPORTS).put(article(SPORTS, 6, 0, "draft"));
    for content in [false, true] {
        let window = Window { offset: 1, limit: 2, content };
        let list = given.port.list(SPORTS, window, None).await.expect("a list");
        assert_eq!(list.total, 5);
        assert_eq!(list.articles.iter().map(|article| article.id).collect::<Vec<_>>(), [ids[3], ids[2]]);
        assert!(list.articles.iter().all(|article| article.content.is_some() == content));
    }
}

async fn a_new_draft_is_what_the_author_said(given: Given) {
    for publish in [false, true] {
        given.port.create(SPORTS, fields("New"), publish, None).await.expect("a draft");
        let asked: wire::CreateArticleRequest = given.desk(SPORTS).last("CreateArticle");
        assert_eq!((asked.fields, asked.publish), (Some(wire_fields("New")), publish));
    }
}

async fn a_new_version_is_of_what_the_writer_has_seen_in_all_fields_or_in_some(given: Given) {
    use wire::revise_article_request::Change as Asked;
    let id = given.desk(SPORTS).published(1, 10);
    let revised = given.port.revise(SPORTS, id, &seen(7), Change::Full(fields("All")), None).await;
    assert_eq!(revised.expect("a version").version.number(), 8);
    let asked: wire::ReviseArticleRequest = given.desk(SPORTS).last("ReviseArticle");
    assert_eq!(asked.expected, Some(wire::Expected { any: false, versions: vec![7] }));
    assert_eq!(asked.change, Some(Asked::Full(wire_fields("All"))));
    let some = Patch { title: Some("Some".to_owned()), image: Some(String::new()), ..Patch::default() };
    let revised = given.port.revise(SPORTS, id, &Expected::Any, Change::Some(some), None).await;
    revised.expect("a version");
    let asked: wire::ReviseArticleRequest = given.desk(SPORTS).last("ReviseArticle");
    assert_eq!(asked.expected, Some(wire::Expected { any: true, versions: Vec::new() }));
    let patch = wire::ArticlePatch {
        title: Some("Some".to_owned()),
        image: Some(String::new()),
        ..wire::ArticlePatch::default()
    };
    assert_eq!(asked.change, Some(Asked::Patch(patch)));
}

async fn an_article_is_made_public_at_the_version_that_was_seen(given: Given) {
    let id = given.desk(SPORTS).put(article(SPORTS, 1, 0, "draft"));
    let published = given.port.publish(SPORTS, id, &seen(7), None).await.expect("it is public");
    assert!(published.state.is_public());
    let asked: wire::PublishArticleRequest = given.desk(SPORTS).last("PublishArticle");
    let expected = Some(wire::Expected { any: false, versions: vec![7] });
    assert_eq!((asked.id, asked.expected), (id.to_string(), expected));
}

async fn the_answer_to_putting_away_is_the_version_in_which_it_was_put_away(given: Given) {
    let id = given.desk(SPORTS).put(article(SPORTS, 1, 0, "draft"));
    let version = given.port.delete(SPORTS, id, &seen(7), None).await.expect("it is put away");
    assert_eq!(version.number(), 8);
    let asked: wire::DeleteArticleRequest = given.desk(SPORTS).last("DeleteArticle");
    assert_eq!(asked.expected, Some(wire::Expected { any: false, versions: vec![7] }));
}

fn article_id(number: u128) -> ArticleId {
    ArticleId::new(uuid::Uuid::from_u128(number))
}
