//! Carries a plan out, step by step. Each step first looks at what exists, so that a second run adds nothing.

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
use news::{Action, Command, NewArticle, NewsError, StoryInput, StoryPatch, Target, Which};
use recommendations::MAX_ENTRIES;
use tokio_util::sync::CancellationToken;
use users::{ConsentChoice, Email, Name, Password, Register};
use uuid::Uuid;

use crate::accounts::{Account, Accounts};
use crate::patience::Patience;
use crate::plan::{Change, Person, Plan, PlannedArticle, PlannedReading, Text};
use crate::random::Random;
use crate::stage::{SectionStage, Stage};

/// The longest time until readers of a section see everything that was written.
const PATIENCE: Duration = Duration::from_secs(300);

/// A plan that is being carried out.
pub struct Filling<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The use cases.
    pub stage: &'a Stage,
    /// The plan's first moment.
    pub began: Timestamp,
    /// The progress that is shown.
    pub progress: &'a ProgressBar,
    /// Cancelled when the process is asked to stop.
    pub stop: &'a CancellationToken,
}

/// The content of a portal after its seed.
pub struct Summary {
    /// Published articles.
    pub published: usize,
    /// Drafts, which readers do not see.
    pub drafts: usize,
    /// Accounts.
    pub people: usize,
    /// Readings that their readers allow to be counted.
    pub readings: usize,
    /// True if an earlier run had done everything.
    pub is_old: bool,
    /// The accounts with their passwords.
    pub accounts: Vec<Account>,
}

impl Summary {
    /// Summarises a plan that was carried out.
    pub fn new(plan: &Plan, accounts: &[Account], is_old: bool) -> Self {
        let published = plan.articles.iter().filter(|article| article.published_at().is_some()).count();
        let allowed = |reading: &&PlannedReading| plan.people[reading.reader].history;
        Self {
            published,
            drafts: plan.articles.len() - published,
            people: plan.people.len(),
            readings: plan.readings.iter().filter(allowed).count(),
            is_old,
            accounts: accounts.to_vec(),
        }
    }
}

impl Filling<'_> {
    /// Registers the people, fills the three sections concurrently, then counts the readings.
    ///
    /// # Errors
    /// Fails if a use case refuses for good, or if the process is asked to stop. What exists then is complete
    /// in itself, and a later run continues.
    pub async fn run(&self, accounts: &Accounts) -> anyhow::Result<()> {
        let steps: usize = self.plan.articles.iter().map(|article| article.steps.len()).sum();
        let all = self.plan.people.len() + steps + self.plan.readings.len();
        self.progress.set_length(all as u64);
        self.progress.set_message("people");
        let people = self.fill_people(accounts).await?;
        self.progress.set_message("articles");
        let [famous, politics, sports] = Section::ALL.map(|section| self.fill_section(section, &people));
        tokio::try_join!(famous, politics, sports)?;
        self.progress.set_message("readers");
        self.fill_readings(&people).await
    }

    /// Counts a step.
    ///
    /// # Errors
    /// Fails if the process was asked to stop.
    fn count_step(&self) -> anyhow::Result<()> {
        if self.stop.is_cancelled() {
            let (done, all) = (self.progress.position(), self.progress.length().unwrap_or(0));
            bail!("stopped after {done} of {all} steps; the same command continues where this one ended");
        }
        self.progress.inc(1);
        Ok(())
    }

    fn at(&self, offset: i64) -> Timestamp {
        Timestamp::from_millis(self.began.millis() + offset)
    }

    /// Registers everyone. Staff get their role, readers give their consent.
    async fn fill_people(&self, accounts: &Accounts) -> anyhow::Result<Vec<Identity>> {
        ensure!(
            accounts.account.len() == self.plan.people.len(),
            "the file of accounts was written by another release of the seed; delete the data folder and seed again"
        );
        let mut people = Vec::new();
        for (person, account) in self.plan.people.iter().zip(&accounts.account) {
            self.count_step()?;
            self.stage.users_clock.advance_to(self.at(person.joined));
            let done = self.retry_while_busy(async || self.ensure_person(person, account).await);
            people.push(done.await.context("an account of the seed")?);
        }
        Ok(people)
    }

    async fn ensure_person(&self, person: &Person, account: &Account) -> anyhow::Result<Identity> {
        let users = &self.stage.users;
        let email = Email::parse(&person.email)?;
        let user = match users.find_by_email(&email).await? {
            Some(user) => user,
            None => {
                let (name, password) = (Name::parse(&person.name)?, Password::parse(&account.password)?);
                // Without a client address: registrations that come over no connection are not throttled.
                let from = Ipv4Addr::UNSPECIFIED.into();
                users.register(Register { name, email, password, from }).await?
            }
        };
        let sections = person.section.map_or(Sections::All, |section| Sections::Only([section].into()));
        if user.role != person.role {
            users.set_role(user.id, person.role, sections.clone(), &users.portal_origin()).await?;
        }
        let choice = ConsentChoice { personalisation: person.history, history: person.history };
        if person.role == Role::Reader && users.consent(user.id).await?.choice != choice {
            users.set_consent(user.id, choice, &users.portal_origin()).await?;
        }
        Ok(Identity {
            user: user.id,
            name: person.name.clone(),
            role: person.role,
            sections,
            history: person.history,
            // A process that holds the stores needs no login.
            session: SessionId::new(Uuid::nil()),
        })
    }

    /// Carries out every step of one section's articles, in the order of time.
    async fn fill_section(&self, section: Section, people: &[Identity]) -> anyhow::Result<()> {
        let stage = self.stage.section(section)?;
        let articles: Vec<&PlannedArticle> =
            self.plan.articles.iter().filter(|article| article.section == section).collect();
        let mut steps: Vec<(i64, usize, usize)> = Vec::new();
        let mut versions = Vec::new();
        for (article, planned) in articles.iter().enumerate() {
            steps.extend(planned.steps.iter().enumerate().map(|(step, each)| (each.at, article, step)));
            versions.push(self.retry_while_busy(async || self.version(stage, planned, people).await).await?);
        }
        steps.sort_unstable();
        for (at, article, step) in steps {
            self.count_step()?;
            if versions[article] > step {
                continue;
            }
            stage.clock.advance_to(self.at(at));
            let (planned, tried) = (articles[article], AtomicBool::new(false));
            let done = self.retry_while_busy(async || {
                // An attempt without an answer may have had its effect.
                if tried.swap(true, Ordering::Relaxed) && self.version(stage, planned, people).await? > step {
                    return Ok(());
                }
                self.apply(stage, planned, step, people).await
            });
            done.await.with_context(|| section.to_string())?;
        }
        for planned in articles {
            self.retry_while_busy(async || self.wait_until_visible(stage, planned, people).await).await?;
        }
        Ok(())
    }

    /// Runs a step, and runs it again if it was refused for a temporary reason.
    async fn retry_while_busy<T>(&self, step: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        Patience::default().with(self.progress, self.stop, step).await
    }

    /// Returns the number of steps of an article that are done: the number of its newest version.
    async fn version(
        &self,
        stage: &SectionStage,
        planned: &PlannedArticle,
        people: &[Identity],
    ) -> anyhow::Result<usize> {
        // The editor in chief also sees drafts. The history is exact, while the view may lag behind.
        let found = stage.app.history(people.first(), self.id(planned), None, 1).await;
        match found {
            Ok(history) => Ok(usize::try_from(history.newest.number())?),
            Err(error) if error.kind() == Kind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    async fn apply(
        &self,
        stage: &SectionStage,
        planned: &PlannedArticle,
        step: usize,
        people: &[Identity],
    ) -> anyhow::Result<()> {
        let id = self.id(planned);
        let expected = Expected::exactly(Version::new(u32::try_from(step)?));
        let existing = |action| Target::Existing { id, expected, action };
        let target = match &planned.steps[step].change {
            Change::Draft(text) => {
                stage.ids.plan(id.uuid());
                Target::New(NewArticle { story: input(text, &planned.tags), publish: false })
            }
            Change::Revise(text) => existing(Action::Patch(StoryPatch {
                title: Some(text.title.clone()),
                description: Some(text.description.clone()),
                content: Some(text.content.clone()),
                ..StoryPatch::default()
            })),
            Change::Publish => existing(Action::Publish),
        };
        let caller = people.get(planned.steps[step].by).cloned();
        let done = stage.app.command(Command { caller, key: None, target }).await?;
        ensure!(done.article.id == id, "a new article did not get the id that was planned");
        Ok(())
    }

    /// Waits until the section shows the last version of an article.
    async fn wait_until_visible(
        &self,
        stage: &SectionStage,
        planned: &PlannedArticle,
        people: &[Identity],
    ) -> anyhow::Result<()> {
        let version = Version::new(u32::try_from(planned.steps.len())?);
        let (editor, id) = (people.first(), self.id(planned));
        let end = Instant::now() + PATIENCE;
        loop {
            match stage.app.get(editor, id, Some(version)).await {
                Err(NewsError::NotYetProjected) if Instant::now() < end && !self.stop.is_cancelled() => {}
                outcome => return outcome.map(drop).context("an article does not become visible"),
            }
            // Beside a running section, two processes project. On a store that compares and writes in two
            // steps the older version can win (crates/news/README.md). By now both have finished, and
            // projecting a version again changes nothing.
            let newest = stage.app.version(editor, id, Which::Version(version)).await?;
            stage.app.project(&newest).await?;
        }
    }

    /// Returns the id that this article gets in every run: its time and its mark.
    fn id(&self, planned: &PlannedArticle) -> ArticleId {
        let at = planned.steps.first().map_or(self.began, |step| self.at(step.at));
        ArticleId::new(id(at, planned.mark))
    }

    /// Counts the readings, in the order of time. Readings before the last known one of a reader were counted
    /// by an earlier run.
    async fn fill_readings(&self, people: &[Identity]) -> anyhow::Result<()> {
        let mut read_until = BTreeMap::new();
        for (index, reader) in people.iter().enumerate().filter(|(_, person)| person.role == Role::Reader) {
            let known = self.retry_while_busy(async || {
                Ok(self.stage.tastes.labels_of_reader(reader.user, MAX_ENTRIES).await?)
            });
            let (tastes, _) = known.await?;
            read_until.insert(index, tastes.iter().map(|taste| taste.last_read_at()).max());
        }
        for (number, reading) in self.plan.readings.iter().enumerate() {
            self.count_step()?;
            let (at, reader) = (self.at(reading.at), &people[reading.reader]);
            let done = read_until.get(&reading.reader).copied().flatten().is_some_and(|until| at <= until);
            if done || !reader.history {
                continue;
            }
            let planned = &self.plan.articles[reading.article];
            let stage = self.stage.section(planned.section)?;
            let found = self.retry_while_busy(async || {
                match stage.app.get(Some(reader), self.id(planned), None).await {
                    Ok(article) => Ok(Some(article)),
                    // It was taken back since, and can no longer be read.
                    Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Gone) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            });
            let Some(article) = found.await? else { continue };
            self.stage.tastes_clock.advance_to(at);
            let labels = article.story.tags.iter().map(kernel::Label::as_str);
            let reading = recommendations::Reading {
                message: MessageId::new(id(at, number as u64)),
                reader: reader.user,
                article: article.id,
                labels: recommendations::Reading::parse_labels(labels)?,
                at,
            };
            self.retry_while_busy(async || Ok(self.stage.tastes.count_reading(&reading).await?)).await?;
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

/// Returns the UUIDv7 of this moment whose random bits follow from `mark`.
fn id(at: Timestamp, mark: u64) -> Uuid {
    let mut random = Random::of(mark, "id");
    let (one, two) = (random.number().to_be_bytes(), random.number().to_be_bytes());
    let mut chance = [0u8; 10];
    chance[..8].copy_from_slice(&one);
    chance[8..].copy_from_slice(&two[..2]);
    uuid::Builder::from_unix_timestamp_millis(at.millis().unsigned_abs(), &chance).into_uuid()
}
