//! The work that waits for the staff of one section, and the lists of it.

use kernel::{Kind, Section};
use prost::Message;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;

use crate::people::{Person, admin, author, editor, other_author, reader};
use crate::world::{Place, World, fields, on, refusal, refusal_of};

impl World {
    async fn desk(&self, who: &Person) -> GetDeskReply {
        let reply = self.call(Some(who.token()), "GetDesk", GetDeskRequest {}).await.expect("the work");
        GetDeskReply::decode(reply).expect("a reply")
    }

    /// Writes a draft and does these things with it. Returns it as soon as the view has it.
    async fn through(&self, title: &str, who: &Person, steps: &[(Person, Action)]) -> Article {
        let mut article = self.create(who, fields(title)).await.expect("a draft");
        for (by, action) in steps {
            article = self.command(by, on(&article, action.clone())).await.expect("a step");
        }
        self.get_since(Some(&admin()), &article).await.expect("it is projected")
    }

    async fn waiting(&self, who: &Person, author_id: Option<String>) -> Vec<String> {
        let states = ["in_review", "approved"].map(str::to_owned).to_vec();
        let order = ListOrder::Waiting.into();
        let request =
            ListArticlesRequest { limit: 10, states, order, author_id, ..ListArticlesRequest::default() };
        let reply = self.list_as(Some(who), request).await.expect("a list");
        reply.articles.into_iter().map(|article| article.title).collect()
    }
}

fn submit() -> Action {
    Action::Submit(SubmitArticle {})
}

fn schedule(seconds: i64) -> Action {
    use kernel::{Clock, SystemClock};
    Action::Schedule(ScheduleArticle { at_ms: SystemClock.now().millis() + seconds * 1_000 })
}

fn titles(group: Option<&DeskGroup>) -> Vec<&str> {
    let group = group.expect("a group");
    assert!(group.articles.iter().all(|article| article.content.is_none()), "groups have no texts");
    assert_eq!(group.total, group.articles.len() as u64);
    group.articles.iter().map(|article| article.title.as_str()).collect()
}

/// Returns the states that have articles.
fn counts(desk: &GetDeskReply) -> Vec<(&str, u64)> {
    let states = desk.counts.iter().map(|count| (count.state.as_str(), count.articles));
    states.filter(|(_, articles)| *articles > 0).collect()
}

async fn a_section_with_work() -> (Place, World) {
    let place = Place::new();
    let world = World::start(&place).await;
    let back = Action::Return(ReturnArticle { note: "Who?".to_owned() });
    let approve = Action::Approve(ApproveArticle {});
    world.through("First", &author(), &[(author(), submit())]).await;
    world.through("Second", &other_author(), &[(other_author(), submit())]).await;
    world.through("Of the editor", &editor(), &[(editor(), submit())]).await;
    world.through("Returned", &author(), &[(author(), submit()), (editor(), back)]).await;
    world.through("Draft", &author(), &[]).await;
    world.through("Approved", &author(), &[(author(), submit()), (editor(), approve)]).await;
    world.through("In an hour", &other_author(), &[(editor(), schedule(3_600))]).await;
    world.through("In a minute", &author(), &[(editor(), schedule(60))]).await;
    world.published("Public").await;
    (place, world)
}

#[tokio::test]
async fn an_editor_gets_what_others_submitted_and_what_is_scheduled_next() {
    let (_place, world) = a_section_with_work().await;
    let desk = world.desk(&editor()).await;
    assert_eq!(titles(desk.to_review.as_ref()), ["First", "Second"]);
    assert_eq!(titles(desk.returned.as_ref()), [""; 0]);
    assert_eq!(titles(desk.scheduled.as_ref()), ["In a minute", "In an hour"]);
    let expected = [("draft", 2), ("in_review", 3), ("approved", 1), ("scheduled", 2), ("published", 1)];
    assert_eq!(counts(&desk), expected);
    assert_eq!(desk.counts.len(), 8, "states without articles have 0");
    // The article of the editor waits for another one.
    let desk = world.desk(&admin()).await;
    assert_eq!(titles(desk.to_review.as_ref()), ["First", "Second", "Of the editor"]);
    world.stop().await;
}

#[tokio::test]
async fn an_author_gets_what_was_returned_and_counts_of_their_own_articles() {
    let (_place, world) = a_section_with_work().await;
    let desk = world.desk(&author()).await;
    assert_eq!(titles(desk.to_review.as_ref()), [""; 0], "authors review nothing");
    assert_eq!(titles(desk.returned.as_ref()), ["Returned"]);
    let note = desk.returned.as_ref().and_then(|group| group.articles[0].review_note.as_deref());
    assert_eq!(note, Some("Who?"));
    assert_eq!(titles(desk.scheduled.as_ref()), ["In a minute"]);
    let expected = [("draft", 2), ("in_review", 1), ("approved", 1), ("scheduled", 1), ("published", 1)];
    assert_eq!(counts(&desk), expected);
    assert!(desk.counts.iter().all(|count| count.state != "deleted"));
    world.stop().await;
}

#[tokio::test]
async fn a_caller_who_does_not_work_in_the_section_is_refused() {
    let place = Place::new();
    let world = World::start(&place).await;
    for who in [reader(), editor().only_in(Section::Politics)] {
        let refused = world.call(Some(who.token()), "GetDesk", GetDeskRequest {}).await;
        assert_eq!(refusal_of(refused), refusal(Kind::Forbidden, "role_required"));
    }
    let refused = world.call(None, "GetDesk", GetDeskRequest {}).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Unauthenticated, "unauthenticated"));
    world.stop().await;
}

#[tokio::test]
async fn a_list_of_work_begins_with_what_waits_longest_however_often_it_was_edited() {
    let (_place, world) = a_section_with_work().await;
    let expected = ["First", "Second", "Of the editor", "Approved"];
    assert_eq!(world.waiting(&editor(), None).await, expected);
    // A revision by an editor leaves the state as it is, so the article keeps its position.
    let desk = world.desk(&editor()).await;
    let first = &desk.to_review.expect("a group").articles[0];
    let revised = world.revise(&editor(), first, fields("First, revised")).await.expect("a version");
    world.get_since(Some(&editor()), &revised).await.expect("it is projected");
    let expected = ["First, revised", "Second", "Of the editor", "Approved"];
    assert_eq!(world.waiting(&editor(), None).await, expected);
    let own = Some(editor().id.to_string());
    assert_eq!(world.waiting(&editor(), own).await, ["Of the editor"]);
    assert_eq!(world.waiting(&author(), None).await, ["First, revised", "Approved"]);
    world.stop().await;
}
