//! Walks through lists by cursor, while other clients publish and unpublish, and the portal is killed half
//! way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use system_tests::{Account, Shape, World, scenarios, text_of};
use testkit::{Client, NoResponse, wait_until};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

scenarios! {
    on both shapes:
        paging_forth_and_back_returns_each_article_once_while_others_write_and_the_portal_is_killed;
}

const SECTIONS: [&str; 3] = ["famous", "politics", "sports"];
/// The numbers of articles of each section that stay unchanged, and that are unpublished and published again.
const LEFT_ALONE: usize = 8;
const TOUCHED: usize = 2;
/// The longest pause between two changes of other clients.
const PACE: Duration = Duration::from_millis(20);
/// The longest time until writes of other clients are acknowledged again.
const CAUGHT_UP: Duration = Duration::from_secs(30);

/// Other clients, which publish new articles, and unpublish existing ones and publish them again.
struct Others {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU32>,
    tasks: JoinSet<()>,
}

impl Others {
    fn start(client: &Client, admin: &Account, touched: Vec<String>) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let mut tasks = JoinSet::new();
        for (number, section) in SECTIONS.into_iter().enumerate() {
            let (client, admin, stop, done) = (client.clone(), admin.clone(), stop.clone(), done.clone());
            let own: Vec<_> = touched.iter().filter(|path| path.contains(section)).cloned().collect();
            tasks.spawn(async move {
                let mut turn = interval(PACE * SECTIONS.len() as u32);
                turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
                for round in number.. {
                    turn.tick().await;
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    // The portal was killed meanwhile. The outcome does not matter here.
                    if let Ok(true) = change(&client, &admin, section, round, &own[round % own.len()]).await {
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        Self { stop, done, tasks }
    }

    /// Waits until one more change was acknowledged.
    async fn have_gone_on(&self) {
        let wanted = self.done.load(Ordering::SeqCst) + 1;
        wait_until("a change by others", CAUGHT_UP, || {
            std::future::ready((self.done.load(Ordering::SeqCst) >= wanted).then_some(()))
        })
        .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
    }
}

/// Publishes a new article, and unpublishes or publishes the one at `path`. Returns false if one of these was
/// refused.
async fn change(
    client: &Client,
    admin: &Account,
    section: &str,
    round: usize,
    path: &str,
) -> Result<bool, NoResponse> {
    let body = json!({"title": format!("Meanwhile {round}"), "content": "News.", "tags": ["walk"]});
    let new = client.post(&format!("/news/v1/{section}?publish=true")).token(&admin.token).json(&body);
    let new = new.try_send().await?;
    let now = client.get(path).token(&admin.token).try_send().await?;
    let (true, true) = (new.is_success(), now.is_success()) else { return Ok(false) };
    let step = if now.json()["news"]["state"] == "published" { "unpublish" } else { "publish" };
    let seen = now.header("etag").expect("an article has a tag").to_owned();
    let call = client.post(&format!("{path}/{step}")).token(&admin.token).header("if-match", &seen);
    Ok(call.try_send().await?.is_success())
}

/// A walk through one list. Each page is requested from another address of the portal.
struct Walk {
    doors: Vec<Client>,
    list: &'static str,
    pages: usize,
    met: Vec<String>,
    /// The cursors of the last page.
    page: Vec<String>,
    next: Option<String>,
    previous: Option<String>,
}

impl Walk {
    async fn begin(doors: Vec<Client>, list: &'static str) -> Self {
        let (met, page) = (Vec::new(), Vec::new());
        let mut walk = Self { doors, list, pages: 0, met, page, next: None, previous: None };
        walk.read(list.to_owned()).await;
        walk
    }

    /// Goes to the next page. Returns false if there is none.
    async fn forwards(&mut self) -> bool {
        let Some(cursor) = self.next.take() else { return false };
        self.read(format!("{}&cursor={cursor}", self.list)).await;
        true
    }

    /// Goes to the previous page. Returns false if there is none.
    async fn backwards(&mut self) -> bool {
        let Some(cursor) = self.previous.take() else { return false };
        self.read(format!("{}&cursor={cursor}", self.list)).await;
        true
    }

    async fn read(&mut self, path: String) {
        let door = &self.doors[self.pages % self.doors.len()];
        self.pages += 1;
        let list = door.get(&path).send().await.expect_status(200).json();
        assert_eq!(list["partial"], false, "a section is missing: {list}");
        self.page = list["news"].as_array().expect("a list").iter().map(|it| text_of(&it["id"])).collect();
        self.met.extend(self.page.iter().cloned());
        let cursor = |name: &str| list["page"][name].as_str().map(str::to_owned);
        (self.next, self.previous) = (cursor("next_cursor"), cursor("prev_cursor"));
    }

    /// Changes the direction on the last page, whose articles count as seen.
    fn turn(&mut self) {
        self.met.clone_from(&self.page);
    }

    fn has_met_all(&self, all: &[String]) -> bool {
        all.iter().all(|id| self.met.contains(id))
    }

    fn met_each_once(&self, all: &[String], way: &str) {
        let mut times = BTreeMap::<_, u32>::new();
        self.met.iter().for_each(|id| *times.entry(id).or_default() += 1);
        for id in all {
            assert_eq!(times.get(id), Some(&1), "{id} in {} {way}", self.list);
        }
        assert!(times.values().all(|times| *times == 1), "{} {way}: {times:?}", self.list);
    }
}

/// The articles that are published before a walk: the ids of those that do not change, in all sections and in
/// sports, and the paths of the others.
#[derive(Default)]
struct There {
    all: Vec<String>,
    sports: Vec<String>,
    touched: Vec<String>,
}

async fn fill(world: &World, admin: &Account) -> There {
    let mut there = There::default();
    for number in 0..LEFT_ALONE + TOUCHED {
        for section in SECTIONS {
            let id = world.published_and_visible(section, &format!("News {number}"), &["walk"], admin).await;
            // The articles in between, so that a walk sees some of them before the kill and some after it.
            if number % 5 == 2 {
                there.touched.push(format!("/news/v1/{section}/{id}"));
                continue;
            }
            if section == "sports" {
                there.sports.push(id.clone());
            }
            there.all.push(id);
        }
    }
    there
}

async fn paging_forth_and_back_returns_each_article_once_while_others_write_and_the_portal_is_killed(
    shape: Shape,
) {
    // A slow machine must not make a section miss its deadline: a walk that has lost a section continues
    // without it.
    let mut world = World::doubled(shape, &[("ORCHESTRATOR__SECTIONS__SECTION_DEADLINE_MS", "10000")]).await;
    let admin = world.admin().await;
    let There { all, sports, touched } = fill(&world, &admin).await;
    let others = Others::start(world.client(), &admin, touched);
    // One walk goes through the gateway, and one from replica to replica.
    let gateway = vec![Client::new(&format!("{}/news/v1", world.client().base()))];
    let mut walks = [
        (Walk::begin(gateway, "/all?limit=3").await, &all),
        (Walk::begin(world.orchestrators(), "/sports?limit=1").await, &sports),
    ];
    for page in 2.. {
        others.have_gone_on().await;
        let mut goes_on = false;
        for (walk, _) in &mut walks {
            goes_on |= walk.forwards().await;
        }
        if !goes_on {
            break;
        }
        if page == 4 {
            world.kill9();
            world.restart().await;
            has_come_back(&world, &admin).await;
        }
    }
    for (walk, there) in &mut walks {
        walk.met_each_once(there, "forwards");
        walk.turn();
    }
    while walks.iter().any(|(walk, there)| !walk.has_met_all(there)) {
        others.have_gone_on().await;
        for (walk, _) in &mut walks {
            walk.backwards().await;
        }
    }
    others.stop().await;
    for (walk, there) in &mut walks {
        while walk.backwards().await {}
        walk.met_each_once(there, "backwards");
    }
}

/// Waits until the gateway uses the new processes. For two seconds it sends no request to an instance that
/// has failed.
async fn has_come_back(world: &World, admin: &Account) {
    wait_until("a gateway that has found them again", CAUGHT_UP, || async {
        let answer = world.client().get("/news/v1/all?limit=1").token(&admin.token).send().await;
        (answer.status == 200).then_some(())
    })
    .await;
}
