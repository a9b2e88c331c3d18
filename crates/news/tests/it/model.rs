//! Random commands of four people, against a small model of the workflow.

use std::collections::HashMap;

use kernel::{ArticleId, Refusal};
use news::{App, Filter, State};
use prost::Message;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use testkit::{PATIENCE, random, wait_until};

use crate::people::{Person, admin, author, editor, other_author};
use crate::replay::dump;
use crate::world::{Place, World, creation, exactly, fields, request, shut};

/// The workflow as the product describes it: command, states in which it is legal, event, next state ("=":
/// the same).
const TABLE: &str = "
    submit      draft                                               submitted    in_review
    return      in_review,approved                                  returned     draft
    approve     in_review                                           approved     approved
    schedule    draft,approved,unpublished                          scheduled    scheduled
    unschedule  scheduled                                           unscheduled  approved
    publish     draft,approved,unpublished                          published    published
    correct     published                                           corrected    published
    retract     published                                           retracted    retracted
    reinstate   retracted                                           reinstated   published
    revise      draft,in_review,approved,scheduled,unpublished      edited       =
    revise      published                                           updated      =
    restore     draft,in_review,approved,scheduled,unpublished,published  restored  =
    unpublish   published                                           unpublished  unpublished
    delete      draft,in_review,approved,unpublished                deleted      deleted
    undelete    deleted                                             undeleted    before
";

/// An article as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    id: String,
    author: Person,
    state: String,
    before_deletion: String,
    version: u32,
    events: Vec<String>,
}

/// Returns the event and the next state of a command that is legal in the state of an article.
fn legal(known: &Known, command: &str, by_writer: bool) -> Option<(String, String)> {
    for row in TABLE.lines().filter(|row| !row.trim().is_empty()) {
        let columns: Vec<&str> = row.split_whitespace().collect();
        if columns[0] != command || !columns[1].split(',').any(|state| state == known.state) {
            continue;
        }
        let is_edit = matches!(command, "revise" | "restore");
        let is_reviewed = matches!(known.state.as_str(), "in_review" | "approved");
        let next = match columns[3] {
            "=" if is_edit && is_reviewed && by_writer => "draft",
            "=" => &known.state,
            "before" => &known.before_deletion,
            next => next,
        };
        return Some((columns[2].to_owned(), next.to_owned()));
    }
    None
}

/// Returns the code with which a command is refused, if the caller is not allowed to send it.
fn denied(known: &Known, command: &str, who: &Person) -> Option<&'static str> {
    let own = known.author.id == who.id;
    let edits = matches!(who.role, kernel::Role::Editor | kernel::Role::Admin);
    let is_admin = who.role == kernel::Role::Admin;
    if !edits {
        match known.state.as_str() {
            "published" => {}
            "deleted" => return Some("not_found"),
            "retracted" if !own => return Some("retracted"),
            _ if !own => return Some("not_found"),
            _ => {}
        }
        let state = known.state.as_str();
        let may = own
            && match command {
                "submit" => true,
                "revise" | "restore" => ["draft", "in_review", "approved"].contains(&state),
                "delete" => state == "draft",
                _ => false,
            };
        return (!may).then_some("role_required");
    }
    let reviews = ["approve", "schedule", "publish", "correct"].contains(&command);
    let unread = ["revise", "restore"].contains(&command)
        && ["scheduled", "published"].contains(&known.state.as_str());
    (own && !is_admin && (reviews || unread)).then_some("self_review")
}

const COMMANDS: [&str; 14] = [
    "submit",
    "return",
    "approve",
    "schedule",
    "unschedule",
    "publish",
    "correct",
    "retract",
    "reinstate",
    "revise",
    "restore",
    "unpublish",
    "delete",
    "undelete",
];

fn action(command: &str, chance: &mut StdRng) -> Action {
    let number: u32 = chance.random_range(0..1_000);
    match command {
        "submit" => Action::Submit(SubmitArticle {}),
        "return" => Action::Return(ReturnArticle { note: format!("Note {number}") }),
        "approve" => Action::Approve(ApproveArticle {}),
        // Far enough ahead that no test meets it.
        "schedule" => {
            let at_ms = i64::from(3_600_000 + number) + now_ms();
            Action::Schedule(ScheduleArticle { at_ms })
        }
        "unschedule" => Action::Unschedule(UnscheduleArticle {}),
        "publish" => Action::Publish(PublishArticle {}),
        "correct" => Action::Correct(CorrectArticle {
            kind: "note".to_owned(),
            text: format!("It was {number}."),
            patch: None,
        }),
        "retract" => Action::Retract(RetractArticle { reason: format!("Reason {number}") }),
        "reinstate" => Action::Reinstate(ReinstateArticle {}),
        "revise" => Action::Revise(fields(&format!("Title {number}"))),
        "restore" => Action::Restore(RestoreArticle { version: 1 }),
        "unpublish" => Action::Unpublish(UnpublishArticle {}),
        "delete" => Action::Delete(DeleteArticle {}),
        "undelete" => Action::Undelete(UndeleteArticle {}),
        other => panic!("no such command: {other}"),
    }
}

fn now_ms() -> i64 {
    use kernel::Clock;
    kernel::SystemClock.now().millis()
}

/// Sends one random command, and checks that its outcome is the model's.
async fn step(world: &World, known: &mut Known, chance: &mut StdRng) {
    let people = [author(), other_author(), editor(), admin()];
    let who = people.choose(chance).expect("a person");
    let command = COMMANDS.choose(chance).expect("a command");
    let is_stale = chance.random_bool(0.1);
    let expected = if is_stale { known.version + 1 } else { known.version };
    let sent = request(&known.id, exactly(expected), action(command, chance));
    let outcome: Result<Article, Refusal> = world.command(who, sent).await;
    let place = format!("{command} by {} at {known:?}", who.name);
    let by_writer = known.author.id == who.id && who.role != kernel::Role::Admin;
    let too_many = known.events.iter().filter(|event| *event == "corrected").count() >= 20;
    let refused = match (denied(known, command, who), legal(known, command, by_writer)) {
        (Some(code), _) => Some(code),
        (None, _) if is_stale => Some("stale_version"),
        (None, None) => Some("illegal_transition"),
        (None, Some(_)) if *command == "correct" && too_many => Some("invalid"),
        (None, Some((event, state))) => {
            let article = outcome.as_ref().unwrap_or_else(|refused| panic!("{place}: {refused:?}"));
            assert_eq!(
                (article.version, article.state.as_str()),
                (known.version + 1, state.as_str()),
                "{place}"
            );
            if state == "deleted" {
                known.before_deletion = known.state.clone();
            }
            known.version += 1;
            known.state = state;
            known.events.push(event);
            None
        }
    };
    if let Some(code) = refused {
        let refusal = outcome.expect_err(&place);
        assert_eq!(refusal.code.as_str(), code, "{place}");
    }
}

/// Checks that a reader sees what the model says, and nothing else.
async fn check_reader(world: &World, known: &Known) {
    let newest = GetArticleRequest { id: known.id.clone(), min_version: Some(known.version) };
    let seen = match world.call(None, "GetArticle", newest).await {
        Ok(reply) => {
            let article = ArticleReply::decode(reply).expect("a reply").article.expect("an article");
            assert_eq!(article.version, known.version);
            "200".to_owned()
        }
        Err(refusal) => refusal.code.as_str().to_owned(),
    };
    let expected = match known.state.as_str() {
        "published" => "200",
        "retracted" => "retracted",
        _ => "not_found",
    };
    assert_eq!(seen, expected, "{known:?}");
}

async fn run(place: &Place, seed: u64, commands: usize) {
    let mut chance = random(seed);
    let world = World::start(place).await;
    let mut articles: Vec<Known> = Vec::new();
    for turn in 0..commands {
        // An article's history is read whole at the end, so there are some articles and not one.
        if turn % 100 == 0 {
            let writer = [author(), editor()].choose(&mut chance).expect("a writer").clone();
            let draft = world.command(&writer, creation(fields("A draft"), false)).await.expect("a draft");
            articles.push(Known {
                id: draft.id,
                author: writer,
                state: "draft".to_owned(),
                before_deletion: String::new(),
                version: 1,
                events: vec!["drafted".to_owned()],
            });
        }
        let index = chance.random_range(articles.len().saturating_sub(5)..articles.len());
        step(&world, &mut articles[index], &mut chance).await;
        if chance.random_bool(0.1) {
            check_reader(&world, &articles[index]).await;
        }
    }
    for known in &articles {
        check_history(&world, known).await;
    }
    wait_until_projected(&world, &articles).await;
    world.stop().await;
    check_stores(place, &articles).await;
}

/// Checks that no version is skipped, and that each has the event of the model.
async fn check_history(world: &World, known: &Known) {
    let (mut events, mut before) = (Vec::new(), None);
    loop {
        let request = GetHistoryRequest { id: known.id.clone(), limit: 100, before };
        let page = world.call(Some(admin().token()), "GetHistory", request).await.expect("a history");
        let page = GetHistoryReply::decode(page).expect("a reply");
        events.extend(page.entries.into_iter().map(|entry| (entry.version, entry.event)));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    events.reverse();
    let expected: Vec<(u32, String)> = (1..).zip(known.events.clone()).collect();
    assert_eq!(events, expected);
}

async fn wait_until_projected(world: &World, articles: &[Known]) {
    let listed = || async {
        let request = ListArticlesRequest {
            limit: 10_000,
            states: State::ALL.map(|state| state.as_str().to_owned()).to_vec(),
            ..ListArticlesRequest::default()
        };
        let listed = world.list_as(Some(&admin()), request).await.expect("a list").articles;
        let versions: HashMap<String, u32> =
            listed.into_iter().map(|article| (article.id, article.version)).collect();
        articles.iter().all(|known| versions.get(&known.id) == Some(&known.version)).then_some(())
    };
    wait_until("every article is projected", PATIENCE, listed).await;
}

/// Returns every article of the view, with its text.
async fn view(app: &App, articles: &[Known]) -> String {
    let ids: Vec<ArticleId> = articles.iter().map(|known| known.id.parse().expect("an id")).collect();
    let filter = Filter { states: State::ALL.to_vec(), ..Filter::default() };
    let texts = app.pick_texts(Some(&admin().identity()), &ids, filter).await.expect("they are read");
    assert_eq!((texts.articles.len(), texts.cut), (articles.len(), false));
    format!("{:#?}", texts.articles)
}

/// Checks that every chain verifies, and that a replay builds the same view again.
async fn check_stores(place: &Place, articles: &[Known]) {
    let rows = if place.is_on_files() { dump(place).await } else { Vec::new() };
    let app = place.open().await;
    for known in articles {
        let report = app.verify(known.id.parse().expect("an id")).await.expect("the chain verifies");
        assert_eq!(report.versions, known.version as usize);
    }
    let live = view(&app, articles).await;
    app.replay(|_| {}).await.expect("the view is built again");
    assert_eq!(view(&app, articles).await, live);
    shut(app).await;
    if place.is_on_files() {
        assert_eq!(dump(place).await, rows, "byte for byte");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_commands_of_four_people_have_the_outcome_of_the_model() {
    let runs: Vec<_> = (1..=4).map(|seed| async move { run(&Place::new(), seed, 2_500).await }).collect();
    futures::future::join_all(runs).await;
}

#[tokio::test]
#[ignore = "needs postgres and mongodb"]
async fn random_commands_have_the_outcome_of_the_model_on_servers() {
    run(&Place::on_servers().await, 5, 600).await;
}
