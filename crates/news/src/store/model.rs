//! The embedded stores as models of the stores on servers: after the same random operations both contain the
//! same.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::{Envelope, Outbox};
use kernel::{UserId, Version};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use testkit::{Folder, random};
use uuid::Uuid;

use super::contract::engines;
use super::contract::sample::{at, drafted, id, story, with_message};
use super::{open_events, open_view};
use crate::domain::{
    Article, Byline, Change, Correction, CorrectionFilter, CorrectionKind, CorrectionPart, Event, Filter,
    Order, Part, Position, Slug, Standing, Start, State, Transition, VisibleVersions,
};
use crate::ports::{AppendError, ChangeWithMessage, CommandKey, EventStore, NewsView};

const ARTICLES: u128 = 6;
const PEOPLE: u128 = 3;

fn person(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(0xa00 + number))
}

fn any_person(chance: &mut StdRng) -> UserId {
    person(chance.random_range(1..=PEOPLE))
}

/// Returns a writer. Half of the writers are never erased, so that there is something to compare.
fn writer(chance: &mut StdRng) -> UserId {
    person(chance.random_range(1..=2 * PEOPLE))
}

/// Returns one of a few keys, or none. There are two hours between two turns, so the time of some answers is
/// over.
fn key(chance: &mut StdRng, turn: i64) -> Option<CommandKey> {
    let now = at(turn * 2 * 3_600_000);
    let key = CommandKey {
        owner: writer(chance),
        command: "ReviseArticle".to_owned(),
        key: format!("key {}", chance.random_range(0..2)),
        fingerprint: format!("request {turn}"),
        at: now,
        until: now.plus(Duration::from_secs(24 * 3_600)),
    };
    chance.random_bool(0.5).then_some(key)
}

/// Returns the writer's name, the name of another person, or a text.
fn byline(chance: &mut StdRng, writer: UserId) -> Byline {
    match chance.random_range(0..3) {
        0 => Byline::of("Bob", writer),
        1 => Byline::of("Ada O'Neill", any_person(chance)),
        _ => Byline::parse("Zoe\u{308}").expect("a byline"),
    }
}

/// Returns a first version, sometimes with the slug of another article.
fn draft(chance: &mut StdRng, number: u128) -> Change {
    let mut change = drafted(number);
    (change.by, change.article.author) = (writer(chance), any_person(chance));
    change.article.byline = byline(chance, change.article.author);
    if chance.random_bool(0.2) {
        change.article.slug = Slug::stored(format!("article-{}", chance.random_range(1..=ARTICLES)));
    }
    change
}

/// Any step that the state machine has, a few milliseconds later, so that times of publication meet.
fn step(chance: &mut StdRng, before: &Article) -> Change {
    let later = before.updated_at.plus(Duration::from_millis(chance.random_range(0..3)));
    let by = writer(chance);
    let title = format!("Title {} \u{202b}שלום\u{202c} '\"\\", chance.random_range(0..1_000));
    let steps = [
        before.revise(story(&title), byline(chance, by), by, later),
        before.publish(by, later),
        before.delete(by, later),
        before.unpublish(by, later),
        before.restore(&drafted(1).article, by, later),
        before.undelete(State::Draft, by, later),
    ];
    let others = [
        Transition::Submit,
        Transition::Return,
        Transition::Approve,
        Transition::Unschedule,
        Transition::Retract,
        Transition::Reinstate,
        Transition::Schedule,
        Transition::Correct,
    ];
    let others = others.map(|transition| before.step(transition, Standing::Reviewer, by, later));
    let mut steps: Vec<Change> = steps.into_iter().chain(others).flatten().map(completed).collect();
    steps.shuffle(chance);
    steps.pop().unwrap_or_else(|| {
        // A deleted article has no next step: the one that it would have had.
        let mut change = drafted(1);
        change.article = Article { version: before.version.next(), ..before.clone() };
        change
    })
}

/// Adds what a scheduled and a corrected article must have.
fn completed(mut change: Change) -> Change {
    let article = &mut change.article;
    match change.event {
        Event::Scheduled => article.scheduled_at = Some(article.updated_at),
        Event::Returned => article.review_note = Some("Who?".to_owned()),
        Event::Corrected => article.corrections.push(Correction {
            kind: CorrectionKind::ALL[article.corrections.len() % CorrectionKind::ALL.len()],
            text: "It was Tuesday.".to_owned(),
            at: article.updated_at,
            version: article.version,
        }),
        _ => {}
    }
    change
}

/// Returns one or two changes of an article: of its newest version, or of one that is no longer the newest.
fn changes(chance: &mut StdRng, number: u128, known: &[Article]) -> Vec<ChangeWithMessage> {
    let first = match known.choose(chance) {
        Some(older) if chance.random_bool(0.2) => step(chance, older),
        Some(_) => step(chance, &known[known.len() - 1]),
        None => draft(chance, number),
    };
    let mut changes = vec![first];
    if chance.random_bool(0.3) {
        changes.push(step(chance, &changes[0].article));
    }
    let mut with_nonce = |change| Change { nonce: Some(Uuid::from_u128(chance.random())), ..change };
    changes.into_iter().map(|change| with_message(with_nonce(change))).collect()
}

fn said(outcome: Result<(), AppendError>) -> String {
    match outcome {
        Ok(()) => "appended".to_owned(),
        Err(AppendError::Store(failure)) => panic!("{}", chassis::causes(&failure)),
        Err(refused) => format!("{refused:?}"),
    }
}

/// Returns everything that a store contains.
async fn dump(store: &dyn EventStore) -> String {
    let mut dump = String::new();
    for number in 1..=ARTICLES + 1 {
        let latest = store.latest(id(number)).await.expect("it is read");
        let links = store.links(id(number), None, 1_000).await.expect("it is read");
        let history = store.history(id(number), VisibleVersions::All, None, 3).await.expect("it is read");
        let seen = store.history(id(number), VisibleVersions::Public, None, 2).await.expect("it is read");
        let second = store.version(id(number), Version::new(2)).await.expect("it is read");
        dump += &format!("{latest:?}\n{links:?}\n{history:?}\n{seen:?}\n{second:?}\n");
    }
    dump += &format!("{:?}\n", store.ids(None, 100).await.expect("a walk"));
    dump += &format!("{:?}\n", store.scheduled(100).await.expect("the schedule"));
    let all = CorrectionPart { filter: CorrectionFilter::default(), after: None, limit: 100 };
    dump += &format!("{:?}\n", store.corrections(&all).await.expect("the corrections"));
    let mut after = None;
    loop {
        let batch = store.walk(after, 2).await.expect("a walk");
        let Some(last) = batch.last() else { break };
        after = Some(last.id);
        dump += &format!("{batch:?}\n");
    }
    dump
}

/// Takes messages out as a relay does. Positions may differ: a server uses up numbers that were rolled back.
async fn send(outbox: &dyn Outbox, limit: u32) -> Vec<Envelope> {
    let unsent = outbox.unsent(limit).await.expect("the outbox answers");
    let (positions, messages): (Vec<i64>, Vec<Envelope>) = unsent.into_iter().unzip();
    outbox.mark_sent(&positions).await.expect("they are taken away");
    messages
}

async fn both_event_stores_say_the_same(seed: u64) {
    let folder = Folder::new();
    let model = open_events(&format!("sqlite:{}", folder.join("events.db").display()), "test").await;
    let opened_model = model.expect("the model opens");
    let (model, waiting) = (opened_model.port.clone(), opened_model.outbox.clone());
    let tested = open_events(&engines::postgres().await, "test").await;
    let opened = tested.expect("the store opens");
    let (tested, tested_waiting) = (opened.port.clone(), opened.outbox.clone());
    let mut chance = random(seed);
    let mut known: BTreeMap<u128, Vec<Article>> = BTreeMap::new();
    for turn in 0..60i64 {
        match chance.random_range(0..100) {
            0..70 => {
                let number = chance.random_range(1..=ARTICLES);
                let known = known.entry(number).or_default();
                let changes = changes(&mut chance, number, known);
                let key = key(&mut chance, turn);
                let outcome = said(model.append(&changes, key.as_ref()).await);
                let same = said(tested.append(&changes, key.as_ref()).await);
                assert_eq!(outcome, same, "seed {seed}, turn {turn}");
                if let Some(key) = &key {
                    let answer = model.answer(key).await.expect("it is read");
                    let same = tested.answer(key).await.expect("it is read");
                    assert_eq!(answer, same, "seed {seed}, turn {turn}");
                }
                if outcome == "appended" {
                    known.extend(changes.into_iter().map(|each| each.change.article));
                }
            }
            70..80 => {
                let now = at(turn * 2 * 3_600_000);
                let forgotten = model.forget_answers(now, 2).await.expect("they are forgotten");
                let same = tested.forget_answers(now, 2).await.expect("they are forgotten");
                assert_eq!(forgotten, same, "seed {seed}, turn {turn}");
            }
            80..85 => {
                let person = any_person(&mut chance);
                model.erase(person).await.expect("it is erased");
                tested.erase(person).await.expect("it is erased");
            }
            _ => {
                let limit = chance.random_range(1..5);
                let sent = send(&*waiting, limit).await;
                assert_eq!(sent, send(&*tested_waiting, limit).await, "seed {seed}, turn {turn}");
            }
        }
    }
    assert_eq!(dump(&*model).await, dump(&*tested).await, "seed {seed}");
    opened_model.close().await;
    opened.close().await;
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn postgres_and_the_embedded_event_store_say_the_same_after_random_operations() {
    for seed in 1..=12 {
        both_event_stores_say_the_same(seed).await;
    }
}

/// Every version of every article, and each a few times.
fn deliveries(chance: &mut StdRng) -> Vec<Article> {
    let mut all = Vec::new();
    for number in 1..=ARTICLES {
        let mut article = draft(chance, number).article;
        for _ in 0..chance.random_range(1..6) {
            all.push(article.clone());
            article = step(chance, &article).article;
        }
        all.push(article);
    }
    all
}

/// Any part of any list.
fn part(chance: &mut StdRng) -> Part {
    let moment = |chance: &mut StdRng| at(chance.random_range(0..12));
    let mut filter = Filter::default();
    if chance.random_bool(0.3) {
        filter.label =
            Some(["budget", " Budget", "o'neill", "nothing"].choose(chance).expect("one").to_string());
    }
    if chance.random_bool(0.3) {
        filter.byline = Some(["Bob", "Ada O'Neill", "Zoë", ""].choose(chance).expect("one").to_string());
    }
    if chance.random_bool(0.3) {
        filter.author = Some(any_person(chance));
    }
    if chance.random_bool(0.1) {
        filter.except_author = Some(any_person(chance));
    }
    filter.returned = chance.random_bool(0.1);
    if chance.random_bool(0.2) {
        filter.from = Some(moment(chance));
    }
    if chance.random_bool(0.2) {
        filter.to = Some(moment(chance));
    }
    if chance.random_bool(0.5) {
        filter.states = State::ALL.into_iter().filter(|_| chance.random_bool(0.5)).collect();
    }
    let place = Position { at: moment(chance), id: id(chance.random_range(1..=ARTICLES + 1)) };
    let start = match chance.random_range(0..3) {
        0 => Start::Offset(chance.random_range(0..5)),
        1 => Start::After(place),
        _ => Start::Before(place),
    };
    let orders = [Order::Newest, Order::Oldest, Order::Updated, Order::Waiting, Order::Due];
    let order = *orders.choose(chance).expect("one");
    Part { filter, order, start, limit: chance.random_range(1..6) }
}

/// The answers that a reader gets.
async fn seen(view: &dyn NewsView, chance: &mut StdRng) -> String {
    let any = |chance: &mut StdRng| id(chance.random_range(1..=ARTICLES + 1));
    let ids = [any(chance), any(chance), any(chance)];
    let part = part(chance);
    let with_content = chance.random_bool(0.5);
    let get = view.get(ids[0]).await.expect("it is read");
    let pick = view.pick(&ids, &part.filter, with_content).await.expect("they are picked");
    let list = view.list(&part).await.expect("a list");
    let mut sizes: Vec<_> =
        view.sizes(&ids, &part.filter).await.expect("they are counted").into_iter().collect();
    sizes.sort_unstable();
    let positions = view.positions(&part).await.expect("a list of places");
    let counts = view.count_states(part.filter.author).await.expect("they are counted");
    format!("{part:?}\n{get:?}\n{pick:?}\n{list:?}\n{sizes:?}\n{positions:?}\n{counts:?}")
}

async fn both_views_say_the_same(seed: u64) {
    let folder = Folder::new();
    let model = open_view(&format!("sqlite:{}", folder.join("view.db").display()), "test").await;
    let (model, tested) = (model.expect("the model opens"), open_view(&engines::mongodb(), "test").await);
    let opened = [model, tested.expect("the view opens")];
    let views = opened.each_ref().map(|opened| opened.port.clone());
    let mut chance = random(seed);
    let deliveries = deliveries(&mut chance);
    let mut building = false;
    for turn in 0..60 {
        let operation = chance.random_range(0..100);
        let some: Vec<Article> = deliveries.sample(&mut chance, 4).cloned().collect();
        let who = any_person(&mut chance);
        let eyes: u64 = chance.random();
        let mut said = Vec::new();
        for view in &views {
            let outcome = match operation {
                0..60 => view.apply(&some[0]).await.map(|newer| newer.to_string()),
                60..64 => view.erase(who).await.map(|()| "erased".to_owned()),
                64..72 => view.begin_rebuild().await.map(|()| "begun".to_owned()),
                72..90 if building => view.load(&some).await.map(|()| "loaded".to_owned()),
                90..100 if building => view.finish_rebuild().await.map(|()| "finished".to_owned()),
                _ => Ok("nothing".to_owned()),
            };
            let outcome = outcome.unwrap_or_else(|failure| panic!("{}", chassis::causes(&failure)));
            said.push((outcome, seen(&**view, &mut random(eyes)).await));
        }
        building = (building || said[0].0 == "begun") && said[0].0 != "finished";
        assert_eq!(said[0], said[1], "seed {seed}, turn {turn}");
    }
    for view in opened {
        view.close().await;
    }
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn mongodb_and_the_embedded_view_say_the_same_after_random_operations() {
    for seed in 1..=12 {
        both_views_say_the_same(seed).await;
    }
}
