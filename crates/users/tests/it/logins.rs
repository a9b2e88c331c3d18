use std::time::{Duration, Instant};

use chassis::{IdentityConfig, Verifier};
use kernel::Role;
use serde_json::json;

use crate::people::{ADMIN, PASSWORD, Users};

#[tokio::test]
async fn a_login_answers_with_a_token_of_15_minutes_and_the_user() {
    let users = Users::new().await;
    let ann = users.register("Ann", "ann@example.org").await.is(201);
    let answer = users.log_in("Ann@Example.org", PASSWORD).await.is(201);
    assert_eq!(answer.json["token_type"], "Bearer");
    assert_eq!(answer.json["expires_in"], 900);
    assert_eq!(answer.json["user"], ann.json);
    assert_eq!(answer.header("cache-control"), "no-store");
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.ends_with("; Path=/users/v1/sessions; Max-Age=2592000; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    assert_eq!(answer.cookie_paths(), ["/users/v1/sessions", "/v1/users/sessions"]);
    assert_eq!(answer.cookie().map(|token| token.len()), Some(64));
    assert!(!answer.text.contains(&answer.cookie().expect("a cookie")), "scripts can't read it");
}

#[tokio::test]
async fn on_https_the_cookie_is_secure() {
    let users = Users::with(|config| config.identity.issuer = "https://news.example".to_owned()).await;
    let answer = users.log_in(ADMIN, PASSWORD).await.is(201);
    assert!(answer.header("set-cookie").ends_with("; HttpOnly; SameSite=Lax; Secure"));
}

#[tokio::test]
async fn other_services_verify_a_token_by_the_published_keys_alone() {
    let users = Users::new().await;
    let identity =
        IdentityConfig { issuer: "http://127.0.0.1:8080".to_owned(), keys: "inproc://users".to_owned() };
    let verifier = Verifier::new(&identity, &users.surroundings).expect("a verifier");
    let admin = users.admin().await;
    let verified = verifier.verify(&admin.token).await.expect("is accepted");
    assert_eq!((verified.user.to_string(), verified.role), (admin.id.clone(), Role::Admin));
    assert!(!verified.history && verified.sections.is_all());
    users.pass(899);
    assert!(verifier.verify(&admin.token).await.is_ok());
    users.pass(1);
    assert!(verifier.verify(&admin.token).await.is_err());
    users.ask("GET", "/me").by(&admin).send().await.refused(401, "invalid_token");
}

#[tokio::test]
async fn a_token_contains_no_email_and_names_its_key() {
    let users = Users::new().await;
    let token = users.admin().await.token;
    let part = |at: usize| {
        use base64::Engine;
        let text = token.split('.').nth(at).expect("a part");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64");
        serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON")
    };
    let keys = users.ask("GET", "/.well-known/jwks.json").send().await.is(200);
    assert!(keys.header("cache-control").starts_with("public, max-age=5"), "{:?}", keys.headers);
    let known = users.ask("GET", "/.well-known/jwks.json").header("if-none-match", keys.header("etag"));
    known.send().await.is(304);
    assert_eq!(part(0)["kid"], keys.json["keys"][0]["kid"]);
    assert_eq!(part(0)["alg"], "EdDSA");
    assert!(!part(1).to_string().contains('@'));
    assert_eq!(part(1)["aud"], "portal");
    let lifetime = part(1)["exp"].as_i64().zip(part(1)["iat"].as_i64()).map(|(exp, iat)| exp - iat);
    assert_eq!(lifetime, Some(900));
    assert!(!keys.text.contains("\"d\""), "the secret half is never published");
}

#[tokio::test]
async fn an_unknown_email_and_a_wrong_password_get_the_same_answer() {
    let users = Users::new().await;
    users.register("Ann", "ann@example.org").await.is(201);
    let mut bodies = Vec::new();
    for (email, password) in
        [("ann@example.org", "wrong horse battery"), ("eve@example.org", PASSWORD), ("ann@example.org", "")]
    {
        let mut answer = users.log_in(email, password).await.refused(401, "wrong_credentials");
        answer.json["request_id"].take();
        bodies.push(answer.json);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn an_unknown_email_takes_as_long_as_a_wrong_password() {
    let users = Users::with_real_hashing(|_| ()).await;
    let mut shortest = [Duration::MAX; 2];
    // In turns, so that other work of the machine affects both.
    for _ in 0..6 {
        for (shortest, email) in shortest.iter_mut().zip([ADMIN, "eve@example.org"]) {
            let started = Instant::now();
            users.log_in(email, "wrong horse battery").await.is(401);
            *shortest = started.elapsed().min(*shortest);
        }
    }
    // Without equal work, the difference would be one hash: a factor of twenty.
    for other in &shortest[1..] {
        assert!(*other * 3 > shortest[0] && shortest[0] * 3 > *other, "{shortest:?}");
    }
}

#[tokio::test]
async fn an_unknown_email_takes_as_long_as_a_known_one_also_after_a_raise_of_the_cost() {
    const COSTS: [(u32, u32); 2] = [(19_456, 2), (19_456, 12)];
    let users = Users::with_real_hashing(|_| ()).await;
    let users =
        users.crash_into(|config| (config.passwords.memory_kib, config.passwords.passes) = COSTS[1]).await;
    // All accounts have the old cost, because there was no login since.
    let mut shortest = [Duration::MAX; 2];
    for _ in 0..5 {
        for (shortest, email) in shortest.iter_mut().zip([ADMIN, "eve@example.org"]) {
            let started = Instant::now();
            users.log_in(email, "wrong horse battery").await.is(401);
            *shortest = started.elapsed().min(*shortest);
        }
    }
    // At the current cost it would take six times as long.
    assert!(shortest[1] < shortest[0] * 3, "{shortest:?}");
    // After the only account is hashed again, unknown accounts have the current cost too.
    users.admin().await;
    users.pass(60);
    users.settle().await;
    for (shortest, email) in shortest.iter_mut().zip([ADMIN, "eve@example.org"]) {
        let started = Instant::now();
        users.log_in(email, "wrong horse battery").await.is(401);
        *shortest = started.elapsed();
    }
    assert!(shortest[1] * 3 > shortest[0], "{shortest:?}");
}

#[tokio::test]
async fn a_login_with_an_invalid_address_is_422_and_counts_as_no_attempt() {
    let users = Users::with(|config| config.throttle.logins_per_address = 2).await;
    for typed in ["", "ann", "ann@", "a b@example.org"] {
        let answer = users.log_in(typed, PASSWORD).await.refused(422, "invalid");
        assert_eq!(answer.faults(), [("/email".to_owned(), "invalid_email".to_owned())], "{typed:?}");
    }
    users.log_in(ADMIN, PASSWORD).await.is(201);
}

#[tokio::test]
async fn an_account_is_found_by_every_form_of_its_email() {
    let users = Users::new().await;
    users.register("Jörg", " jo\u{308}rg@münchen.example ").await.is(201);
    users.settle().await;
    for same in ["jörg@münchen.example", "JO\u{308}RG@xn--mnchen-3ya.example", "\tjörg@MÜNCHEN.example\n"]
    {
        let answer = users.log_in(same, PASSWORD).await.is(201);
        assert_eq!(answer.json["user"]["email"], "jo\u{308}rg@münchen.example");
        users.register("Another", same).await.refused(409, "email_taken");
    }
    for other in
        ["संपर्क@डाटामेल.भारत", "คน@อีเมล.ไทย", "joerg@münchen.example", "weiß@example.org", "weiss@example.org"]
    {
        users.register("Another", other).await.is(201);
        users.log_in(other, PASSWORD).await.is(201);
    }
}

#[tokio::test]
async fn a_password_is_accepted_in_every_unicode_form_of_its_letters() {
    let users = Users::new().await;
    let body = json!({"name": "Ann", "email": "ann@example.org", "password": "Zoe\u{308}s Fahrrad"});
    users.ask("POST", "/").json(&body).send().await.is(201);
    for same in ["Zoe\u{308}s Fahrrad", "Zoës Fahrrad", "Zoës\u{a0}Fahrrad"] {
        users.log_in("ann@example.org", same).await.is(201);
    }
    users.log_in("ann@example.org", "Zoes Fahrrad").await.refused(401, "wrong_credentials");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let (head, tail) = admin.token.rsplit_once('.').expect("three parts");
    let reversed: String = tail.chars().rev().collect();
    for token in [format!("{head}.{reversed}"), format!("{head}."), "abc".to_owned(), String::new()] {
        let answer = users.ask("GET", "/me").header("authorization", &format!("Bearer {token}")).send().await;
        answer.refused(401, "invalid_token");
    }
    users.ask("GET", "/me").send().await.refused(401, "unauthenticated");
    users.ask("GET", "/me").header("cookie", &format!("user_id={}", admin.id)).send().await.is(401);
    users.ask("GET", "/me").header("x-user-id", &admin.id).send().await.is(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_of_logins_readers_are_served_and_refused_logins_get_retry_after() {
    let users = Users::with_real_hashing(|config| config.passwords.waiting = 8).await;
    let admin = users.admin().await;
    users.reader("ann@example.org").await;
    let storm = testkit::at_once(200, |number| {
        // Half of the logins have the right password.
        let email = if number % 2 == 0 { "ann@example.org" } else { "eve@example.org" };
        let body = json!({"email": email, "password": PASSWORD});
        let ask = users.ask("POST", "/sessions").json(&body);
        async move { ask.send().await }
    });
    let reading = async {
        for _ in 0..20 {
            users.ask("GET", "/me").by(&admin).send().await.is(200);
        }
    };
    let (answers, ()) = tokio::join!(storm, reading);
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    assert!(refused >= 150, "{refused}");
    for answer in answers {
        match answer.status.as_u16() {
            201 | 401 => {}
            503 => assert_eq!(answer.refused(503, "busy").header("retry-after"), "1"),
            other => panic!("{other}"),
        }
    }
}
