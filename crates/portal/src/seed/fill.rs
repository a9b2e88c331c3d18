//! Carries a plan out, step by step. Each step looks at what is there first, so that a second run adds nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use kernel::{
    ArticleId, Expected, Fault, Identity, Kind, MessageId, Role, Section, Sections, SessionId, Timestamp,
    Version,
};
use news::app::{Command, NewArticle, NewsError, Target, Which};
use news::domain::{Action, StoryInput, StoryPatch};
use recommendations::MAX_ENTRIES;
use tokio_util::sync::CancellationToken;
use users::{ConsentChoice, Email, Name, Password, Register};
use uuid::Uuid;

use super::accounts::{Account, Accounts};
use super::patience::Patience;
use super::plan::{Person, Plan, Planned, Text, What};
use super::random::Random;
use super::stage::{Desk, Stage};

/// How long a section may take until its readers see what was written: all of it, where the view is slower than the events.
const PATIENCE: Duration = Duration::from_secs(300);

/// A plan on its way into a portal.
pub struct Filling<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// On what.
    pub stage: &'a Stage,
    /// The plan's first moment.
    pub began: Timestamp,
    /// Who is told how far it is.
    pub progress: &'a ProgressBar,
    /// Whether it is to end early.
    pub stop: &'a CancellationToken,
}

/// What is there afterwards.
pub struct Summary {
    /// Articles that readers see.
    pub published: usize,
    /// Articles that they don't.
    pub drafts: usize,
    /// Accounts.
    pub people: usize,
    /// Readings that readers allow to be counted.
    pub readings: usize,
    /// All of it was there before.
    pub was_there: bool,
    /// How to log in.
    pub accounts: Vec<Account>,
}

impl Summary {
    /// Of a plan that was carried out.
    pub fn of(plan: &Plan, accounts: &[Account], was_there: bool) -> Self {
        let published = plan.articles.iter().filter(|article| article.published_at().is_some()).count();
        let allowed = |reading: &&super::plan::Reading| plan.people[reading.reader].history;
        Self {
            published,
            drafts: plan.articles.len() - published,
            people: plan.people.len(),
            readings: plan.readings.iter().filter(allowed).count(),
            was_there,
            accounts: accounts.to_vec(),
        }
    }
}

impl Filling<'_> {
    /// People, then the three sections at once, then what was read.
    ///
    /// # Errors
    /// Where a use case refuses, or the process is asked to stop: what is there is whole, and a later run goes on.
    pub async fn all(&self, accounts: &Accounts) -> anyhow::Result<()> {
        let steps: usize = self.plan.articles.iter().map(|article| article.steps.len()).sum();
        let all = self.plan.people.len() + steps + self.plan.readings.len();
        self.progress.set_length(all as u64);
        self.progress.set_message("people");
        let people = self.people(accounts).await?;
        self.progress.set_message("articles");
        let [famous, politics, sports] = Section::ALL.map(|section| self.section(section, &people));
        tokio::try_join!(famous, politics, sports)?;
        self.progress.set_message("readers");
        self.readings(&people).await
    }

    /// Counts a step, unless somebody has asked to stop.
    fn step(&self) -> anyhow::Result<()> {
        if self.stop.is_cancelled() {
            let (done, all) = (self.progress.position(), self.progress.length().unwrap_or(0));
            bail!("stopped after {done} of {all} steps; the same command goes on where this one ended");
        }
        self.progress.inc(1);
        Ok(())
    }

    fn at(&self, offset: i64) -> Timestamp {
        Timestamp::from_millis(self.began.millis() + offset)
    }

    /// Everybody registers; who works here gets a role, who reads says what they allow.
    async fn people(&self, accounts: &Accounts) -> anyhow::Result<Vec<Identity>> {
        ensure!(
            accounts.account.len() == self.plan.people.len(),
            "the file of accounts belongs to another release"
        );
        let mut people = Vec::new();
        for (person, account) in self.plan.people.iter().zip(&accounts.account) {
            self.step()?;
            self.stage.users_clock.to(self.at(person.joined));
            let done = self.patiently(async || self.person(person, account).await);
            people.push(done.await.context("an account of the seed")?);
        }
        Ok(people)
    }

    async fn person(&self, person: &Person, account: &Account) -> anyhow::Result<Identity> {
        let users = &self.stage.users;
        let email = Email::parse(&person.email)?;
        let user = match users.find_by_email(&email).await? {
            Some(user) => user,
            None => {
                let (name, password) = (Name::parse(&person.name)?, Password::parse(&account.password)?);
                // From nowhere: what comes over no connection is not throttled.
                let from = Ipv4Addr::UNSPECIFIED.into();
                users.register(Register { name, email, password, from }).await?
            }
        };
        let sections = person.section.map_or(Sections::All, |section| Sections::Only([section].into()));
        if user.role != person.role {
            users.set_role(user.id, person.role, sections.clone()).await?;
        }
        let choice = ConsentChoice { personalisation: person.history, history: person.history };
        if person.role == Role::Reader && users.consent(user.id).await?.choice != choice {
            users.set_consent(user.id, choice).await?;
        }
        Ok(Identity {
            user: user.id,
            name: person.name.clone(),
            role: person.role,
            sections,
            history: person.history,
            // Whoever holds the stores needs no login.
            session: SessionId::new(Uuid::nil()),
        })
    }

    /// Every step of one section's articles, in the order of time.
    async fn section(&self, section: Section, people: &[Identity]) -> anyhow::Result<()> {
        let desk = self.stage.desks.get(&section).context("a desk")?;
        let articles: Vec<&Planned> =
            self.plan.articles.iter().filter(|article| article.section == section).collect();
        let mut steps: Vec<(i64, usize, usize)> = Vec::new();
        let mut there = Vec::new();
        for (article, planned) in articles.iter().enumerate() {
            steps.extend(planned.steps.iter().enumerate().map(|(step, each)| (each.at, article, step)));
            there.push(self.patiently(async || self.version(desk, planned, people).await).await?);
        }
        steps.sort_unstable();
        for (at, article, step) in steps {
            self.step()?;
            if there[article] > step {
                continue;
            }
            desk.clock.to(self.at(at));
            let (planned, tried) = (articles[article], AtomicBool::new(false));
            let done = self.patiently(async || {
                // Of an attempt that was not answered nobody knows whether it had its effect.
                if tried.swap(true, Ordering::Relaxed) && self.version(desk, planned, people).await? > step {
                    return Ok(());
                }
                self.act(desk, planned, step, people).await
            });
            done.await.with_context(|| section.to_string())?;
        }
        for planned in articles {
            self.patiently(async || self.seen(desk, planned, people).await).await?;
        }
        Ok(())
    }

    /// Does a step, and again if it was refused for a passing reason.
    async fn patiently<T>(&self, step: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        Patience::default().with(self.progress, self.stop, step).await
    }

    /// How many steps of an article are done: the number of its newest version.
    async fn version(&self, desk: &Desk, planned: &Planned, people: &[Identity]) -> anyhow::Result<usize> {
        // The editor in chief sees drafts, too; and the history is the truth, where the view may lag behind.
        let found = desk.app.history(people.first(), self.id(planned), None, 1).await;
        match found {
            Ok(history) => Ok(usize::try_from(history.newest.number())?),
            Err(error) if error.kind() == Kind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    async fn act(
        &self,
        desk: &Desk,
        planned: &Planned,
        step: usize,
        people: &[Identity],
    ) -> anyhow::Result<()> {
        let id = self.id(planned);
        let expected = Expected::exactly(Version::new(u32::try_from(step)?));
        let existing = |action| Target::Existing { id, expected, action };
        let target = match &planned.steps[step].what {
            What::Draft(text) => {
                desk.ids.plan(id.uuid());
                Target::New(NewArticle { story: input(text, &planned.tags), publish: false })
            }
            What::Revise(text) => existing(Action::Patch(StoryPatch {
                title: Some(text.title.clone()),
                description: Some(text.description.clone()),
                content: Some(text.content.clone()),
                ..StoryPatch::default()
            })),
            What::Publish => existing(Action::Publish),
        };
        let caller = people.get(planned.steps[step].by).cloned();
        let done = desk.app.command(Command { caller, once: None, target }).await?;
        ensure!(done.article.id == id, "a new article did not get the id that was planned");
        Ok(())
    }

    /// Waits until the section shows the last version.
    async fn seen(&self, desk: &Desk, planned: &Planned, people: &[Identity]) -> anyhow::Result<()> {
        let version = Version::new(u32::try_from(planned.steps.len())?);
        let (editor, id) = (people.first(), self.id(planned));
        let end = Instant::now() + PATIENCE;
        loop {
            match desk.app.get(editor, id, Some(version)).await {
                Err(NewsError::NotYetProjected) if Instant::now() < end && !self.stop.is_cancelled() => {}
                outcome => return outcome.map(drop).context("what was written is not seen"),
            }
            // Beside a section that runs two processes project, and on a store that compares and writes in two steps the older version
            // can be left (crates/news/README.md). By now both are done, and a version that is projected once more changes nothing.
            let newest = desk.app.version(editor, id, Which::Version(version)).await?;
            desk.app.project(&newest).await?;
        }
    }

    /// The id that this article gets in every run: its time, and its mark.
    fn id(&self, planned: &Planned) -> ArticleId {
        let at = planned.steps.first().map_or(self.began, |step| self.at(step.at));
        ArticleId::new(id(at, planned.mark))
    }

    /// Readers read, in the order of time. What a reader read before their last reading that is known was done by an earlier run.
    async fn readings(&self, people: &[Identity]) -> anyhow::Result<()> {
        let mut read_until = BTreeMap::new();
        for (index, reader) in people.iter().enumerate().filter(|(_, person)| person.role == Role::Reader) {
            let known = self
                .patiently(async || Ok(self.stage.tastes.labels_of_reader(reader.user, MAX_ENTRIES).await?));
            let (tastes, _) = known.await?;
            read_until.insert(index, tastes.iter().map(|taste| taste.last_read_at()).max());
        }
        for (number, reading) in self.plan.readings.iter().enumerate() {
            self.step()?;
            let (at, reader) = (self.at(reading.at), &people[reading.reader]);
            let done = read_until.get(&reading.reader).copied().flatten().is_some_and(|until| at <= until);
            if done || !reader.history {
                continue;
            }
            let planned = &self.plan.articles[reading.article];
            let desk = self.stage.desks.get(&planned.section).context("a desk")?;
            let found = self.patiently(async || {
                match desk.app.get(Some(reader), self.id(planned), None).await {
                    Ok(article) => Ok(Some(article)),
                    // It was taken back since; nobody can read it any more.
                    Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Gone) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            });
            let Some(article) = found.await? else { continue };
            self.stage.tastes_clock.to(at);
            let labels = article.story.tags.iter().map(kernel::Label::as_str);
            let reading = recommendations::Reading {
                message: MessageId::new(id(at, number as u64)),
                reader: reader.user,
                article: article.id,
                labels: recommendations::Reading::parse_labels(labels)?,
                at,
            };
            self.patiently(async || Ok(self.stage.tastes.count_reading(&reading).await?)).await?;
        }
        Ok(())
    }
}

fn input(text: &Text, tags: &[String]) -> StoryInput {
    StoryInput {
        title: text.title.clone(),
        description: Some(text.description.clone()),
        content: text.content.clone(),
        tags: tags.to_vec(),
        lang: Some("en".to_owned()),
        ..StoryInput::default()
    }
}

/// A UUIDv7 of this moment whose chance is `mark`.
fn id(at: Timestamp, mark: u64) -> Uuid {
    let mut random = Random::of(mark, "id");
    let (one, two) = (random.number().to_be_bytes(), random.number().to_be_bytes());
    let mut chance = [0u8; 10];
    chance[..8].copy_from_slice(&one);
    chance[8..].copy_from_slice(&two[..2]);
    uuid::Builder::from_unix_timestamp_millis(at.millis().unsigned_abs(), &chance).into_uuid()
}
