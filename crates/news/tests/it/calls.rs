//! The calls of a section, with their rules.

use std::time::Duration;

use kernel::{Kind, Section};
use proto::news::v1::command_request::Action;
use proto::news::v1::*;

use crate::people::{Person, admin, author, editor, other_author, reader};
use crate::world::{Place, World, creation, exactly, fields, refusal, refusal_of, request};

#[tokio::test]
async fn only_its_author_and_editors_see_a_draft() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("A draft")).await.expect("a draft");
    assert_eq!((draft.version, draft.state.as_str(), draft.section.as_str()), (1, "draft", "sports"));
    assert_eq!((draft.author.as_str(), &draft.author_id), ("Ada O'Neill", &author().id.to_string()));
    assert_eq!(draft.published_at_ms, None);
    for who in [author(), editor(), admin()] {
        let seen = world.get_since(Some(&who), &draft).await.expect("they may see it");
        assert_eq!(
            (seen.title.as_str(), seen.content.as_deref()),
            ("A draft", Some("All about it: A draft."))
        );
    }
    for who in [Some(reader()), Some(other_author()), Some(editor().only_in(Section::Famous)), None] {
        assert_eq!(
            refusal_of(world.get(who.as_ref(), &draft.id).await),
            refusal(Kind::NotFound, "not_found")
        );
        assert_eq!(
            refusal_of(world.get_since(who.as_ref(), &draft).await),
            refusal(Kind::NotFound, "not_found")
        );
    }
    world.stop().await;
}

#[tokio::test]
async fn an_editor_publishes_an_authors_draft_for_every_reader() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("The match")).await.expect("a draft");
    assert_eq!(refusal_of(world.publish(&author(), &draft).await), refusal(Kind::Forbidden, "role_required"));
    let published = world.publish(&editor(), &draft).await.expect("it is published");
    assert_eq!((published.version, published.state.as_str()), (2, "published"));
    let seen = world.get_since(None, &published).await.expect("every reader sees it");
    assert_eq!(seen, published);
    let again = world.publish(&editor(), &published).await.expect_err("it is published already");
    assert_eq!((again.kind, again.code.as_str()), (Kind::Conflict, "illegal_transition"));
    assert_eq!(again.extra["state"], "published");
    assert_eq!(
        again.extra["allowed"],
        serde_json::json!(["revise", "correct", "unpublish", "retract", "restore"])
    );
    world.stop().await;
}

#[tokio::test]
async fn an_editor_does_not_publish_their_own_unless_the_newsroom_says_so_and_an_admin_does() {
    let mut place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&editor(), fields("By the editor")).await.expect("a draft");
    assert_eq!(refusal_of(world.publish(&editor(), &draft).await), refusal(Kind::Forbidden, "self_review"));
    let at_once = world.create_published(&editor(), fields("At once")).await;
    assert_eq!(refusal_of(at_once), refusal(Kind::Forbidden, "self_review"));
    let at_once = world.create_published(&author(), fields("At once")).await;
    assert_eq!(refusal_of(at_once), refusal(Kind::Forbidden, "role_required"));
    let by_admin = world.create_published(&admin(), fields("By the admin")).await.expect("an admin may");
    assert_eq!((by_admin.version, by_admin.state.as_str()), (2, "published"));
    world.get_since(None, &by_admin).await.expect("it is public");
    world.stop().await;

    place.self_review = true;
    let world = World::start(&place).await;
    world.publish(&editor(), &draft).await.expect("in this newsroom an editor may");
    world.create_published(&editor(), fields("At once")).await.expect("and at once");
    world.stop().await;
}

#[tokio::test]
async fn an_empty_patch_changes_nothing_and_makes_no_version() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("As it was")).await.expect("a draft");
    let nothing = || ArticlePatch::default();
    assert_eq!(world.patch(&author(), &draft, nothing()).await.expect("the same"), draft);
    let title = ArticlePatch { title: Some("Another".to_owned()), ..nothing() };
    let second = world.patch(&author(), &draft, title).await.expect("a version");
    assert_eq!(world.patch(&editor(), &second, nothing()).await.expect("the same"), second);
    // The rights and the expected version are checked all the same.
    assert_eq!(
        refusal_of(world.patch(&author(), &draft, nothing()).await),
        refusal(Kind::Stale, "stale_version")
    );
    assert_eq!(
        refusal_of(world.patch(&other_author(), &second, nothing()).await),
        refusal(Kind::NotFound, "not_found")
    );
    assert_eq!(
        refusal_of(world.patch(&reader(), &second, nothing()).await),
        refusal(Kind::NotFound, "not_found")
    );
    world.stop().await;
}

#[tokio::test]
async fn a_command_needs_a_token_and_a_broken_token_is_refused_everywhere() {
    let place = Place::new();
    let world = World::start(&place).await;
    let create = || creation(fields("Unseen"), false);
    let anonymous = world.call(None, "Command", create()).await;
    assert_eq!(refusal_of(anonymous), refusal(Kind::Unauthenticated, "unauthenticated"));
    for token in ["nonsense".to_owned(), admin().old_token(), admin().forged_token()] {
        let refused = world.call(Some(token.clone()), "Command", create()).await;
        assert_eq!(refusal_of(refused), refusal(Kind::Unauthenticated, "invalid_token"));
        let read = GetArticleRequest { id: "x".to_owned(), min_version: None };
        let refused = world.call(Some(token), "GetArticle", read).await;
        assert_eq!(refusal_of(refused), refusal(Kind::Unauthenticated, "invalid_token"));
    }
    let refused = world.create(&reader(), fields("By a reader")).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Forbidden, "role_required"));
    let refused = world.create(&author().only_in(Section::Politics), fields("Elsewhere")).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Forbidden, "role_required"));
    world.stop().await;
}

#[tokio::test]
async fn a_revision_replaces_everything_and_a_patch_what_it_names() {
    let place = Place::new();
    let world = World::start(&place).await;
    let first = ArticleFields {
        description: Some("In short".to_owned()),
        lang: Some("en".to_owned()),
        author: Some("A. O'Neill".to_owned()),
        ..fields("First")
    };
    let draft = world.create(&author(), first).await.expect("a draft");
    assert_eq!(draft.author, "A. O'Neill");
    let second = world.revise(&author(), &draft, fields("Second")).await.expect("a new version");
    assert_eq!((second.version, second.title.as_str(), second.description.as_deref()), (2, "Second", None));
    // What an author rarely changes stays unless it is named.
    assert_eq!((second.author.as_str(), second.lang.as_deref()), ("A. O'Neill", Some("en")));
    assert_eq!(second.slug, draft.slug);
    let patch = ArticlePatch {
        tags: Some(Tags { tags: vec!["cup".to_owned(), "final".to_owned()] }),
        description: Some("Shorter".to_owned()),
        ..ArticlePatch::default()
    };
    let third = world.patch(&author(), &second, patch).await.expect("a new version");
    assert_eq!(
        (third.title.as_str(), third.tags.len(), third.description.as_deref()),
        ("Second", 2, Some("Shorter"))
    );
    let patch = ArticlePatch {
        description: Some(String::new()),
        author: Some("Ada".to_owned()),
        ..ArticlePatch::default()
    };
    let fourth = world.patch(&editor(), &third, patch).await.expect("a new version");
    assert_eq!((fourth.description.as_deref(), fourth.author.as_str(), fourth.version), (None, "Ada", 4));
    assert_eq!(fourth.author_id, author().id.to_string());
    world.stop().await;
}

#[tokio::test]
async fn an_update_of_a_published_article_keeps_it_published() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("News").await;
    let refused = world.revise(&author(), &published, fields("Changed")).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Forbidden, "role_required"));
    let updated = world.revise(&editor(), &published, fields("Changed")).await.expect("an editor may");
    assert_eq!((updated.state.as_str(), updated.version), ("published", 3));
    assert_eq!(updated.published_at_ms, published.published_at_ms);
    assert_eq!(world.get_since(None, &updated).await.expect("it is public").title, "Changed");
    world.stop().await;
}

#[tokio::test]
async fn a_draft_can_be_deleted_and_a_published_article_can_not() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("A draft")).await.expect("a draft");
    assert_eq!(refusal_of(world.delete(&other_author(), &draft).await), refusal(Kind::NotFound, "not_found"));
    let deleted = world.delete(&author(), &draft).await.expect("it is put away");
    assert_eq!((deleted.id.as_str(), deleted.version), (draft.id.as_str(), 2));
    let gone = Article { version: 2, ..draft };
    for who in [author(), editor(), admin()] {
        assert_eq!(
            refusal_of(world.get_since(Some(&who), &gone).await),
            refusal(Kind::NotFound, "not_found")
        );
    }
    let again = world.delete(&editor(), &gone).await.expect_err("it is put away already");
    assert_eq!((again.code.as_str(), &again.extra["state"]), ("illegal_transition", &"deleted".into()));

    let published = world.published("News").await;
    let refused = world.delete(&editor(), &published).await.expect_err("readers have seen it");
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "illegal_transition"));
    assert_eq!(
        (&refused.extra["state"], &refused.extra["allowed"]),
        (&"published".into(), &serde_json::json!(["revise", "correct", "unpublish", "retract", "restore"]))
    );
    world.stop().await;
}

#[tokio::test]
async fn a_writer_who_expects_any_version_changes_the_newest() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("First")).await.expect("a draft");
    world.revise(&author(), &draft, fields("Second")).await.expect("a new version");
    let publish = |expected| request(&draft.id, expected, Action::Publish(PublishArticle {}));
    let editor = editor();
    let none = Some(Expected { any: false, versions: Vec::new() });
    let refused = world.command(&editor, publish(none)).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Stale, "stale_version"));
    let refused = world.command(&editor, publish(None)).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Malformed, "malformed_call"));
    let any = Some(Expected { any: true, versions: Vec::new() });
    world.command(&editor, publish(any)).await.expect("whatever is there is published");
    let unknown =
        CommandRequest { id: "01934d00-0000-7000-8000-000000000000".to_owned(), ..publish(exactly(1)) };
    assert_eq!(refusal_of(world.command(&editor, unknown).await), refusal(Kind::NotFound, "not_found"));
    world.stop().await;
}

#[tokio::test]
async fn bad_fields_are_named_together() {
    let place = Place::new();
    let world = World::start(&place).await;
    let bad = ArticleFields {
        title: "a\u{0}b".to_owned(),
        content: String::new(),
        tags: vec!["x".repeat(51)],
        author: Some("x".repeat(51)),
        ..ArticleFields::default()
    };
    let refused = world.create(&author(), bad).await.expect_err("it breaks rules");
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, "invalid"));
    let faults: Vec<_> =
        refused.fields.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
    assert_eq!(
        faults,
        [
            ("/title", "control_character"),
            ("/content", "empty"),
            ("/tags/0", "too_long"),
            ("/author", "too_long")
        ]
    );
    world.stop().await;
}

#[tokio::test]
async fn an_unreadable_call_is_refused_and_not_a_failure() {
    let place = Place::new();
    let world = World::start(&place).await;
    for id in ["", "x", "0", "../../etc/passwd", "' or 1=1 --"] {
        assert_eq!(refusal_of(world.get(None, id).await), refusal(Kind::NotFound, "not_found"), "{id}");
    }
    let unknown = world.call(None, "EraseEverything", GetArticleRequest::default()).await;
    assert_eq!(refusal_of(unknown), refusal(Kind::Malformed, "malformed_call"));
    let empty = CommandRequest { id: String::new(), expected: exactly(1), action: None };
    let refused = world.command(&author(), empty).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Malformed, "malformed_call"));
    world.stop().await;
}

#[tokio::test]
async fn a_version_that_never_comes_is_unavailable_within_the_time_and_says_when_to_ask_again() {
    let mut place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("News").await;
    world.stop().await;
    place.wait_ms = 60;
    let world = World::start(&place).await;
    let future = Article { version: 99, ..published };
    let refused = world.get_since(None, &future).await.expect_err("there is no such version");
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Unavailable, "not_yet_projected"));
    assert!(refused.retry_after.is_some());
    world.stop().await;
}

#[tokio::test]
async fn a_reader_with_little_time_learns_in_time_that_the_version_is_not_there_yet() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("News").await;
    let request = GetArticleRequest { id: published.id, min_version: Some(99) };
    // The section itself would wait for eight seconds.
    let refused = world.call_within(Duration::from_millis(300), None, "GetArticle", request).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Unavailable, "not_yet_projected"));
    world.stop().await;
}

#[tokio::test]
async fn articles_are_picked_by_their_ids_with_content() {
    let place = Place::new();
    let world = World::start(&place).await;
    let (first, second) = (world.published("First").await, world.published("Second").await);
    let draft = world.create(&author(), fields("Draft")).await.expect("a draft");
    world.get_since(Some(&author()), &draft).await.expect("it is projected");
    let ids = vec![first.id.clone(), draft.id, "nonsense".to_owned(), second.id.clone()];
    let reply = world
        .call(None, "GetArticles", GetArticlesRequest { ids, ..Default::default() })
        .await
        .expect("a reply");
    let reply: ListArticlesReply = prost::Message::decode(reply).expect("a list");
    assert_eq!(reply.articles, [first, second]);
    let many = GetArticlesRequest {
        ids: vec!["01934d00-0000-7000-8000-000000000000".to_owned(); 101],
        ..Default::default()
    };
    assert_eq!(refusal_of(world.call(None, "GetArticles", many).await), refusal(Kind::Invalid, "invalid"));
    world.stop().await;
}

#[tokio::test]
async fn equal_titles_do_not_conflict() {
    let place = Place::new();
    let world = World::start(&place).await;
    let mut slugs = std::collections::BTreeSet::new();
    let people: [Person; 3] = [author(), other_author(), editor()];
    for who in people {
        slugs.insert(world.create(&who, fields("The same title")).await.expect("a draft").slug);
    }
    assert_eq!(slugs.len(), 3);
    assert!(slugs.contains("the-same-title"));
    assert!(slugs.iter().all(|slug| slug.starts_with("the-same-title")));
    world.stop().await;
}
