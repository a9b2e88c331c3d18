//! The laws of `NewsSections::command`, which `sections` checks for every adapter.

use kernel::{ArticleId, Expected};
use orchestrator::{Action, Command};
use proto::news::v1 as messages;

use crate::fake_section::Behaviour;
use crate::sections::{Fixture, SPORTS, creation, fields, on, seen};

/// Returns one action of each kind on an existing article.
fn actions() -> [Action; 7] {
    [
        Action::Revise(fields("All")),
        Action::Patch(messages::ArticlePatch {
            title: Some("Some".to_owned()),
            image: Some(String::new()),
            ..messages::ArticlePatch::default()
        }),
        Action::Publish(messages::PublishArticle {}),
        Action::Delete(messages::DeleteArticle {}),
        Action::Unpublish(messages::UnpublishArticle {}),
        Action::Restore(messages::RestoreArticle { version: 3 }),
        Action::Undelete(messages::UndeleteArticle {}),
    ]
}

fn request(id: ArticleId, versions: &[u32], action: &Action) -> messages::CommandRequest {
    messages::CommandRequest {
        id: id.to_string(),
        expected: Some(messages::Expected { any: versions.is_empty(), versions: versions.to_vec() }),
        action: Some(action.clone()),
    }
}

pub async fn a_command_reaches_its_section_unchanged(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    for action in actions() {
        for (expected, versions) in [(seen(7), &[7][..]), (Expected::Any, &[])] {
            let command = Command { expected: Some(expected), ..on(id, action.clone()) };
            fixture.port.command(SPORTS, command).await.expect("it is done");
            assert_eq!(fixture.section(SPORTS).last_command(), request(id, versions, &action));
        }
    }
    for publish in [false, true] {
        let action = Action::Create(messages::CreateArticle { fields: Some(fields("New")), publish });
        fixture
            .port
            .command(SPORTS, Command { action: action.clone(), ..creation() })
            .await
            .expect("a draft");
        let request = messages::CommandRequest { action: Some(action), ..Default::default() };
        assert_eq!(fixture.section(SPORTS).last_command(), request);
    }
}

pub async fn the_answer_to_a_command_is_the_article_after_it(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    let states = ["published", "published", "published", "deleted", "unpublished", "published", "draft"];
    for (action, state) in actions().into_iter().zip(states) {
        let done = fixture.port.command(SPORTS, on(id, action)).await.expect("it is done");
        assert_eq!((done.article.id, done.article.version.number()), (id, 8));
        assert_eq!((done.article.state.as_str(), done.replayed), (state, false));
    }
}

pub async fn a_command_that_was_done_before_under_the_same_key_says_so(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    for replayed in [false, true] {
        if replayed {
            fixture.section(SPORTS).behave(Behaviour::Replay);
        }
        for command in actions().map(|action| on(id, action)).into_iter().chain([creation()]) {
            let command = Command { key: Some("a-key".to_owned()), ..command };
            assert_eq!(fixture.port.command(SPORTS, command).await.expect("done").replayed, replayed);
        }
    }
    let mut keys = fixture.section(SPORTS).calls().into_iter().map(|call| call.idempotency_key);
    assert!(keys.all(|key| key.as_deref() == Some("a-key")));
}
