//! Caches of every replica and of the gateway. They keep no private response, and no response that is out of
//! date.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use system_tests::{Account, Shape, World, scenarios, text_of};
use testkit::{Client, PATIENCE, Response, at_once, wait_until};
use tokio::task::JoinSet;

scenarios! {
    on both shapes:
        a_draft_is_in_no_shared_cache_and_visible_to_no_reader_while_its_author_edits_it;
    on the fleet, because "one process has no replicas":
        what_is_revised_or_taken_back_is_so_at_every_replica_and_never_again_as_it_was;
}

const DRAFT: &str = "Quicksilver";
const ROUNDS: u32 = 6;

/// Every caller requests every list, through the gateway and without it.
fn addresses(id: &str) -> [String; 9] {
    [
        format!("/sports/{id}"),
        format!("/sports/{id}?min_version=1"),
        format!("/sports/{id}/versions/1"),
        "/sports?state=draft".to_owned(),
        "/all?state=draft,published&include=content".to_owned(),
        "/all".to_owned(),
        "/sports".to_owned(),
        "/sports/1/10".to_owned(),
        "/home".to_owned(),
    ]
}

/// Returns how often a response contains the draft. Only its author may receive it.
fn seen(answer: &Response, caller: Option<&Account>, author: &Account) -> usize {
    let shows = answer.text().contains(DRAFT);
    let may_be_shared = answer.header("cache-control").is_some_and(|control| control.contains("public"));
    assert!(!(shows && may_be_shared), "{answer} may be in a shared cache");
    assert!(
        !(may_be_shared && caller.is_some()),
        "{answer} may be in a shared cache, although the request had a token"
    );
    assert!(!shows || caller.is_some_and(|caller| caller.id == author.id), "{answer} to another caller");
    usize::from(shows)
}

/// Requests every list several times. Returns how often a response contained the draft.
async fn read(door: Client, caller: Option<Account>, author: Account, addresses: [String; 9]) -> usize {
    let mut times_visible = 0;
    for _ in 0..ROUNDS {
        for address in &addresses {
            let call = door.get(address);
            let call = caller.iter().fold(call, |call, caller| call.token(&caller.token));
            times_visible += seen(&call.send().await, caller.as_ref(), &author);
        }
    }
    times_visible
}

async fn a_draft_is_in_no_shared_cache_and_visible_to_no_reader_while_its_author_edits_it(shape: Shape) {
    let world = World::doubled(shape, &[]).await;
    let admin = world.admin().await;
    let author = world.staff("ada", "author", &admin).await;
    let reader = world.consenting_reader("vera").await;
    world.published("sports", "A final", &["tennis"], &admin).await;
    let id = text_of(&world.draft("sports", DRAFT, &["tennis"], &author).await["id"]);
    let path = format!("/news/v1/sports/{id}");
    let own = world.client().get(&format!("{path}?min_version=1")).token(&author.token).send().await;
    assert_eq!(seen(&own.expect_status(200), Some(&author), &author), 1);

    let mut doors = world.orchestrators();
    doors.push(Client::new(&format!("{}/news/v1", world.client().base())));
    let callers = [Some(author.clone()), Some(reader), None];
    let everybody: Vec<_> =
        doors.iter().flat_map(|door| callers.iter().map(|caller| (door.clone(), caller.clone()))).collect();
    let readers = at_once(everybody.len(), |number| {
        let (door, caller) = everybody[number].clone();
        read(door, caller, author.clone(), addresses(&id))
    });
    // Each change is published to every replica, which then evicts the answers that show the article.
    let changes = async {
        for version in 1..=ROUNDS {
            let body = json!({"content": format!("{DRAFT}, the {version}. time.")});
            let patch = world.client().patch(&path).token(&author.token);
            patch.header("if-match", format!("\"v{version}\"")).json(&body).send().await.expect_status(200);
        }
    };
    let (times_visible, ()) = tokio::join!(readers, changes);
    for ((_, caller), times_visible) in everybody.iter().zip(times_visible) {
        let is_author = caller.as_ref().is_some_and(|caller| caller.id == author.id);
        assert_eq!(times_visible > 0, is_author, "an author who is not shown their draft proves nothing");
    }
}

const OLD: &str = "Before the whistle";
const NEW: &str = "After the whistle";
const RUMOUR: &str = "A rumour";

/// A client that requests one address of one replica again and again.
struct Watch {
    replica: Client,
    address: String,
    /// The texts that were visible before and must not come back.
    revised: AtomicBool,
    taken_back: AtomicBool,
}

impl Watch {
    fn new(replica: &Client, address: &str) -> Self {
        let (revised, taken_back) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { replica: replica.clone(), address: address.to_owned(), revised, taken_back }
    }

    /// Requests the address once. Returns the answer, and whether it shows the old text, the new text and the
    /// draft.
    async fn look(&self) -> (Response, [bool; 3]) {
        let answer = self.replica.get(&self.address).send().await;
        assert!(matches!(answer.status, 200 | 404), "{answer}");
        let text = answer.text();
        assert!(!text.contains("\"partial\":true"), "{answer}");
        let [old, new, rumour] = [OLD, NEW, RUMOUR].map(|title| text.contains(title));
        assert!(!(self.revised.load(Ordering::SeqCst) && old), "the old version is back: {answer}");
        assert!(!(self.taken_back.load(Ordering::SeqCst) && rumour), "it was taken back: {answer}");
        self.revised.fetch_or(new, Ordering::SeqCst);
        self.taken_back.fetch_or(!rumour, Ordering::SeqCst);
        (answer, [old, new, rumour])
    }

    /// Requests the address until the answer comes from the cache of the replica, and then checks that
    /// answer.
    async fn keeps(&self, what: &str, shows: [bool; 3]) {
        wait_until(what, PATIENCE, || async {
            let (answer, times_visible) = self.look().await;
            (times_visible == shows && is_kept(&answer)).then_some(())
        })
        .await;
    }
}

/// Returns whether a cache may keep the response. A 404 is never kept.
fn is_kept(answer: &Response) -> bool {
    answer.status == 404 || answer.header("cache-status") == Some("orchestrator; hit")
}

async fn what_is_revised_or_taken_back_is_so_at_every_replica_and_never_again_as_it_was(shape: Shape) {
    // The answers stay fresh for a minute, so a changed answer shows that an event has invalidated the old
    // one.
    let settings = [
        ("ORCHESTRATOR__CACHE__FRESH_MS", "60000"),
        ("ORCHESTRATOR__SECTIONS__SECTION_DEADLINE_MS", "10000"),
    ];
    let world = World::doubled(shape, &settings).await;
    let admin = world.admin().await;
    let revised = world.published_and_visible("sports", OLD, &["cup"], &admin).await;
    let taken_back = world.published_and_visible("sports", RUMOUR, &["cup"], &admin).await;
    let both = [true, false, true];
    let addresses = [
        (format!("/sports/{revised}"), [true, false, false]),
        (format!("/sports/{taken_back}"), [false, false, true]),
        ("/sports?limit=5".to_owned(), both),
        ("/all/1/5".to_owned(), both),
        ("/home".to_owned(), both),
    ];
    let replicas = world.orchestrators();
    for replica in &replicas {
        for (address, before) in &addresses {
            Watch::new(replica, address).keeps("a kept answer", *before).await;
        }
    }
    let mut watches = JoinSet::new();
    for replica in &replicas {
        for (address, [old, _, _]) in &addresses {
            let (watch, after) = (Watch::new(replica, address), [false, *old, false]);
            watches.spawn(async move {
                watch.keeps("the new answer, which is kept", after).await;
                watch
            });
        }
    }
    let patch = world.client().patch(&format!("/news/v1/sports/{revised}")).token(&admin.token);
    let patch = patch.header("if-match", "\"v2\"").json(&json!({"title": NEW}));
    let path = format!("/news/v1/sports/{taken_back}/unpublish");
    let unpublish = world.client().post(&path).token(&admin.token).header("if-match", "\"v2\"");
    let (patch, unpublish) = tokio::join!(patch.send(), unpublish.send());
    patch.expect_status(200);
    unpublish.expect_status(200);
    for watch in watches.join_all().await {
        let (answer, times_visible) = watch.look().await;
        assert!(!times_visible[0] && !times_visible[2], "{answer}");
    }
}
