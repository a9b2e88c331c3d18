//! A command under a key has one effect, however often it is sent and whichever process is killed meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use kernel::Kind;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use testkit::{PATIENCE, Process, Program, at_once, wait_until};

use crate::people::{Person, admin, author, editor};
use crate::world::{Place, World, creation, exactly, fields, on, refusal, refusal_of, request, shut};

const ROUNDS: usize = 20;
const ACKNOWLEDGED: &str = "acknowledged ";

impl World {
    async fn create_once(
        &self,
        who: &Person,
        key: &str,
        title: &str,
    ) -> Result<(Article, bool), kernel::Refusal> {
        self.command_once(who, key, creation(fields(title), false)).await
    }
}

async fn articles(place: &Place) -> i64 {
    place.count("select count(distinct article) from events").await
}

async fn answers(place: &Place) -> i64 {
    place.count("select count(*) from answers").await
}

#[tokio::test]
async fn the_same_command_under_one_key_is_answered_again_and_another_one_is_refused() {
    let place = Place::new();
    let world = World::start(&place).await;
    let (first, replayed) = world.create_once(&author(), "a", "Mine").await.expect("a draft");
    assert!(!replayed);
    // What it has become since is not what was answered then.
    world.revise(&author(), &first, fields("Later")).await.expect("a new version");
    let again = world.create_once(&author(), "a", "Mine").await.expect("the same answer");
    assert_eq!(again, (first, true));
    let reused = refusal_of(world.create_once(&author(), "a", "Another").await);
    assert_eq!(reused, refusal(Kind::Invalid, "idempotency_key_reused"));
    // The key is one account's and one command's.
    let (others, replayed) = world.create_once(&editor(), "a", "Mine").await.expect("a draft");
    assert!(!replayed);
    let publish = || on(&others, Action::Publish(PublishArticle {}));
    world.command_once(&admin(), "a", publish()).await.expect("it is published");
    let (published, replayed) = world.command_once(&admin(), "a", publish()).await.expect("the same answer");
    assert_eq!((published.version, replayed), (2, true));
    world.stop().await;
    assert_eq!(articles(&place).await, 2);
}

#[tokio::test]
async fn a_refusal_burns_no_key_and_the_corrected_command_is_done_under_it() {
    let place = Place::new();
    let world = World::start(&place).await;
    for _ in 0..2 {
        let refused = world.create_once(&author(), "a", "").await.expect_err("a title is missing");
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, "invalid"));
        assert_eq!(refused.extra.get("idempotency_replayed"), None);
    }
    let (first, replayed) = world.create_once(&author(), "a", "A title").await.expect("a draft");
    assert!(!replayed);
    assert_eq!(world.create_once(&author(), "a", "A title").await.expect("the same answer"), (first, true));
    // What depends on the state, on the version, or on who asks, is asked again too.
    let public = world.published("Public").await;
    let step = async |who: &Person, action: Action, version: u32| {
        world.command_once(who, "b", request(&public.id, exactly(version), action)).await.map(drop)
    };
    let unpublish = || Action::Unpublish(UnpublishArticle {});
    let delete = || Action::Delete(DeleteArticle {});
    assert_eq!(refusal_of(step(&author(), unpublish(), 2).await), refusal(Kind::Forbidden, "role_required"));
    assert_eq!(refusal_of(step(&editor(), unpublish(), 1).await), refusal(Kind::Stale, "stale_version"));
    assert_eq!(refusal_of(step(&editor(), delete(), 2).await), refusal(Kind::Conflict, "illegal_transition"));
    assert_eq!(answers(&place).await, 1, "what was done is kept, and nothing else");
    step(&editor(), unpublish(), 2).await.expect("it is unpublished");
    step(&editor(), delete(), 3).await.expect("it is deleted");
    world.stop().await;
}

#[tokio::test]
async fn an_erased_byline_does_not_come_back_in_an_old_answer() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("Ada's")).await.expect("a draft");
    let publish = || on(&draft, Action::Publish(PublishArticle {}));
    let (published, _) = world.command_once(&editor(), "a", publish()).await.expect("it is published");
    assert_eq!(published.author, "Ada O'Neill");
    world.stop().await;
    let app = place.open().await;
    app.erase(author().id).await.expect("she is erased");
    shut(app).await;
    let world = World::start(&place).await;
    let (again, replayed) = world.command_once(&editor(), "a", publish()).await.expect("the same answer");
    assert_eq!((again.author.as_str(), replayed), ("", true));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_creations_at_once_under_one_key_make_one_draft() {
    let place = Place::new();
    let world = Arc::new(World::start(&place).await);
    let outcomes = at_once(16, |_| {
        let world = world.clone();
        async move { world.create_once(&author(), "a", "The one").await }
    })
    .await;
    let mut ids = BTreeSet::new();
    let mut fresh = 0;
    for outcome in outcomes {
        match outcome {
            Ok((article, replayed)) => {
                ids.insert(article.id);
                fresh += usize::from(!replayed);
            }
            Err(refusal) => {
                assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Conflict, "still_running"));
            }
        }
    }
    assert_eq!((ids.len(), fresh), (1, 1));
    assert_eq!(articles(&place).await, 1);
    Arc::into_inner(world).expect("it is the last reference").stop().await;
}

/// Creates drafts under the keys of one round, as fast as possible, until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a child of a_command_that_is_sent_again_after_a_kill_has_one_effect"]
async fn a_creator_that_is_killed() {
    let Some(path) = Program::argument() else { return };
    let place = Place::at(path);
    let world = World::start(&place).await;
    println!("ready to die");
    for number in 0.. {
        let key = format!("key {number}").replace(' ', "-");
        let (draft, replayed) = world.create_once(&author(), &key, &key).await.expect("a draft");
        if !replayed {
            println!("{ACKNOWLEDGED}{number} {}", draft.id);
        }
    }
}

async fn one_effect_across_kills(place: &Place) {
    let name = "idempotency::a_creator_that_is_killed";
    let program = Program::this_test(name, place.path(), "ready to die");
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut process = Process::start(&program).await;
        let writes = round % 4 + 1;
        wait_until("some acknowledged writes", PATIENCE, || {
            let count = process.output().iter().filter(|line| line.contains(ACKNOWLEDGED)).count();
            std::future::ready((count >= writes).then_some(()))
        })
        .await;
        process.kill9();
        for line in process.output() {
            let Some((_, words)) = line.split_once(ACKNOWLEDGED) else { continue };
            if let Some((number, id)) = words.split_once(' ').filter(|(_, id)| id.len() == 36) {
                // Every round begins at the first key. An effect is never acknowledged as new a second time.
                assert!(
                    acknowledged.insert((number.to_owned(), id.to_owned())),
                    "{line} was acknowledged twice"
                );
            }
        }
    }
    let numbers: BTreeSet<&String> = acknowledged.iter().map(|(number, _)| number).collect();
    assert_eq!(numbers.len(), acknowledged.len(), "one key made two articles");
    let world = World::start(place).await;
    for (number, id) in &acknowledged {
        let key = format!("key-{number}");
        let (again, replayed) = world.create_once(&author(), &key, &key).await.expect("the same answer");
        assert_eq!((&again.id, replayed), (id, true));
    }
    world.stop().await;
    // Those that were done and not acknowledged are there under the next keys, once each: as many articles as
    // keys.
    assert_eq!(articles(place).await, answers(place).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_sent_again_after_a_kill_has_one_effect() {
    one_effect_across_kills(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and mongodb"]
async fn a_command_that_is_sent_again_after_a_kill_has_one_effect_on_the_servers() {
    one_effect_across_kills(&Place::on_servers().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and mongodb"]
async fn commands_at_two_replicas_under_one_key_have_one_effect() {
    let place = Place::on_servers().await;
    let other = place.beside();
    let worlds = Arc::new([World::start(&place).await, World::start(&other).await]);
    for round in 0..ROUNDS {
        let outcomes = at_once(16, |number| {
            let worlds = worlds.clone();
            async move { worlds[number % 2].create_once(&author(), &format!("key-{round}"), "The one").await }
        })
        .await;
        let mut ids = BTreeSet::new();
        for outcome in outcomes {
            match outcome {
                Ok((article, _)) => drop(ids.insert(article.id)),
                Err(refusal) => assert_eq!(refusal.code.as_str(), "still_running", "{refusal:?}"),
            }
        }
        assert_eq!(ids.len(), 1, "round {round}");
        assert_eq!(articles(&place).await, round as i64 + 1);
    }
    let worlds = Arc::into_inner(worlds).expect("it is the last reference");
    for world in worlds {
        world.stop().await;
    }
}
