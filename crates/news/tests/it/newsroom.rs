//! The newsroom: review, schedule, correct and retract.

use std::time::Duration;

use kernel::{Clock, Kind, Refusal, SystemClock, Timestamp};
use prost::Message;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use serde_json::json;
use testkit::{PATIENCE, wait_until};

use crate::people::{Person, admin, author, editor, other_author, reader};
use crate::world::{Place, World, exactly, fields, on, refusal, refusal_of, request};

impl World {
    async fn act(&self, who: &Person, seen: &Article, action: Action) -> Result<Article, Refusal> {
        self.command(who, on(seen, action)).await
    }

    async fn submitted(&self, title: &str) -> Article {
        let draft = self.create(&author(), fields(title)).await.expect("a draft");
        self.act(&author(), &draft, submit()).await.expect("it is submitted")
    }

    async fn corrections(&self, request: ListCorrectionsRequest) -> Vec<ArticleCorrection> {
        let reply = self.call(None, "ListCorrections", request).await.expect("the corrections");
        ListCorrectionsReply::decode(reply).expect("a reply").corrections
    }

    /// Returns the version and the event of each entry in the history that a caller gets.
    async fn events(&self, who: Option<&Person>, id: &str) -> Result<Vec<HistoryEntry>, Refusal> {
        let request = GetHistoryRequest { id: id.to_owned(), limit: 100, before: None };
        let reply = self.call(who.map(Person::token), "GetHistory", request).await?;
        Ok(GetHistoryReply::decode(reply).expect("a reply").entries)
    }

    /// Waits until every reader sees the article, and returns it.
    async fn seen_by_readers(&self, id: &str) -> Article {
        wait_until("the article is public", PATIENCE, || async { self.get(None, id).await.ok() }).await
    }
}

fn submit() -> Action {
    Action::Submit(SubmitArticle {})
}

fn approve() -> Action {
    Action::Approve(ApproveArticle {})
}

fn send_back(note: &str) -> Action {
    Action::Return(ReturnArticle { note: note.to_owned() })
}

fn schedule(at: Timestamp) -> Action {
    Action::Schedule(ScheduleArticle { at_ms: at.millis() })
}

fn unschedule() -> Action {
    Action::Unschedule(UnscheduleArticle {})
}

fn correct(kind: &str, text: &str, patch: Option<ArticlePatch>) -> Action {
    Action::Correct(CorrectArticle { kind: kind.to_owned(), text: text.to_owned(), patch })
}

fn retract(reason: &str) -> Action {
    Action::Retract(RetractArticle { reason: reason.to_owned() })
}

fn reinstate() -> Action {
    Action::Reinstate(ReinstateArticle {})
}

fn soon(millis: u64) -> Timestamp {
    SystemClock.now().plus(Duration::from_millis(millis))
}

#[tokio::test]
async fn an_article_is_reviewed_by_another_editor_before_readers_see_it() {
    let place = Place::new();
    let world = World::start(&place).await;
    let submitted = world.submitted("The match").await;
    assert_eq!((submitted.version, submitted.state.as_str()), (2, "in_review"));
    let refused = world.act(&author(), &submitted, approve()).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Forbidden, "role_required"));
    let returned = world.act(&editor(), &submitted, send_back("Who won?")).await.expect("it is returned");
    assert_eq!((returned.state.as_str(), returned.review_note.as_deref()), ("draft", Some("Who won?")));
    for who in [author(), editor()] {
        let seen = world.get_since(Some(&who), &returned).await.expect("staff see it");
        assert_eq!(seen.review_note.as_deref(), Some("Who won?"));
    }
    let better = world.revise(&author(), &returned, fields("The match is won")).await.expect("a version");
    let again = world.act(&author(), &better, submit()).await.expect("it is submitted again");
    assert_eq!(again.review_note, None);
    let approved = world.act(&editor(), &again, approve()).await.expect("it is approved");
    assert_eq!(approved.state, "approved");
    let published = world.publish(&editor(), &approved).await.expect("it is published");
    assert_eq!(world.get_since(None, &published).await.expect("readers see it").title, "The match is won");
    let history = world.events(Some(&author()), &published.id).await.expect("a history");
    let events: Vec<&str> = history.iter().rev().map(|entry| entry.event.as_str()).collect();
    let expected = ["drafted", "submitted", "returned", "edited", "submitted", "approved", "published"];
    assert_eq!(events, expected);
    assert_eq!(history[4].note.as_deref(), Some("Who won?"));
    world.stop().await;
}

#[tokio::test]
async fn a_change_by_its_author_needs_another_review_and_one_by_an_editor_does_not() {
    let place = Place::new();
    let world = World::start(&place).await;
    let submitted = world.submitted("A").await;
    let by_editor = world.revise(&editor(), &submitted, fields("B")).await.expect("a version");
    assert_eq!(by_editor.state, "in_review");
    let approved = world.act(&editor(), &by_editor, approve()).await.expect("it is approved");
    let by_author = world.revise(&author(), &approved, fields("C")).await.expect("a version");
    assert_eq!(by_author.state, "draft");
    // An editor's own article is a writer's article too.
    let own = world.create(&editor(), fields("Mine")).await.expect("a draft");
    let own = world.act(&editor(), &own, submit()).await.expect("it is submitted");
    let refused = world.act(&editor(), &own, approve()).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Forbidden, "self_review"));
    let approved = world.act(&admin(), &own, approve()).await.expect("it is approved");
    let restored = world.restore(&editor(), &approved, 1).await.expect("it is restored");
    assert_eq!(restored.state, "draft");
    world.stop().await;
}

#[tokio::test]
async fn an_editor_changes_an_own_article_that_readers_see_only_if_the_newsroom_allows_it() {
    for self_review in [false, true] {
        let mut place = Place::new();
        place.self_review = self_review;
        let world = World::start(&place).await;
        let own = world.create(&editor(), fields("Mine")).await.expect("a draft");
        let published = world.publish(&admin(), &own).await.expect("it is published");
        let commands = [
            Action::Revise(fields("Mine again")),
            Action::Patch(ArticlePatch { title: Some("Mine".to_owned()), ..ArticlePatch::default() }),
            Action::Restore(RestoreArticle { version: 1 }),
            correct("note", "It rained.", None),
        ];
        for action in commands {
            let request = request(&published.id, Some(Expected { any: true, versions: vec![] }), action);
            let outcome = world.command(&editor(), request).await;
            match self_review {
                true => assert!(outcome.is_ok(), "{outcome:?}"),
                false => {
                    let refused = outcome.expect_err("it is refused");
                    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Forbidden, "self_review"));
                    assert!(refused.detail.contains("another editor"), "{}", refused.detail);
                }
            }
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn an_illegal_command_says_what_this_caller_can_do_instead() {
    let place = Place::new();
    let world = World::start(&place).await;
    let submitted = world.submitted("The match").await;
    let again = world.act(&author(), &submitted, submit()).await.expect_err("it is in review already");
    assert_eq!((again.code.as_str(), &again.extra["state"]), ("illegal_transition", &json!("in_review")));
    assert_eq!(again.extra["allowed"], json!(["revise", "restore"]));
    let again = world.act(&editor(), &submitted, submit()).await.expect_err("it is in review already");
    assert_eq!(again.extra["allowed"], json!(["revise", "return", "approve", "delete", "restore"]));
    world.stop().await;
}

#[tokio::test]
async fn a_scheduled_article_appears_at_its_time_and_never_before() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("Tomorrow")).await.expect("a draft");
    let refused = world.act(&author(), &draft, schedule(soon(60_000))).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Forbidden, "role_required"));
    for (at, code) in [(soon(0), "in_the_past"), (soon(367 * 24 * 3_600_000), "too_far")] {
        let refused = world.act(&editor(), &draft, schedule(at)).await.expect_err("not at this time");
        assert_eq!((refused.fields[0].pointer.as_str(), refused.fields[0].code.as_str()), ("/at", code));
    }
    let far = world.act(&editor(), &draft, schedule(soon(3_600_000))).await.expect("it is scheduled");
    let refused = refusal_of(world.publish(&editor(), &far).await);
    assert_eq!(refused, refusal(Kind::Conflict, "illegal_transition"));
    let back = world.act(&editor(), &far, unschedule()).await.expect("it is unscheduled");
    assert_eq!((back.state.as_str(), back.scheduled_at_ms), ("approved", None));
    let due = soon(1_500);
    let scheduled = world.act(&editor(), &back, schedule(due)).await.expect("it is scheduled");
    assert_eq!((scheduled.state.as_str(), scheduled.scheduled_at_ms), ("scheduled", Some(due.millis())));
    let published = world.seen_by_readers(&draft.id).await;
    let appeared = Timestamp::from_millis(published.published_at_ms.expect("a time"));
    assert!(appeared >= due, "{appeared} {due}");
    assert_eq!((published.version, published.scheduled_at_ms), (scheduled.version + 1, None));
    let history = world.events(Some(&editor()), &draft.id).await.expect("a history");
    assert_eq!((history[0].event.as_str(), history[0].by.as_str()), ("published", NOBODY));
    assert_eq!(history[1].scheduled_at_ms, Some(due.millis()));
    world.stop().await;
}

/// The account in the history when the portal itself did something.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test]
async fn publications_that_were_missed_are_made_up_for_at_the_start_in_their_order() {
    let place = Place::new();
    let world = World::start(&place).await;
    let mut articles = Vec::new();
    for (title, millis) in [("Third", 3_060), ("First", 3_000), ("Second", 3_030)] {
        let draft = world.create(&author(), fields(title)).await.expect("a draft");
        articles.push((title, draft, millis));
    }
    // All times are counted from here, so that creating the drafts takes none of them.
    let start = SystemClock.now();
    for (_, draft, millis) in &articles {
        let at = start.plus(Duration::from_millis(*millis));
        world.act(&editor(), draft, schedule(at)).await.expect("it is scheduled");
    }
    world.stop().await;
    let over = || async { (SystemClock.now().since(start) > Duration::from_millis(3_060)).then_some(()) };
    wait_until("the times are over", PATIENCE, over).await;
    let world = World::start(&place).await;
    let mut published = Vec::new();
    for (title, draft, _) in &articles {
        let article = world.seen_by_readers(&draft.id).await;
        let history = world.events(None, &draft.id).await.expect("a history");
        assert_eq!(history.len(), 1, "{title} was published once");
        published.push((article.published_at_ms, *title));
    }
    published.sort();
    assert_eq!(published.iter().map(|(_, title)| *title).collect::<Vec<_>>(), ["First", "Second", "Third"]);
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs postgres and mongodb"]
async fn of_two_replicas_one_publishes_each_scheduled_article() {
    let place = Place::on_servers().await;
    let other = place.beside();
    let replicas = [World::start(&place).await, World::start(&other).await];
    let world = &replicas[0];
    let mut articles = Vec::new();
    for number in 0..20 {
        let draft = world.create(&author(), fields(&format!("Article {number}"))).await.expect("a draft");
        articles.push(draft);
    }
    let due = soon(4_000);
    for draft in &articles {
        world.act(&editor(), draft, schedule(due)).await.expect("it is scheduled");
    }
    for draft in &articles {
        let published = world.seen_by_readers(&draft.id).await;
        assert!(published.published_at_ms >= Some(due.millis()));
        let history = world.events(Some(&editor()), &draft.id).await.expect("a history");
        let events: Vec<&str> = history.iter().map(|entry| entry.event.as_str()).collect();
        assert_eq!(events, ["published", "scheduled", "drafted"]);
    }
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test]
async fn a_correction_is_public_with_its_version() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("Monday").await;
    let refused = refusal_of(world.act(&author(), &published, correct("note", "It rained.", None)).await);
    assert_eq!(refused, refusal(Kind::Forbidden, "role_required"));
    let faulty =
        correct("rumour", "", Some(ArticlePatch { title: Some(String::new()), ..Default::default() }));
    let refused = world.act(&editor(), &published, faulty).await.expect_err("three faults");
    let pointers: Vec<&str> = refused.fields.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/kind", "/text", "/patch/title"]);
    let patch = ArticlePatch { title: Some("Tuesday".to_owned()), ..ArticlePatch::default() };
    let text = "It was Tuesday, not Monday.";
    let corrected = world.act(&editor(), &published, correct("correction", text, Some(patch))).await;
    let corrected = corrected.expect("it is corrected");
    assert_eq!((corrected.state.as_str(), corrected.title.as_str()), ("published", "Tuesday"));
    let seen = world.get_since(None, &corrected).await.expect("readers see it");
    let correction = Correction {
        kind: "correction".to_owned(),
        text: text.to_owned(),
        at_ms: corrected.updated_at_ms,
        version: corrected.version,
    };
    assert_eq!(seen.corrections, std::slice::from_ref(&correction));
    let history = world.events(None, &published.id).await.expect("a history");
    assert_eq!((history[0].event.as_str(), history[0].correction.as_ref()), ("corrected", Some(&correction)));
    assert_eq!(history[0].changed, ["title", "corrections"]);
    let all = ListCorrectionsRequest { limit: 10, ..ListCorrectionsRequest::default() };
    let listed = world.corrections(all.clone()).await;
    let entry = ArticleCorrection {
        id: published.id.clone(),
        title: "Tuesday".to_owned(),
        slug: published.slug.clone(),
        correction: Some(correction),
    };
    assert_eq!(listed, [entry]);
    let notes = ListCorrectionsRequest { kind: Some("note".to_owned()), ..all.clone() };
    assert_eq!(world.corrections(notes).await, []);
    for request in [
        ListCorrectionsRequest { kind: Some("rumour".to_owned()), ..all.clone() },
        ListCorrectionsRequest { limit: 0, ..all.clone() },
        ListCorrectionsRequest { limit: 102, ..all },
    ] {
        let refused = refusal_of(world.call(None, "ListCorrections", request).await);
        assert_eq!(refused, refusal(Kind::Invalid, "invalid"));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_retracted_article_is_gone_for_readers_with_its_reason_and_staff_read_it() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("Sensation").await;
    let retracted = world.act(&editor(), &published, retract("It was invented.")).await;
    let retracted = retracted.expect("it is retracted");
    let notice = retracted.retraction.clone().expect("a notice");
    assert_eq!((retracted.state.as_str(), notice.reason.as_str()), ("retracted", "It was invented."));
    world.get_since(Some(&editor()), &retracted).await.expect("staff read it");
    let retracted_at = json!(Timestamp::from_millis(notice.at_ms).to_string());
    let version = |which| GetVersionRequest { id: published.id.clone(), which: Some(which) };
    for who in [None, Some(reader()), Some(other_author())] {
        let token = || who.as_ref().map(Person::token);
        let id = published.id.clone();
        let refusals = [
            world.call(token(), "GetArticle", GetArticleRequest { id: id.clone(), min_version: None }).await,
            world
                .call(token(), "GetArticle", GetArticleRequest { id: id.clone(), min_version: Some(3) })
                .await,
            world.call(token(), "GetVersion", version(get_version_request::Which::Version(2))).await,
            world.call(token(), "GetVersion", version(get_version_request::Which::AtMs(i64::MAX))).await,
            world.call(token(), "DiffVersions", DiffVersionsRequest { id: id.clone(), from: 2, to: 2 }).await,
            world.call(token(), "GetHistory", GetHistoryRequest { id, limit: 10, before: None }).await,
        ];
        for refused in refusals {
            let refused = refused.expect_err("it is gone");
            assert_eq!((refused.kind, refused.code.as_str()), (Kind::Gone, "retracted"));
            assert_eq!(refused.extra["reason"], json!("It was invented."));
            assert_eq!(refused.extra["retracted_at"], retracted_at);
            assert!(!format!("{refused:?}").contains("Sensation"));
        }
    }
    assert_eq!(world.list(0, 10, false).await.expect("a list").total, 0);
    let refused = world.revise(&editor(), &retracted, fields("Better")).await.expect_err("it is retracted");
    assert_eq!(refused.extra["allowed"], json!(["reinstate"]));
    let back = world.act(&editor(), &retracted, reinstate()).await.expect("it is reinstated");
    assert_eq!((back.state.as_str(), back.retraction.as_ref()), ("published", None));
    let seen = world.get_since(None, &back).await.expect("readers see it again");
    assert_eq!(seen.published_at_ms, published.published_at_ms);
    world.stop().await;
}

#[tokio::test]
async fn readers_learn_what_changed_while_an_article_was_not_public() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("Before").await;
    let unpublished = world.unpublish(&editor(), &published).await.expect("it is unpublished");
    let changed = world.revise(&editor(), &unpublished, fields("After")).await.expect("a version");
    let back = world.publish(&editor(), &changed).await.expect("it is published");
    world.get_since(None, &back).await.expect("readers see it");
    let history = world.events(None, &published.id).await.expect("a history");
    assert_eq!(history.iter().map(|entry| entry.version).collect::<Vec<_>>(), [5, 2]);
    assert_eq!(history[0].changed, ["title", "content"]);
    assert_eq!(history[1].changed, ["state", "title", "content", "author", "tags", "published_at"]);
    world.stop().await;
}

#[tokio::test]
async fn every_command_of_the_newsroom_has_one_effect_under_a_key() {
    let place = Place::new();
    let world = World::start(&place).await;
    let mut article = world.create(&author(), fields("A")).await.expect("a draft");
    let commands = [
        submit(),
        send_back("Who?"),
        submit(),
        approve(),
        schedule(soon(3_600_000)),
        unschedule(),
        Action::Publish(PublishArticle {}),
        correct("note", "It rained.", None),
        retract("It was invented."),
        reinstate(),
    ];
    for (number, action) in commands.into_iter().enumerate() {
        let key = format!("key {number}");
        let command = on(&article, action);
        let first = world.command_once(&editor(), &key, command.clone()).await.expect("it is done");
        let again = world.command_once(&editor(), &key, command).await.expect("the same answer");
        assert_eq!((&first.0, first.1), (&again.0, false));
        assert!(again.1, "command {number} is replayed");
        assert_eq!(first.0.version, article.version + 1);
        article = first.0;
    }
    let stale = request(&article.id, exactly(1), retract("Again."));
    assert_eq!(refusal_of(world.command(&editor(), stale).await), refusal(Kind::Stale, "stale_version"));
    world.stop().await;
}
