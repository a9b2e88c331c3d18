//! Requests of attacks that once succeeded, against both shapes. What can only be observed in one process,
//! such as its memory and its files, is in `attacks.rs`, `memory.rs`, `erasure.rs` and `operators.rs`; what
//! the gateway does alone is in `deploy/`.
//!
//! One portal serves all steps of a scenario, because starting a fleet is expensive.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use testkit::{PATIENCE, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use system_tests::{Account, PASSWORD, Shape, World, login, register, scenarios};

scenarios! {
    on both shapes:
        requests_of_earlier_attacks_are_refused;
    on the fleet, because "the key is a file of the operator":
        the_signing_key_of_a_fleet_is_private;
}

/// The most bytes of a response to a request of at most 2 kB.
const MAX_REFUSAL: usize = 64 * 1024;
/// The number of logins per minute of one account from one address.
const MAX_LOGINS: usize = 5;

async fn requests_of_earlier_attacks_are_refused(shape: Shape) {
    let limit = MAX_LOGINS.to_string();
    let settings = [("USERS__THROTTLE__LOGINS_PER_ACCOUNT_AND_ADDRESS", limit.as_str())];
    let world = World::with(shape, &settings).await;
    let vera = world.reader("vera").await;
    refusals_do_not_grow_with_the_body(&world).await;
    a_password_in_a_malformed_body_is_never_repeated(&world).await;
    an_id_and_a_version_have_one_spelling(&world, &vera).await;
    a_profile_is_in_no_shared_cache(&world, &vera).await;
    a_public_probe_reveals_only_a_status(&world, shape).await;
    a_client_without_http_1_gets_no_streams_from_the_gateway(&world, shape).await;
    guessing_a_password_does_not_lock_out_the_browser_of_the_owner(&world).await;
}

/// The compressed body has 200,000 unknown members. One error for each would be a response of 14 MB.
async fn refusals_do_not_grow_with_the_body(world: &World) {
    let fields = json!({"name": "Ada", "email": "ada@example.org", "password": PASSWORD}).to_string();
    let body = format!("{},{}}}", fields.trim_end_matches('}'), vec!["\"\":1"; 200_000].join(","));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(body.as_bytes()).expect("the body is compressed");
    let gzip = gzip.finish().expect("the body is compressed");
    assert!(gzip.len() < 2_000, "{}", gzip.len());
    let admin = world.admin().await;
    let article = world.published("sports", "The cup", &["cup"], &admin).await;
    let (client, user) = (world.client(), format!("/users/v1/{}", admin.id));
    let article = format!("/news/v1/sports/{article}");
    for (path, request) in [
        ("a registration", client.post("/users/v1/")),
        ("a login", client.post("/users/v1/sessions")),
        ("a profile", client.put(&user)),
        ("a part of a profile", client.patch(&user)),
        ("a password", client.put(&format!("{user}/password"))),
        ("consent", client.put(&format!("{user}/consent"))),
        ("roles", client.put(&format!("{user}/roles"))),
        ("an erasure", client.delete(&user)),
        ("a draft", client.post("/news/v1/sports")),
        ("a revision", client.put(&article)),
        ("a part of an article", client.patch(&article)),
        ("a restoration", client.post(&format!("{article}/restore"))),
    ] {
        let request = request.token(&admin.token).header("content-encoding", "gzip").if_match(2);
        let response = request.json_text(gzip.clone()).send().await;
        assert!((400..500).contains(&response.status), "{path}: {response}");
        assert!(response.body.len() <= MAX_REFUSAL, "{path}: {} bytes", response.body.len());
    }
}

async fn a_password_in_a_malformed_body_is_never_repeated(world: &World) {
    const SECRET: &str = "8642975310";
    let without_secret = |response: Response| {
        assert!(!response.text().contains(SECRET), "{response}");
    };
    let number = format!(r#"{{"email": "vera@example.org", "password": {SECRET}}}"#);
    let cut = format!(r#"{{"email": "vera@example.org", "password": "{SECRET}"#);
    for (body, status, code) in
        [(number, 422, "invalid"), (cut, 400, "malformed_json"), (format!("\"{SECRET}\""), 422, "invalid")]
    {
        let response = world.client().post("/users/v1/sessions").json_text(body).send().await;
        without_secret(response.expect_problem(status, code));
    }
}

async fn an_id_and_a_version_have_one_spelling(world: &World, vera: &Account) {
    let (client, id) = (world.client(), &vera.id);
    let path = format!("/users/v1/{}", id.to_uppercase());
    let profile = client.get(&path).token(&vera.token).send().await.expect_status(200);
    assert_eq!(profile.json()["id"], id.as_str());
    for other in [format!("%7B{id}%7D"), format!("urn:uuid:{id}"), id.replace('-', "")] {
        client.get(&format!("/users/v1/{other}")).send().await.expect_problem(404, "not_found");
    }
    let rename = client.patch(&format!("/users/v1/{id}")).token(&vera.token).json(&json!({"name": "Vera"}));
    rename.clone().header("if-match", "\"v01\"").send().await.expect_status(400);
    rename.if_match(1).send().await.expect_status(200);
}

async fn a_profile_is_in_no_shared_cache(world: &World, vera: &Account) {
    for token in [None, Some(&vera.token)] {
        let request = world.client().get(&format!("/users/v1/{}", vera.id));
        let profile = token.into_iter().fold(request, |request, token| request.token(token)).send().await;
        let cache_control = profile.header("cache-control").unwrap_or_default().to_owned();
        assert!(cache_control.starts_with("private"), "{profile}: {cache_control}");
        assert!(!cache_control.contains("stale-if-error"), "{cache_control}");
    }
}

async fn a_public_probe_reveals_only_a_status(world: &World, shape: Shape) {
    let probe = world.client().get("/readyz").send().await;
    match shape {
        Shape::OneProcess => assert_eq!(probe.expect_status(200).json(), json!({"status": "ready"})),
        Shape::Fleet => drop(probe.expect_problem(404, "not_found")),
    }
}

/// The gateway speaks only HTTP/1.1 with clients, so that none of them can open streams in the services.
async fn a_client_without_http_1_gets_no_streams_from_the_gateway(world: &World, shape: Shape) {
    if shape == Shape::OneProcess {
        return; // `attacks.rs` opens its streams.
    }
    let address = world.client().base().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.expect("the gateway accepts connections");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.expect("the gateway reads");
    let mut response = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    assert!(end.is_ok(), "the connection was kept");
    // SETTINGS would be the first frame of HTTP/2.
    let text = String::from_utf8_lossy(&response);
    assert!(response.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
}

async fn guessing_a_password_does_not_lock_out_the_browser_of_the_owner(world: &World) {
    let email = "mina@example.org";
    register(world.client(), "Mina", email).await.expect_status(201);
    let log_in = |password: &str| {
        world.client().post("/users/v1/sessions").json(&json!({"email": email, "password": password}))
    };
    let session = log_in(PASSWORD).send().await.expect_status(201);
    let cookie = session.header("set-cookie").expect("a session has a cookie");
    let (cookie, _) = cookie.split_once(';').expect("a cookie has attributes");
    let (name, token) = cookie.split_once('=').expect("a cookie has a name");
    for _ in 0..MAX_LOGINS {
        log_in("wrong horse battery").send().await;
    }
    let refused = log_in(PASSWORD).send().await.expect_problem(429, "too_many_attempts");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    log_in(PASSWORD).cookie(name, token).send().await.expect_status(201);
}

async fn the_signing_key_of_a_fleet_is_private(shape: Shape) {
    let mut world = World::new(shape).await;
    let vera = world.reader("vera").await;
    // Logs in until the account is in the store and no longer in the intake.
    login(world.client(), &vera.email, PASSWORD).await;
    let fleet = world.fleet();
    let key = std::fs::metadata(fleet.setting("users", "SIGNING__KEY_FILE")).expect("the key is a file");
    assert_eq!(key.permissions().mode() & 0o077, 0, "others may use the key");
}
