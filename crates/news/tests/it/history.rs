//! The past of an article: what happened to it, what it refusal, and the way back.

use kernel::{Kind, Section, Version};
use news::BrokenChain;
use prost::Message;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;

use crate::people::{Person, admin, author, editor, other_author, reader};
use crate::world::{Place, World, exactly, fields, refusal, refusal_of, request, shut};

fn not_there() -> (Kind, String) {
    refusal(Kind::NotFound, "not_found")
}

impl World {
    async fn history(
        &self,
        who: Option<&Person>,
        id: &str,
        before: Option<u32>,
        limit: u32,
    ) -> Result<GetHistoryReply, kernel::Refusal> {
        let request = GetHistoryRequest { id: id.to_owned(), limit, before };
        let reply = self.call(who.map(Person::token), "GetHistory", request).await?;
        Ok(GetHistoryReply::decode(reply).expect("a reply"))
    }

    async fn version(
        &self,
        who: Option<&Person>,
        id: &str,
        which: get_version_request::Which,
    ) -> Result<Article, kernel::Refusal> {
        let request = GetVersionRequest { id: id.to_owned(), which: Some(which) };
        let reply = self.call(who.map(Person::token), "GetVersion", request).await?;
        Ok(ArticleReply::decode(reply).expect("a reply").article.expect("an article"))
    }

    async fn diff(
        &self,
        who: Option<&Person>,
        id: &str,
        from: u32,
        to: u32,
    ) -> Result<Vec<DiffPart>, kernel::Refusal> {
        let request = DiffVersionsRequest { id: id.to_owned(), from, to };
        let reply = self.call(who.map(Person::token), "DiffVersions", request).await?;
        Ok(DiffVersionsReply::decode(reply).expect("a reply").parts)
    }
}

fn number(version: u32) -> get_version_request::Which {
    get_version_request::Which::Version(version)
}

fn events(history: &GetHistoryReply) -> Vec<(u32, &str)> {
    history.entries.iter().map(|entry| (entry.version, entry.event.as_str())).collect()
}

#[tokio::test]
async fn an_article_is_taken_back_quietly_and_published_again() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("The match").await;
    for who in [author(), editor().only_in(Section::Famous)] {
        let refused = refusal_of(world.unpublish(&who, &published).await);
        assert_eq!(refused, refusal(Kind::Forbidden, "role_required"));
    }
    let unpublished = world.unpublish(&editor(), &published).await.expect("it is taken back");
    assert_eq!((unpublished.version, unpublished.state.as_str()), (3, "unpublished"));
    world.get_since(Some(&author()), &unpublished).await.expect("its author sees it");
    for who in [None, Some(reader()), Some(other_author())] {
        assert_eq!(refusal_of(world.get(who.as_ref(), &published.id).await), not_there());
        assert_eq!(refusal_of(world.history(who.as_ref(), &published.id, None, 10).await), not_there());
        assert_eq!(refusal_of(world.version(who.as_ref(), &published.id, number(2)).await), not_there());
        assert_eq!(refusal_of(world.diff(who.as_ref(), &published.id, 2, 2).await), not_there());
    }
    let again = world.unpublish(&editor(), &unpublished).await.expect_err("it is taken back already");
    assert_eq!((again.code.as_str(), &again.extra["state"]), ("illegal_transition", &"unpublished".into()));
    assert_eq!(
        again.extra["allowed"],
        serde_json::json!(["revise", "schedule", "publish", "delete", "restore"])
    );
    let back = world.publish(&editor(), &unpublished).await.expect("it is public again");
    assert_eq!((back.version, back.published_at_ms), (4, published.published_at_ms));
    assert_eq!(world.get_since(None, &back).await.expect("every reader sees it"), back);
    world.stop().await;
}

#[tokio::test]
async fn what_was_put_away_comes_back_to_where_it_stood() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("A draft")).await.expect("a draft");
    let published = world.published("Public once").await;
    let unpublished = world.unpublish(&editor(), &published).await.expect("it is taken back");
    for (seen, state) in [(draft, "draft"), (unpublished, "unpublished")] {
        let live = world.undelete(&editor(), &seen.id, seen.version).await;
        assert_eq!(refusal_of(live), refusal(Kind::Conflict, "illegal_transition"));
        let version = world.delete(&editor(), &seen).await.expect("it is put away").version;
        assert_eq!(refusal_of(world.undelete(&author(), &seen.id, version).await), not_there());
        assert_eq!(
            refusal_of(world.undelete(&editor(), &seen.id, seen.version).await),
            refusal(Kind::Stale, "stale_version")
        );
        let back = world.undelete(&editor(), &seen.id, version).await.expect("it comes back");
        assert_eq!((back.version, back.state.as_str()), (version + 1, state));
        assert_eq!((&back.title, back.published_at_ms), (&seen.title, seen.published_at_ms));
        world.get_since(Some(&author()), &back).await.expect("its author sees it again");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_star_undeletes_whatever_the_version_is() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("A draft")).await.expect("a draft");
    world.delete(&author(), &draft).await.expect("it is put away");
    let any = Some(Expected { any: true, versions: Vec::new() });
    let request = request(&draft.id, any, Action::Undelete(UndeleteArticle {}));
    let back = world.command(&editor(), request).await.expect("it comes back");
    assert_eq!((back.version, back.state.as_str()), (3, "draft"));
    world.stop().await;
}

#[tokio::test]
async fn an_older_version_comes_back_as_a_new_one_and_the_state_stays() {
    let place = Place::new();
    let world = World::start(&place).await;
    let first = world.create(&author(), fields("First")).await.expect("a draft");
    let second = world.revise(&author(), &first, fields("Second")).await.expect("a new version");
    // Their own draft is the author's to change, in whichever way.
    let restored = world.restore(&author(), &second, 1).await.expect("it is restored");
    assert_eq!((restored.version, restored.state.as_str()), (3, "draft"));
    assert_eq!((&restored.title, &restored.content), (&first.title, &first.content));
    let published = world.publish(&editor(), &restored).await.expect("it is published");
    let refused = refusal_of(world.restore(&author(), &published, 2).await);
    assert_eq!(refused, refusal(Kind::Forbidden, "role_required"));
    let unknown = world.restore(&editor(), &published, 9).await.expect_err("there is no version 9");
    assert_eq!((unknown.kind, unknown.fields[0].pointer.as_str()), (Kind::Invalid, "/version"));
    let public = world.restore(&editor(), &published, 2).await.expect("it is restored");
    assert_eq!((public.version, public.state.as_str(), public.title.as_str()), (5, "published", "Second"));
    assert_eq!(world.get_since(None, &public).await.expect("readers see it"), public);
    let history = world.history(Some(&editor()), &first.id, None, 1).await.expect("a history");
    let entry = &history.entries[0];
    assert_eq!((entry.event.as_str(), entry.from_version), ("restored", Some(2)));
    assert_eq!(entry.changed, ["title", "content"]);
    let version =
        world.delete(&editor(), &world.unpublish(&editor(), &public).await.expect("taken back")).await;
    let gone = Article { version: version.expect("it is put away").version, ..public };
    let refused = world.restore(&editor(), &gone, 2).await.expect_err("it is put away");
    assert_eq!(
        (refused.code.as_str(), &refused.extra["allowed"]),
        ("illegal_transition", &serde_json::json!(["undelete"]))
    );
    world.stop().await;
}

#[tokio::test]
async fn readers_see_what_was_public_of_what_is_and_staff_sees_everything() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("Secret working title")).await.expect("a draft");
    let edited = world.revise(&author(), &draft, fields("The title")).await.expect("a new version");
    let published = world.publish(&editor(), &edited).await.expect("it is published");
    let updated = world.revise(&editor(), &published, fields("The better title")).await.expect("a version");
    let all = [(4, "updated"), (3, "published"), (2, "edited"), (1, "drafted")];
    for who in [author(), editor(), admin()] {
        let history = world.history(Some(&who), &draft.id, None, 10).await.expect("a history");
        assert_eq!(events(&history), all);
        assert_eq!((history.version, history.next_before), (4, None));
        assert_eq!(
            world.version(Some(&who), &draft.id, number(1)).await.expect("a version").title,
            draft.title
        );
    }
    for who in [None, Some(reader()), Some(other_author()), Some(editor().only_in(Section::Famous))] {
        let who = who.as_ref();
        let history = world.history(who, &draft.id, None, 10).await.expect("a history");
        assert_eq!(events(&history), [(4, "updated"), (3, "published")]);
        assert_eq!(history.entries[0].by, editor().id.to_string());
        assert_eq!(history.entries[0].changed, ["title", "content"]);
        assert_eq!(world.version(who, &draft.id, number(3)).await.expect("it was public"), published);
        for hidden in [0, 1, 2, 5] {
            assert_eq!(refusal_of(world.version(who, &draft.id, number(hidden)).await), not_there());
            assert_eq!(refusal_of(world.diff(who, &draft.id, hidden, 4).await), not_there());
        }
        let words = world.diff(who, &draft.id, 3, 4).await.expect("a comparison");
        let inserted = words.iter().filter(|part| part.op() == DiffOp::Insert && part.field == "title");
        assert_eq!(inserted.map(|part| part.text.as_str()).collect::<String>(), "better ");
    }
    assert_eq!(updated.version, 4);
    world.stop().await;
}

#[tokio::test]
async fn a_history_comes_in_pages_and_each_looks_at_no_more_versions_than_was_asked_for() {
    let place = Place::new();
    let world = World::start(&place).await;
    let mut article = world.create(&author(), fields("0")).await.expect("a draft");
    for turn in 1..7 {
        article = world.revise(&author(), &article, fields(&turn.to_string())).await.expect("a version");
    }
    let (mut joined, mut before) = (Vec::new(), None);
    loop {
        let page = world.history(Some(&author()), &article.id, before, 3).await.expect("a page");
        assert!(page.entries.len() <= 3);
        joined.extend(page.entries.iter().map(|entry| entry.version));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(joined, [7, 6, 5, 4, 3, 2, 1]);
    // A page with hidden versions only still names the position of older ones.
    let published = world.publish(&editor(), &article).await.expect("it is published");
    world.get_since(None, &published).await.expect("it is public");
    let page = world.history(None, &article.id, Some(8), 3).await.expect("a page");
    assert_eq!((page.entries.len(), page.next_before), (0, Some(5)));
    for limit in [0, 101] {
        let refused = world.history(None, &article.id, None, limit).await.expect_err("out of range");
        assert_eq!((refused.kind, refused.fields[0].pointer.as_str()), (Kind::Invalid, "/limit"));
    }
    world.stop().await;
}

#[tokio::test]
async fn an_article_is_shown_as_it_was_at_any_moment() {
    use get_version_request::Which::AtMs;
    let place = Place::new();
    let world = World::start(&place).await;
    let mut versions = vec![world.create(&author(), fields("0")).await.expect("a draft")];
    for turn in 1..9 {
        let last = versions[versions.len() - 1].clone();
        // Versions of one millisecond are one moment, whose newest version counts: wait for another one.
        let clock = || {
            std::future::ready(
                (kernel::Clock::now(&kernel::SystemClock).millis() > last.updated_at_ms).then_some(()),
            )
        };
        testkit::wait_until("the next millisecond", testkit::PATIENCE, clock).await;
        let next = match turn {
            5 => world.publish(&editor(), &last).await,
            _ => world.revise(&editor(), &last, fields(&turn.to_string())).await,
        };
        versions.push(next.expect("a version"));
    }
    let id = &versions[0].id;
    for version in &versions {
        let at = AtMs(version.updated_at_ms);
        assert_eq!(&world.version(Some(&author()), id, at).await.expect("it was there"), version);
        let seen = world.version(None, id, at).await;
        if version.version < 6 {
            assert_eq!(refusal_of(seen), not_there(), "it was not public then");
        } else {
            assert_eq!(&seen.expect("it was public"), version);
        }
    }
    let before = AtMs(versions[0].updated_at_ms - 1);
    assert_eq!(refusal_of(world.version(Some(&author()), id, before).await), not_there());
    let later = world.version(None, id, AtMs(i64::MAX)).await.expect("the newest");
    assert_eq!(Some(&later), versions.last());
    world.stop().await;
}

#[tokio::test]
async fn every_history_is_verified_and_a_changed_byte_names_article_and_version() {
    let place = Place::new();
    let world = World::start(&place).await;
    let whole = world.published("Whole").await;
    let mut broken = world.create(&author(), fields("BrokenChain")).await.expect("a draft");
    for turn in 0..30 {
        broken = world.revise(&author(), &broken, fields(&turn.to_string())).await.expect("a version");
    }
    world.stop().await;
    let app = place.open().await;
    let audited = app.verify_all(|_| ()).await.expect("they are read");
    assert_eq!((audited.articles, audited.versions, audited.broken.len()), (2, 33, 0));
    shut(app).await;

    // One byte of one record, in an older version: today's article looks as it did.
    let id: kernel::ArticleId = broken.id.parse().expect("an id");
    let mut connection = place.connection("sports-news.db").await;
    let changed = sqlx::query("update events set record = replace(record, '\"title\":\"21\"', '\"title\":\"2I\"') where article = ? and version = 23")
        .bind(id.uuid())
        .execute(&mut connection)
        .await
        .expect("it is rewritten");
    assert_eq!(changed.rows_affected(), 1);
    drop(connection);
    let app = place.open().await;
    let audited = app.verify_all(|_| ()).await.expect("they are read");
    assert_eq!(audited.broken, [(id, BrokenChain::Tampered { version: Version::new(23) })]);
    assert_eq!((audited.articles, audited.versions), (2, u64::from(whole.version)));
    shut(app).await;
}

#[tokio::test]
async fn commands_on_the_past_name_a_version_and_know_their_article() {
    let place = Place::new();
    let world = World::start(&place).await;
    let unknown = "01934d00-0000-7000-8000-000000000000".to_owned();
    let restore = request(&unknown, exactly(1), Action::Restore(RestoreArticle { version: 1 }));
    assert_eq!(refusal_of(world.command(&editor(), restore).await), not_there());
    let undelete = request(&unknown, exactly(1), Action::Undelete(UndeleteArticle {}));
    assert_eq!(refusal_of(world.command(&editor(), undelete).await), not_there());
    let malformed = refusal(Kind::Malformed, "malformed_call");
    let unpublish = request(&unknown, None, Action::Unpublish(UnpublishArticle {}));
    assert_eq!(refusal_of(world.command(&editor(), unpublish).await), malformed);
    let request = GetVersionRequest { id: "x".to_owned(), which: None };
    assert_eq!(refusal_of(world.call(Some(editor().token()), "GetVersion", request).await), malformed);
    world.stop().await;
}
