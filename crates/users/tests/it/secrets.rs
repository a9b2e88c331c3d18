//! Passwords and tokens never appear in answers, files or logs.

use serde_json::json;

use crate::log;
use crate::people::{PASSWORD, Users};

const CANARY: &str = "canary-7f3a9b-singing";
const SECOND_CANARY: &str = "canary-52c1d0-singing";

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_password_is_in_no_answer_no_file_and_no_log() {
    let users = Users::new().await;
    let mut answers = Vec::new();

    let body = json!({"name": "Ann", "email": "ann@example.org", "password": CANARY});
    let registration = users.ask("POST", "/").json(&body).send().await.is(201);
    let path = format!("/{}", registration.json["id"].as_str().expect("an id"));
    answers.push(registration);
    answers.push(users.ask("POST", "/").json(&body).send().await.is(409));
    let odd = json!({"name": "", "email": "x", "password": CANARY, "repeat_password": CANARY});
    answers.push(users.ask("POST", "/").json(&odd).send().await.is(422));
    let login = users.log_in("ann@example.org", CANARY).await.is(201);
    let cookie = login.cookie().expect("a cookie");
    let bearer = format!("Bearer {}", login.json["access_token"].as_str().expect("a token"));
    answers.push(login);
    answers.push(users.log_in("eve@example.org", CANARY).await.is(401));
    users.settle().await;
    for (current, status) in [(PASSWORD, 403), (CANARY, 200)] {
        let change = json!({"password": SECOND_CANARY, "current_password": current});
        let ask =
            users.ask("PATCH", &path).header("authorization", &bearer).header("if-match", "*").json(&change);
        answers.push(ask.send().await.is(status));
    }
    answers.push(users.ask("GET", &path).header("authorization", &bearer).send().await.is(200));
    let next = users.refresh(&cookie).await.is(200);
    let cookies = [cookie.clone(), next.cookie().expect("a cookie")];
    answers.push(next);
    users.pass(10);
    answers.push(users.refresh(&cookie).await.is(401));
    answers.push(users.ask("GET", "/all").by(&users.admin().await).send().await.is(200));

    for answer in &answers {
        assert!(!answer.text.contains("canary") && !answer.text.contains("$argon2"), "{}", answer.text);
        assert!(!format!("{:?}", answer.headers).contains("canary"));
    }
    for entry in std::fs::read_dir(users.folder.path()).expect("a folder") {
        let path = entry.expect("a file").path();
        let bytes = std::fs::read(&path).expect("readable");
        assert!(!contains(&bytes, "canary"), "{}", path.display());
    }
    // The log of all tests so far, not only of this one.
    let log = String::from_utf8_lossy(&log::so_far()).into_owned();
    assert!(log.contains("/sessions"));
    for secret in ["canary", "$argon2", "@example.org", "eyJ", &cookies[0], &cookies[1]] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
