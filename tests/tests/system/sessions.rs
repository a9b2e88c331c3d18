//! Sessions as browsers meet them: cookies of two prefixes, two tabs, and tokens that outlive their session.

use serde_json::json;
use system_tests::{Account, PASSWORD, Shape, World, scenarios};
use testkit::{Response, at_once};

scenarios! {
    on both shapes:
        a_browser_stays_logged_in_by_either_prefix_and_by_both_in_turn,
        two_tabs_that_refresh_at_the_same_time_stay_logged_in,
        a_foreign_cookie_does_not_hide_the_session,
        a_token_of_an_ended_session_cannot_erase_the_account,
        public_documents_need_no_token;
}

const PREFIXES: [&str; 2] = ["/users/v1", "/v1/users"];

/// The cookies of a browser: name, path and value. A later `Set-Cookie` replaces an earlier one (RFC 6265
/// §5.3).
#[derive(Default)]
struct Jar(Vec<(String, String, String)>);

impl Jar {
    fn keep(&mut self, answer: &Response) {
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let (pair, rest) = line.split_once("; ").expect("attributes");
            let (name, value) = pair.split_once('=').expect("a name and a value");
            let path = rest.split("; ").find_map(|part| part.strip_prefix("Path=")).expect("a path");
            self.0.retain(|(known, of, _)| (known.as_str(), of.as_str()) != (name, path));
            if !line.contains("Max-Age=0;") {
                self.0.push((name.to_owned(), path.to_owned(), value.to_owned()));
            }
        }
    }

    /// Returns the `Cookie` header for an address (RFC 6265 §5.1.4).
    fn sent_to(&self, address: &str) -> String {
        let matches = |path: &str| {
            address.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let sent = self.0.iter().filter(|(_, path, _)| matches(path));
        sent.map(|(name, _, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

async fn register(world: &World, name: &str) -> String {
    let email = format!("{name}@example.org");
    let body = json!({"name": name, "email": email, "password": PASSWORD});
    world.client().post("/users/v1/").json(&body).send().await.expect_status(201);
    email
}

async fn log_in(world: &World, jar: &mut Jar, prefix: &str, email: &str) -> Response {
    let body = json!({"email": email, "password": PASSWORD});
    let answer = world.client().post(&format!("{prefix}/sessions")).json(&body).send().await;
    jar.keep(&answer);
    answer.expect_status(201)
}

async fn refresh(world: &World, jar: &mut Jar, prefix: &str) -> Response {
    let path = format!("{prefix}/sessions/refresh");
    let answer = world.client().post(&path).header("cookie", jar.sent_to(&path)).send().await;
    jar.keep(&answer);
    answer
}

async fn a_browser_stays_logged_in_by_either_prefix_and_by_both_in_turn(shape: Shape) {
    let world = World::new(shape).await;
    let email = register(&world, "vera").await;
    for first in PREFIXES {
        for other in PREFIXES {
            let mut jar = Jar::default();
            log_in(&world, &mut jar, first, &email).await;
            for prefix in [first, other, other, first] {
                refresh(&world, &mut jar, prefix).await.expect_status(200);
            }
            let path = format!("{other}/sessions/current");
            let out = world.client().delete(&path).header("cookie", jar.sent_to(&path)).send().await;
            jar.keep(&out.expect_status(204));
            assert!(jar.0.is_empty(), "{first}, {other}: {:?}", jar.0);
        }
    }
}

async fn two_tabs_that_refresh_at_the_same_time_stay_logged_in(shape: Shape) {
    let world = World::new(shape).await;
    let email = register(&world, "vera").await;
    let mut jar = Jar::default();
    log_in(&world, &mut jar, PREFIXES[0], &email).await;
    let path = "/users/v1/sessions/refresh";
    for _ in 0..3 {
        let cookie = jar.sent_to(path);
        let answers = at_once(2, |_| {
            let call = world.client().post(path).header("cookie", &cookie);
            async move { call.send().await.expect_status(200) }
        });
        for answer in answers.await {
            jar.keep(&answer);
        }
    }
    refresh(&world, &mut jar, PREFIXES[0]).await.expect_status(200);
}

async fn a_foreign_cookie_does_not_hide_the_session(shape: Shape) {
    let world = World::new(shape).await;
    let email = register(&world, "vera").await;
    let mut jar = Jar::default();
    log_in(&world, &mut jar, PREFIXES[0], &email).await;
    let path = "/users/v1/sessions/refresh";
    for neighbours in ["refresh_token=junk", "name=J\u{f6}rg", "refresh_token=; theme=\"dark\""] {
        let cookies = format!("{neighbours}; {}", jar.sent_to(path));
        let answer = world.client().post(path).header("cookie", &cookies).send().await.expect_status(200);
        jar.keep(&answer);
    }
    let refused = world.client().post(path).header("cookie", "refresh_token=junk").send().await;
    let refused = refused.expect_problem(401, "invalid_refresh_token");
    assert_eq!(refused.header("set-cookie"), None);
}

async fn a_token_of_an_ended_session_cannot_erase_the_account(shape: Shape) {
    let world = World::new(shape).await;
    let email = register(&world, "vera").await;
    let vera = |answer: Response| {
        let json = answer.json();
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        (text(&json["user"]["id"]), text(&json["access_token"]))
    };
    let (id, found) = vera(log_in(&world, &mut Jar::default(), PREFIXES[0], &email).await);
    let (_, own) = vera(log_in(&world, &mut Jar::default(), PREFIXES[0], &email).await);
    let client = world.client();
    let change = json!({"current_password": PASSWORD, "password": "another battery"});
    let path = format!("/users/v1/{id}/password");
    client.put(&path).token(&own).json(&change).send().await.expect_status(204);
    let path = format!("/users/v1/{id}");
    let refused = client.delete(&path).token(&found).send().await.expect_problem(401, "invalid_token");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    // The gateway passes the body of a DELETE on.
    let call = client.delete(&path).token(&own).json(&json!({"current_password": "wrong horse"}));
    call.send().await.expect_problem(403, "wrong_password");
    let call = client.delete(&path).token(&own).json(&json!({"current_password": "another battery"}));
    call.send().await.expect_status(202);
}

async fn public_documents_need_no_token(shape: Shape) {
    let world = World::new(shape).await;
    let Account { token, .. } = world.admin().await;
    let broken = format!("{token}x");
    for path in [
        "/users/v1/.well-known/jwks.json",
        "/users/v1/healthcheck",
        "/v1/users/healthcheck",
        "/openapi.json",
        "/asyncapi.json",
        "/docs/",
        "/problems/not_found",
    ] {
        for authorization in [format!("Bearer {broken}"), "Basic dXNlcjpwYXNz".to_owned()] {
            let call = world.client().get(path).header("authorization", &authorization);
            call.send().await.expect_status(200);
        }
    }
    // A public route is anonymous for another scheme, and refuses a token that is not valid.
    let read = || world.client().get("/news/v1/all/1/10");
    read().header("authorization", "Basic dXNlcjpwYXNz").send().await.expect_status(200);
    let refused = read().token(&broken).send().await.expect_problem(401, "invalid_token");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
}
