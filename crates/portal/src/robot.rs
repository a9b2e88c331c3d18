//! `portal robot URL`: plays the original's end-to-end story (three articles, one reader, three labels)
//! against any running portal, adapted to the deliberate differences of this portal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use kernel::Section;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::first_admin;

/// The portal and the admin that the robot works with.
#[derive(Debug, Args)]
pub struct Flags {
    /// The address of the portal, such as http://127.0.0.1:8080.
    url: String,
    /// The e-mail of an admin, who publishes the articles.
    #[arg(long, default_value = first_admin::EMAIL, env = "ROBOT_ADMIN_EMAIL")]
    admin_email: String,
    /// The file with the password of the admin.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "data/initial-admin-password",
        env = "ROBOT_ADMIN_PASSWORD_FILE"
    )]
    admin_password_file: PathBuf,
}

/// The longest time for an effect that crosses the bus.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Plays the story and prints each step. The first step that fails ends the story. In any case the robot
/// removes its articles afterwards.
///
/// # Errors
/// Fails with the step that failed and the answer.
pub async fn play(flags: &Flags) -> anyhow::Result<()> {
    let password = std::fs::read_to_string(&flags.admin_password_file).with_context(|| {
        format!(
            "{} can't be read; set the path with --admin-password-file",
            flags.admin_password_file.display()
        )
    })?;
    let robot = Robot { base: flags.url.trim_end_matches('/').to_owned(), http: client()? };
    let admin = robot.login(&flags.admin_email, password.trim()).await.context("the admin logs in")?.0;
    done("the admin logs in");
    let mut articles = Vec::new();
    let played = robot.story(&admin, &mut articles).await;
    let removed = robot.remove(articles, &admin).await.context("the articles are removed");
    // The first failure matters more.
    played.and(removed)?;
    done("the story is complete");
    Ok(())
}

fn client() -> anyhow::Result<Client> {
    Ok(chassis::own_client(Duration::from_secs(10))?)
}

struct Robot {
    base: String,
    http: Client,
}

/// An article of the robot.
struct Article {
    section: Section,
    id: String,
    /// The last known version: 1 is the draft, 2 the published version.
    version: u64,
}

impl Article {
    fn path(&self) -> String {
        format!("/news/v1/{}/{}", self.section, self.id)
    }
}

struct Answer {
    status: StatusCode,
    body: Value,
}

fn done(step: &str) {
    chassis::say(format_args!("ok  {step}"));
}

impl Robot {
    /// Plays the story, and records each article as soon as it exists.
    async fn story(&self, admin: &str, articles: &mut Vec<Article>) -> anyhow::Result<()> {
        let run = run_id();
        let email = format!("robot-{run}@portal.internal");
        let password = format!("robot {run}");
        let body = json!({"name": "Robot Reader", "email": email, "password": password});
        let reader = self.expect(Method::POST, "/users/v1/", None, Some(body), StatusCode::CREATED).await?;
        let id = reader["id"].as_str().context("the new account has an id")?.to_owned();
        ensure!(reader.get("password").is_none(), "the answer to a registration contains a password");
        done("a reader registers");

        let (token, _) = self.login(&email, &password).await.context("the reader logs in immediately")?;
        let consent = json!({"personalisation": true, "history": true});
        let path = format!("/users/v1/{id}/consent");
        self.expect(Method::PUT, &path, Some(&token), Some(consent), StatusCode::OK).await?;
        // Consent to history is a claim of the token, so it takes effect with the next login.
        let (token, _) = self.login(&email, &password).await?;
        done("the reader consents and logs in again");

        for section in Section::ALL {
            articles.push(self.draft(section, &run, admin).await?);
            let Some(article) = articles.last_mut() else { continue };
            self.publish(article, admin).await?;
            let path = format!("{}?min_version=2", article.path());
            let read = self.expect(Method::GET, &path, Some(&token), None, StatusCode::OK).await?;
            ensure!(read["news"]["id"] == article.id.as_str(), "the answer contains another article");
            done(&format!("an article of {section} is published and read"));
        }

        let listed = self.expect(Method::GET, "/news/v1/all/1/3", None, None, StatusCode::OK).await?;
        ensure!(
            listed["news"].as_array().is_some_and(|news| news.len() == 3),
            "the mixed list does not have three articles"
        );
        done("the three are in the mixed list");

        let path = format!("/recommendation/v1/user/{id}");
        let labels = |body: &Value| body.as_array().map_or(0, Vec::len);
        self.until(&path, &token, "three labels are recommended", |answer| labels(&answer.body) == 3).await?;

        // A story that took longer than 10 minutes needs the password.
        let body = json!({"current_password": password});
        self.expect(
            Method::DELETE,
            &format!("/users/v1/{id}"),
            Some(&token),
            Some(body),
            StatusCode::ACCEPTED,
        )
        .await?;
        self.until(&path, admin, "after the erasure nothing of the reader remains", |answer| {
            matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) || labels(&answer.body) == 0
        })
        .await
    }

    async fn draft(&self, section: Section, run: &str, admin: &str) -> anyhow::Result<Article> {
        let body = json!({
            "title": format!("The robot visits {section}"),
            "content": "It came, it read, it left.",
            "tags": [format!("robot-{section}-{run}")],
        });
        let path = format!("/news/v1/{section}");
        let draft = self.expect(Method::POST, &path, Some(admin), Some(body), StatusCode::CREATED).await?;
        let id = draft["news"]["id"].as_str().context("a draft has an id")?.to_owned();
        Ok(Article { section, id, version: 1 })
    }

    async fn publish(&self, article: &mut Article, admin: &str) -> anyhow::Result<()> {
        let published = self.step(article, "publish", admin).await?;
        ensure!(published["news"]["state"] == "published", "the article is {}", published["news"]["state"]);
        Ok(())
    }

    /// Calls one command on an article.
    async fn step(&self, article: &mut Article, step: &str, admin: &str) -> anyhow::Result<Value> {
        let (path, body) = (format!("{}/{step}", article.path()), json!({"version": article.version}));
        let answer = self.expect(Method::POST, &path, Some(admin), Some(body), StatusCode::OK).await?;
        article.version += 1;
        Ok(answer)
    }

    /// Unpublishes the published articles, and deletes all.
    async fn remove(&self, articles: Vec<Article>, admin: &str) -> anyhow::Result<()> {
        for mut article in articles {
            if article.version > 1 {
                self.step(&mut article, "unpublish", admin).await?;
            }
            let body = json!({"version": article.version});
            self.expect(Method::DELETE, &article.path(), Some(admin), Some(body), StatusCode::OK).await?;
        }
        done("the articles are removed");
        Ok(())
    }

    async fn login(&self, email: &str, password: &str) -> anyhow::Result<(String, Value)> {
        let body = json!({"email": email, "password": password});
        let session =
            self.expect(Method::POST, "/users/v1/sessions", None, Some(body), StatusCode::CREATED).await?;
        let token = session["access_token"].as_str().context("a login answers an access token")?.to_owned();
        Ok((token, session))
    }

    async fn until(
        &self,
        path: &str,
        token: &str,
        step: &str,
        holds: impl Fn(&Answer) -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let answer = self.request(Method::GET, path, Some(token), None).await?;
            if holds(&answer) {
                done(&format!("{step} ({} ms)", started.elapsed().as_millis()));
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{step}: this did not happen within 10 s; GET {path} answered {}",
                answer.body
            );
            chassis::pause(POLL_INTERVAL).await;
        }
    }

    async fn expect(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
        status: StatusCode,
    ) -> anyhow::Result<Value> {
        let answer = self.request(method.clone(), path, token, body).await?;
        ensure!(answer.status == status, "{method} {path} answered {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response =
            request.send().await.with_context(|| format!("{}{path} does not answer", self.base))?;
        let status = response.status();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}

/// Returns an id that makes the names of each run unique.
fn run_id() -> String {
    kernel::random_hex(6)
}
