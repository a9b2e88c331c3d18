//! The metrics in a scrape of a portal in which every counted event has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::{Clock, SystemClock};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use system_tests::{ADMIN, Account, SERVICES, Shape, World, scenarios, text};
use testkit::{Client, PATIENCE, wait_until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

scenarios! {
    on both shapes:
        what_is_described_is_counted_and_what_is_counted_is_described;
    on one process, because "a service of a fleet counts on its own port, which the gateway closes (tests/deploy)":
        what_is_counted_is_on_the_internal_port_and_not_on_the_gateways;
}

/// Metrics that appear in one shape only, with the reason.
const ONLY_IN_ONE_PROCESS: [(&str, &str); 4] = [
    ("bus_redelivered_total", "a file can be kept busy from outside"),
    ("bus_dead_total", "a poison message can be written into a file"),
    ("article_read_dropped_total", "the setting of the queue is the orchestrator's alone"),
    ("listener_bound_total", "the gateway takes in a whole body before it passes it on"),
];
const ONLY_IN_A_FLEET: [(&str, &str); 1] = [("retry_total", "a section of one process can't go away")];

async fn what_is_counted_is_on_the_internal_port_and_not_on_the_gateways(shape: Shape) {
    let world = World::with(shape, &[("PROCESS__INTERNAL_LISTEN", "127.0.0.1:0")]).await;
    world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    world.client().get("/news/v1/sports/no-such-id").send().await.expect_status(404);
    world.client().get("/metrics").send().await.expect_problem(404, "not_found");
    let internal = internal(&world);
    let text = scraped(&internal).await;
    for wanted in [
        r#"http_server_request_duration_seconds_count{service="orchestrator",route="/all/{page}/{limit}",method="GET",status="200"} 1"#,
        r#"http_server_request_duration_seconds_bucket{service="orchestrator",route="/all/{page}/{limit}",method="GET",status="200",le="10"} 1"#,
        r#"cache_requests_total{cache="list",outcome="miss"} 1"#,
        r#"breaker_state{dependency="sports-news:reads"} 0"#,
        "build_info{version=",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    // The label of a route is its template, so that an invented address creates no new line.
    assert!(!text.contains("no-such-id"), "{text}");
    internal.get("/livez").send().await.expect_status(200);
}

async fn what_is_described_is_counted_and_what_is_counted_is_described(shape: Shape) {
    let mut settings = vec![("PROCESS__EDGE__THROTTLE__WRITES", r#"["100/minute"]"#)];
    if shape == Shape::OneProcess {
        settings.push(("PROCESS__INTERNAL_LISTEN", "127.0.0.1:0"));
        settings.push(("ORCHESTRATOR__READINGS__QUEUE", "1"));
        settings.push(("PROCESS__EDGE__RECEIVING_PER_ADDRESS", "1"));
    }
    let mut world = World::with(shape, &settings).await;
    use_every_service(&world).await;
    let scrape = match shape {
        Shape::OneProcess => {
            let internal = internal(&world);
            what_only_one_process_shows(&mut world, &internal).await;
            a_client_sends_two_bodies_at_the_same_time(&world, &internal).await;
            exceed_the_limit_of_writes(&world).await;
            let text = scraped(&internal).await;
            assert!(text.contains(r#"login_total{outcome="wrong"} 1"#), "{text}");
            Scrape::read(&text)
        }
        Shape::Fleet => {
            exceed_the_limit_of_writes(&world).await;
            let mut scrape = fleet(&mut world).await;
            pools_are_seen(&scraped(&service(&mut world, "sports-news")).await);
            world.fleet().kill9("sports-news");
            let orchestrator = service(&mut world, "orchestrator");
            // A call to an unavailable section is retried once, if the first attempt has left enough time.
            let text = wait_until("a call that is made again", PATIENCE, || async {
                world.client().get("/news/v1/sports/1/10").send().await.expect_status(503);
                let text = scraped(&orchestrator).await;
                text.contains("retry_total{").then_some(text)
            });
            scrape.add(&text.await);
            scrape
        }
    };
    let elsewhere: BTreeSet<&str> = match shape {
        Shape::OneProcess => ONLY_IN_A_FLEET.iter().map(|(name, _)| *name).collect(),
        Shape::Fleet => ONLY_IN_ONE_PROCESS.iter().map(|(name, _)| *name).collect(),
    };
    scrape.is_what_is_described(&described(), &elsewhere);
}

/// Lets the portal publish an article at its scheduled time.
async fn publish_on_schedule(world: &World, admin: &Account) {
    let draft = world.draft("sports", "Soon", &["story"], admin).await;
    let path = format!("/news/v1/sports/{}", draft["id"].as_str().expect("an id"));
    let at = SystemClock.now().plus(Duration::from_secs(2));
    let schedule = world.client().post(&format!("{path}/schedule")).token(&admin.token).if_match(1);
    schedule.json(&json!({"at": at.to_string()})).send().await.expect_status(200);
    wait_until("the scheduled article", PATIENCE, || async {
        world.client().get(&path).send().await.is_success().then_some(())
    })
    .await;
}

/// Registers, logs in with a right and a wrong password, publishes, reads, and requests the front page.
async fn use_every_service(world: &World) {
    let admin = world.admin().await;
    let wrong = json!({"email": ADMIN, "password": "not the right one"});
    world.client().post("/users/v1/sessions").json(&wrong).send().await.expect_status(401);
    let reader = world.consenting_reader("ida").await;
    for section in ["famous", "politics", "sports"] {
        let id = world.published(section, "A story", &["story"], &admin).await;
        read(world, section, &id, &reader).await;
    }
    publish_on_schedule(world, &admin).await;
    world.client().get("/news/v1/live").send().await.expect_status(200);
    world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    // The front page waits 300 ms for each section. On a busy machine, the first request of a new portal
    // takes longer.
    wait_until("a front page", PATIENCE, || async {
        let home = world.client().get("/news/v1/home").token(&reader.token);
        home.send().await.is_success().then_some(())
    })
    .await;
}

/// More bodies at the same time than one client may send.
async fn a_client_sends_two_bodies_at_the_same_time(world: &World, internal: &Client) {
    let address = world.client().base().trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&address).await.expect("connects");
    let head = "POST /users/v1/sessions HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.expect("sends");
    wait_until("a body beside another one", PATIENCE, || async {
        world.client().post("/users/v1/sessions").json(&json!({})).send().await;
        let text = scraped(internal).await;
        text.contains(r#"listener_bound_total{bound="receiving_per_address"}"#).then_some(())
    })
    .await;
}

/// More writes than one client may send.
async fn exceed_the_limit_of_writes(world: &World) {
    let nobody = (0..200).map(|_| world.client().delete("/users/v1/sessions/current").send());
    let answers = futures::future::join_all(nobody).await;
    assert!(answers.iter().any(|answer| answer.status == 429), "no write was refused");
}

async fn read(world: &World, section: &str, id: &str, reader: &Account) {
    let path = format!("/news/v1/{section}/{id}?min_version=2");
    world.client().get(&path).token(&reader.token).send().await.expect_status(200);
}

/// Provokes readings that are dropped, a message that is delivered again, and one that cannot be decoded.
async fn what_only_one_process_shows(world: &mut World, internal: &Client) {
    let admin = world.admin().await;
    let reader = world.consenting_reader("odo").await;
    let counted = |name: &'static str| async move { Scrape::read(&scraped(internal).await).sum(name) > 0.0 };
    let held = world.hold_recommendations().await;
    let id = world.published("sports", "A match", &["match"], &admin).await;
    read(world, "sports", &id, &reader).await;
    let failed = r#"bus_handle_duration_seconds_count{queue="recommendations.reading",outcome="failed"}"#;
    wait_until("a reading that is not stored", PATIENCE, || async {
        let text = scraped(internal).await;
        text.lines().any(|line| line.starts_with(failed) && !line.ends_with(" 0")).then_some(())
    })
    .await;
    drop(held);
    wait_until("a reading that comes again", PATIENCE, || async {
        counted("bus_redelivered_total").await.then_some(())
    })
    .await;
    wait_until("readings that find no room", PATIENCE, || async {
        let clicks = (0..15).map(|_| read(world, "sports", &id, &reader));
        futures::future::join_all(clicks).await;
        counted("article_read_dropped_total").await.then_some(())
    })
    .await;
    let file = SqliteConnectOptions::new().filename(world.portal().data().join("bus.db"));
    let mut file = file.connect().await.expect("the file opens");
    sqlx::query(
        "insert into delivery
             (queue, due_at, message_id, kind, routing_key, source, subject, version, happened_at, trace, body)
         select id, 0, randomblob(16), 'portal.events.v1.ArticleRead', 'reading.sports.read', 'test', '', 1, 0, '', x'ff'
         from queue where name = 'recommendations.reading'",
    )
    .execute(&mut file)
    .await
    .expect("it is written");
    file.close().await.expect("the file closes");
    wait_until("a dead letter", PATIENCE, || async {
        // A row that was written without the store wakes no relay: the relay finds it with the next message.
        read(world, "sports", &id, &reader).await;
        counted("bus_dead_total").await.then_some(())
    })
    .await;
}

/// The internal port of the one process.
fn internal(world: &World) -> Client {
    let lines = world.output();
    let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.rfind(|line| line["message"] == "metrics are served").expect("a line says where");
    Client::new(&format!("http://{}", line["address"].as_str().expect("an address")))
}

/// A service of the fleet, beside the gateway.
fn service(world: &mut World, name: &str) -> Client {
    Client::new(&format!("http://{}", world.fleet().setting(name, "PROCESS__LISTEN")))
}

/// Returns the metrics of all services of the fleet.
async fn fleet(world: &mut World) -> Scrape {
    let mut all = Scrape::default();
    for name in SERVICES {
        let client = service(world, name);
        all.add(&scraped(&client).await);
    }
    all
}

async fn scraped(client: &Client) -> String {
    client.get("/metrics").send().await.expect_status(200).text()
}

/// A section of the fleet has connections to both of its databases.
#[track_caller]
fn pools_are_seen(text: &str) {
    for pool in ["sports-news:postgres", "sports-news:mongodb"] {
        let begins = format!("db_pool_connections{{pool=\"{pool}\",");
        let open = text.lines().filter(|line| line.starts_with(&begins));
        let open: f64 = open.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
        assert!(open >= 1.0, "{pool} has no connection in\n{text}");
    }
}

/// Returns the metrics of `docs/metrics.md`: kind and labels by name.
fn described() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = text("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let (metric, rest) = row.split_once("` | ").expect("a name and a kind");
        let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
        let labels = labels.trim_end_matches('}').split(", ").filter(|label| !label.is_empty());
        let kind = rest.split(" |").next().expect("a kind");
        (name.to_owned(), (kind.to_owned(), labels.map(str::to_owned).collect()))
    };
    rows.map(row).collect()
}

/// The metrics of a portal in one or several scrapes.
#[derive(Default)]
struct Scrape {
    /// Kinds by name.
    kinds: BTreeMap<String, String>,
    /// Series: the name in the line, the names of its labels, the value.
    series: Vec<(String, BTreeSet<String>, f64)>,
}

impl Scrape {
    fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        scrape.add(text);
        scrape
    }

    fn add(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a kind");
                self.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                // The values of our labels contain neither quotes nor commas.
                let labels =
                    labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
                self.series.push((name.to_owned(), labels.collect(), value.parse().expect("a number")));
            }
        }
    }

    fn sum(&self, name: &str) -> f64 {
        self.series.iter().filter(|(series, ..)| series == name).map(|(.., value)| value).sum()
    }

    #[track_caller]
    fn is_what_is_described(
        &self,
        described: &BTreeMap<String, (String, BTreeSet<String>)>,
        elsewhere: &BTreeSet<&str>,
    ) {
        for (name, kind) in &self.kinds {
            let (expected, _) =
                described.get(name).unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
            assert_eq!(expected, kind, "{name}");
        }
        for (name, (kind, labels)) in described {
            let value = if kind == "histogram" { self.sum(&format!("{name}_count")) } else { self.sum(name) };
            let there = match kind.as_str() {
                "gauge" => self.kinds.contains_key(name),
                // In whole seconds, so it is 0 for a new process.
                _ if name == "process_cpu_seconds_total" => self.kinds.contains_key(name),
                // The buffers of a connection hold more events than may wait; the orchestrator's own tests
                // disconnect a slow client.
                _ if name == "live_slow_clients_total" => self.kinds.contains_key(name),
                // Only a log whose reader fails loses lines; `outputs.rs` tests that.
                _ if name == "log_lines_lost_total" => true,
                _ => value > 0.0,
            };
            assert!(
                there || elsewhere.contains(name.as_str()),
                "{name} is described and not counted: {value}"
            );
            let own = self.series.iter().filter(|(series, ..)| {
                series.strip_prefix(name.as_str()).is_some_and(|rest| ["", "_count"].contains(&rest))
            });
            for (_, given, _) in own {
                assert_eq!(given, labels, "the labels of {name}");
            }
        }
    }
}
