//! Sessions, from the login to their end.

use serde_json::json;
use testkit::at_once;

use crate::people::{ADMIN, PASSWORD, Person, Users};

const DAY: u64 = 24 * 60 * 60;

/// Returns the sessions of a person: their ids, and whether each is the one of the request.
async fn listed_sessions(users: &Users, person: &Person) -> Vec<(String, bool)> {
    let list = users.ask("GET", &format!("/{}/sessions", person.id)).by(person).send().await.is(200);
    assert!(list.header("cache-control").starts_with("private"));
    let list = list.json.as_array().expect("a bare array").clone();
    list.iter()
        .map(|session| {
            (
                session["id"].as_str().expect("an id").to_owned(),
                session["current"].as_bool().expect("a boolean"),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_refresh_answers_like_a_login_with_the_next_cookie() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.pass(600);
    let answer = users.refresh(&ann.cookie).await.is(200);
    assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json["user"], users.ask("GET", "/me").by(&ann).send().await.json);
    let next = Person::of(&answer);
    assert_ne!(next.cookie, ann.cookie);
    assert_eq!(next.claims()["sid"], ann.claims()["sid"], "it is the same session");
    // The access token of the login expires before the new one.
    users.pass(600);
    users.ask("GET", "/me").by(&ann).send().await.refused(401, "invalid_token");
    users.ask("GET", "/me").by(&next).send().await.is(200);
    users.refresh(&next.cookie).await.is(200);
}

#[tokio::test]
async fn an_old_cookie_ends_the_session_of_the_new_cookie() {
    let users = Users::new().await;
    let (ann, elsewhere) = (users.reader("ann@example.org").await, users.person("ann@example.org").await);
    let second = users.refresh(&ann.cookie).await.is(200).cookie().expect("a cookie");
    let third = users.refresh(&second).await.is(200).cookie().expect("a cookie");
    let refused = users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    assert_eq!(refused.cookie().as_deref(), Some(""), "it is cleared");
    for cookie in [&third, &second, &ann.cookie] {
        users.refresh(cookie).await.refused(401, "invalid_refresh_token");
    }
    // The session on another device goes on.
    users.refresh(&elsewhere.cookie).await.is(200);
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_can_be_repeated_with_its_key() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let refresh = async |users: &Users, cookie: &str, key: &str| {
        let ask = users.ask("POST", "/sessions/refresh").cookie(cookie);
        ask.header("idempotency-key", key).send().await
    };
    let first = refresh(&users, &ann.cookie, "b7c1").await.is(200);
    assert_eq!(first.header("idempotency-replayed"), "");
    // The client repeats the request, although the service was killed meanwhile.
    let users = users.crash().await;
    let again = refresh(&users, &ann.cookie, "b7c1").await.is(200);
    assert_eq!((again.header("idempotency-replayed"), again.cookie()), ("true", first.cookie()));
    let next = first.cookie().expect("a cookie");
    let next = refresh(&users, &next, "b7c2").await.is(200).cookie().expect("a cookie");
    // The next token was used: from now on the old cookie ends the session, with or without the key.
    refresh(&users, &ann.cookie, "b7c1").await.refused(401, "invalid_refresh_token");
    refresh(&users, &next, "b7c3").await.refused(401, "invalid_refresh_token");
    let ann = users.person("ann@example.org").await;
    refresh(&users, &ann.cookie, "two words").await.refused(400, "bad_request");
    refresh(&users, &ann.cookie, "one").await.is(200);
    users.pass(10);
    refresh(&users, &ann.cookie, "another").await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_refresh_that_is_repeated_too_late_ends_the_session() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    for (seconds, status) in [(0, 200), (59, 200), (1, 401)] {
        users.pass(seconds);
        let ask = users.ask("POST", "/sessions/refresh").cookie(&ann.cookie);
        ask.header("idempotency-key", "b7c1").send().await.is(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_that_refresh_in_parallel_get_one_answer_and_stay_logged_in() {
    let users = Users::new().await;
    for tabs in [2, 8] {
        let ann = users.admin().await;
        let answers = at_once(tabs, |_| {
            let ask = users.ask("POST", "/sessions/refresh").cookie(&ann.cookie);
            async move { ask.send().await.is(200) }
        });
        let answers = answers.await;
        for answer in &answers {
            assert_eq!((answer.cookie(), &answer.json), (answers[0].cookie(), &answers[0].json));
        }
        let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == "true");
        assert_eq!(replayed.count(), tabs - 1);
        users.refresh(&answers[0].cookie().expect("a cookie")).await.is(200);
    }
}

#[tokio::test]
async fn the_token_before_the_newest_gets_the_same_answer_for_10_seconds_and_later_it_ends_the_session() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let first = users.refresh(&ann.cookie).await.is(200);
    // This also holds after a crash.
    let users = users.crash().await;
    users.pass(9);
    let again = users.refresh(&ann.cookie).await.is(200);
    assert_eq!(again.cookie(), first.cookie());
    assert_eq!(again.json["access_token"], first.json["access_token"]);
    assert_eq!(again.json["expires_in"], 891, "the remaining life of the same token");
    users.pass(1);
    let refused = users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    assert_eq!(refused.cookie().as_deref(), Some(""));
    users.refresh(&first.cookie().expect("a cookie")).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn the_time_for_tabs_is_a_setting_and_0_gives_them_none() {
    let users = Users::with(|config| config.sessions.grace_seconds = 0).await;
    let ann = users.reader("ann@example.org").await;
    let next = users.refresh(&ann.cookie).await.is(200).cookie().expect("a cookie");
    users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    users.refresh(&next).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_token_that_an_older_release_replaced_is_refused_for_a_short_time_and_ends_nothing() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let next = users.refresh(&ann.cookie).await.is(200).cookie().expect("a cookie");
    users.pass(1);
    let next = users.refresh(&next).await.is(200).cookie().expect("a cookie");
    // The state that a release without support for tabs leaves.
    users.sql("users.db", "update sessions set previous = null, retry_key = null, retry_salt = null").await;
    let refused = users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    assert_eq!(refused.cookie(), None, "it is not cleared");
    users.refresh(&next).await.is(200);
}

#[tokio::test]
async fn a_cookie_of_another_path_with_our_name_does_no_harm_at_any_position() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let send = async |method: &str, path: &str, cookies: &[u8]| {
        let value = http::HeaderValue::from_bytes(cookies).expect("a value");
        users.ask(method, path).raw_header("cookie", value).send().await
    };
    let stranger = "A".repeat(64);
    let mut cookie = ann.cookie.clone();
    for form in [
        "refresh_token=junk; refresh_token=",
        "refresh_token=; x=1;refresh_token=",
        "n=J\u{f6}rg; refresh_token=",
    ] {
        let answer = send("POST", "/sessions/refresh", format!("{form}{cookie}").as_bytes()).await.is(200);
        cookie = answer.cookie().expect("a cookie");
    }
    let latin = [b"name=J\xf6rg; refresh_token=", cookie.as_bytes(), b"; \xff=\xff"].concat();
    cookie = send("POST", "/sessions/refresh", &latin).await.is(200).cookie().expect("a cookie");
    let both = format!("refresh_token={stranger}; refresh_token={cookie}");
    cookie = send("POST", "/sessions/refresh", both.as_bytes()).await.is(200).cookie().expect("a cookie");
    // An old cookie of another path beside the newest one does not prove a copy.
    users.pass(10);
    let both = format!("refresh_token={}; refresh_token={cookie}", ann.cookie);
    cookie = send("POST", "/sessions/refresh", both.as_bytes()).await.is(200).cookie().expect("a cookie");
    // A cookie that is not ours is not cleared, and ends no session.
    for cookies in ["refresh_token=junk", "theme=dark", "refresh_token=\u{f6}"] {
        for (method, path) in [("POST", "/sessions/refresh"), ("DELETE", "/sessions/current")] {
            let refused = send(method, path, cookies.as_bytes()).await.refused(401, "invalid_refresh_token");
            assert_eq!(refused.cookie(), None, "{cookies}");
        }
    }
    let junk_first = format!("refresh_token=junk; refresh_token={cookie}");
    send("DELETE", "/sessions/current", junk_first.as_bytes()).await.is(204);
    users.refresh(&cookie).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn the_cookie_is_set_and_cleared_for_both_prefixes() {
    const BOTH: [&str; 2] = ["/users/v1/sessions", "/v1/users/sessions"];
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let next = users.refresh(&ann.cookie).await.is(200);
    assert_eq!(next.cookie_paths(), BOTH);
    let next = next.cookie().expect("a cookie");
    users.pass(10);
    // A refusal clears it too, and so does a log-out.
    let refused = users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    assert_eq!((refused.cookie().as_deref(), refused.cookie_paths()), (Some(""), BOTH.to_vec()));
    let out = users.ask("DELETE", "/sessions/current").cookie(&next).send().await.is(204);
    assert_eq!((out.cookie().as_deref(), out.cookie_paths()), (Some(""), BOTH.to_vec()));
    let alone = Users::with(|config| config.older_base = String::new()).await;
    assert_eq!(alone.log_in(ADMIN, PASSWORD).await.is(201).cookie_paths(), BOTH[..1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_refreshes_with_one_key_have_one_effect_and_get_the_same_answer() {
    let users = Users::new().await;
    let ann = users.admin().await;
    let answers = at_once(8, |_| {
        let ask = users.ask("POST", "/sessions/refresh").cookie(&ann.cookie);
        let ask = ask.header("idempotency-key", "b7c1");
        async move { ask.send().await.is(200) }
    });
    let answers = answers.await;
    assert!(answers.iter().all(|answer| answer.cookie() == answers[0].cookie()));
    let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == "true").count();
    assert_eq!(replayed, 7);
    users.refresh(&answers[0].cookie().expect("a cookie")).await.is(200);
}

#[tokio::test]
async fn an_unknown_cookie_is_refused_and_ends_nothing() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.ask("POST", "/sessions/refresh").send().await.refused(401, "invalid_refresh_token");
    let mut other = ann.cookie.clone();
    other.replace_range(..1, if other.starts_with('A') { "B" } else { "A" });
    // The id of the session, which others may have seen, does not work either.
    let sid = ann.claims()["sid"].as_str().expect("an id").to_owned();
    for cookie in [other.as_str(), &sid, "x", "' or 1=1 --", &"A".repeat(64), &"A".repeat(8_000)] {
        users.refresh(cookie).await.refused(401, "invalid_refresh_token");
    }
    users.ask("POST", "/sessions/refresh").by(&ann).send().await.refused(401, "invalid_refresh_token");
    users.refresh(&ann.cookie).await.is(200);
}

#[tokio::test]
async fn another_site_can_neither_refresh_nor_end_a_session() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    for (method, path) in [("POST", "/sessions/refresh"), ("DELETE", "/sessions/current")] {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:8081"] {
            let ask = users.ask(method, path).cookie(&ann.cookie).header("origin", origin);
            let answer = ask.send().await.refused(403, "foreign_origin");
            assert_eq!(answer.cookie(), None);
        }
    }
    let ask = users.ask("POST", "/sessions/refresh").cookie(&ann.cookie);
    let ann = Person::of(&ask.header("origin", "http://127.0.0.1:8080").send().await.is(200));
    let home = users.ask("POST", "/sessions/refresh").cookie(&ann.cookie).header("host", "localhost:8080");
    home.header("origin", "http://localhost:8080").send().await.is(200);
}

#[tokio::test]
async fn sessions_are_listed_by_their_owner_the_last_used_first() {
    let users = Users::new().await;
    let phone = users.reader("ann@example.org").await;
    users.pass(60);
    let laptop = users.person("ann@example.org").await;
    users.pass(60);
    let sid = |person: &Person| person.claims()["sid"].as_str().expect("an id").to_owned();
    assert_eq!(listed_sessions(&users, &laptop).await, [(sid(&laptop), true), (sid(&phone), false)]);
    let phone = Person::of(&users.refresh(&phone.cookie).await.is(200));
    assert_eq!(listed_sessions(&users, &phone).await, [(sid(&phone), true), (sid(&laptop), false)]);
    let list = users.ask("GET", &format!("/{}/sessions", phone.id)).by(&phone).send().await;
    let expected = json!({
        "id": sid(&phone), "created_at": "2025-11-21T08:00:00.123Z",
        "last_used_at": "2025-11-21T08:02:00.123Z", "current": true,
    });
    assert_eq!(list.json[0], expected);
}

#[tokio::test]
async fn sessions_are_ended_one_by_one_or_all_together() {
    let users = Users::new().await;
    let (ann, other) = (users.reader("ann@example.org").await, users.person("ann@example.org").await);
    let bob = users.reader("bob@example.org").await;
    let path = |person: &Person, of: &Person| {
        format!("/{}/sessions/{}", person.id, of.claims()["sid"].as_str().expect("an id"))
    };
    let end = async |path: String, by: &Person| users.ask("DELETE", &path).by(by).send().await;
    assert_eq!(end(path(&ann, &other), &ann).await.is(204).cookie(), None);
    end(path(&ann, &other), &ann).await.refused(404, "not_found");
    users.refresh(&other.cookie).await.refused(401, "invalid_refresh_token");
    // The sessions of other accounts can't be ended, by any path.
    end(path(&ann, &bob), &ann).await.refused(404, "not_found");
    end(path(&bob, &bob), &ann).await.refused(403, "role_required");
    end(format!("/{}/sessions/17", ann.id), &ann).await.is(404);
    let third = users.person("ann@example.org").await;
    let all = end(format!("/{}/sessions", ann.id), &ann).await.is(204);
    assert_eq!(all.cookie().as_deref(), Some(""));
    for person in [&ann, &third] {
        users.refresh(&person.cookie).await.refused(401, "invalid_refresh_token");
    }
    users.refresh(&bob.cookie).await.is(200);
}

#[tokio::test]
async fn a_log_out_by_cookie_or_by_token_ends_that_session_alone() {
    let users = Users::new().await;
    let (ann, other) = (users.reader("ann@example.org").await, users.person("ann@example.org").await);
    let out = || users.ask("DELETE", "/sessions/current");
    let answer = out().cookie(&ann.cookie).send().await.is(204);
    assert_eq!(
        answer.header("set-cookie"),
        "refresh_token=; Path=/users/v1/sessions; Max-Age=0; HttpOnly; SameSite=Lax"
    );
    users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    // Once more, as if the answer was lost.
    out().cookie(&ann.cookie).send().await.is(204);
    assert_eq!(listed_sessions(&users, &other).await.len(), 1);
    out().by(&other).send().await.is(204);
    out().by(&other).send().await.is(204);
    users.refresh(&other.cookie).await.refused(401, "invalid_refresh_token");
    out().send().await.refused(401, "invalid_refresh_token");
    // A cookie that was used before may log out, too.
    let third = users.person("ann@example.org").await;
    let next = users.refresh(&third.cookie).await.is(200).cookie().expect("a cookie");
    out().cookie(&third.cookie).send().await.is(204);
    users.refresh(&next).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_session_ends_after_30_unused_days_and_at_the_latest_a_year_after_its_login() {
    let users = Users::new().await;
    let (ann, resting) = (users.admin().await, users.admin().await);
    let mut cookie = ann.cookie;
    for _ in 0..12 {
        users.pass(30 * DAY - 1);
        cookie = users.refresh(&cookie).await.is(200).cookie().expect("a cookie");
    }
    users.refresh(&resting.cookie).await.refused(401, "invalid_refresh_token");
    users.pass(5 * DAY + 11);
    cookie = users.refresh(&cookie).await.is(200).cookie().expect("a cookie");
    users.pass(1);
    users.refresh(&cookie).await.refused(401, "invalid_refresh_token");
    assert_eq!(listed_sessions(&users, &users.admin().await).await.len(), 1);
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_sessions_and_one_more_login_ends_the_longest_unused_one() {
    let users = Users::with(|config| config.sessions.most = 3).await;
    let mut logins = Vec::new();
    for _ in 0..4 {
        logins.push(users.admin().await);
        users.pass(1);
    }
    assert_eq!(listed_sessions(&users, &logins[3]).await.len(), 3);
    users.refresh(&logins[0].cookie).await.refused(401, "invalid_refresh_token");
    users.refresh(&logins[1].cookie).await.is(200);
    users.admin().await;
    users.refresh(&logins[2].cookie).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn an_account_that_waits_in_the_intake_can_have_a_session_immediately() {
    let users = Users::new().await;
    users.register("Ann", "ann@example.org").await.is(201);
    assert_eq!(users.rows("users.db", "select count(*) from users").await, 1, "it waits in the intake");
    let ann = users.person("ann@example.org").await;
    assert_eq!(users.rows("users.db", "select count(*) from users").await, 2);
    assert_eq!(users.rows("users-intake.db", "select count(*) from registrations").await, 0);
    let ann = Person::of(&users.refresh(&ann.cookie).await.is(200));
    users.settle().await;
    users.refresh(&ann.cookie).await.is(200);
}

#[tokio::test]
async fn sessions_survive_a_crash_and_of_their_tokens_only_digests_are_stored() {
    let users = Users::new().await;
    let ann = users.admin().await;
    let users = users.crash().await;
    let next = users.refresh(&ann.cookie).await.is(200).cookie().expect("a cookie");
    let users = users.crash().await;
    use base64::Engine;
    for cookie in [&ann.cookie, &next] {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cookie).expect("base64");
        for entry in std::fs::read_dir(users.folder.path()).expect("a folder") {
            let file = std::fs::read(entry.expect("a file").path()).unwrap_or_default();
            let holds = |part: &[u8]| file.windows(part.len()).any(|window| window == part);
            assert!(!holds(cookie.as_bytes()) && !holds(&bytes[..16]) && !holds(&bytes[16..]));
        }
    }
    users.refresh(&next).await.is(200);
    users.pass(10);
    users.refresh(&next).await.refused(401, "invalid_refresh_token");
    let users = users.crash().await;
    assert_eq!(
        users.rows("users.db", "select count(*) from sessions").await,
        0,
        "an ended session stays ended"
    );
}

#[tokio::test]
async fn with_an_account_its_sessions_are_erased() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).send().await.is(202);
    users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    assert_eq!(users.rows("users.db", "select count(*) from sessions").await, 0);
    users.ask("DELETE", "/sessions/current").cookie(&ann.cookie).send().await.is(204);
}

#[tokio::test]
async fn an_unavailable_store_ends_no_session() {
    let mut users = Users::new().await;
    let admin = users.admin().await;
    users.close_store(0).await;
    let answer = users.refresh(&admin.cookie).await.refused(503, "store_unavailable");
    assert_eq!((answer.cookie(), answer.header("retry-after")), (None, "1"));
    users.log_in(ADMIN, PASSWORD).await.refused(503, "store_unavailable");
    let users = users.crash().await;
    users.refresh(&admin.cookie).await.is(200);
}
