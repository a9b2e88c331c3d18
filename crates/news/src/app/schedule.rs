use std::time::Duration;

use kernel::{ArticleId, Timestamp};

use super::{App, NewsError};
use crate::domain::State;
use crate::metrics::PUBLICATION_LAG;
use crate::ports::AppendError;

/// The longest time until the next look at the schedule: another replica may have scheduled an article, and
/// its wake-up does not arrive here.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The most articles that one step publishes.
const BATCH: u32 = 100;

impl App {
    /// Publishes the articles whose time has come, in the order of their times. Returns the time until the
    /// next look at the schedule; zero if more articles may be due.
    ///
    /// Every replica does this. The append on the expected version decides which of them publishes an
    /// article, so each is published once. An article that can't be published does not keep back the
    /// others, unless there are 100 of them.
    ///
    /// # Errors
    /// The first failure, after all due articles were tried.
    pub async fn publish_due(&self) -> Result<Duration, NewsError> {
        let waiting = self.events.scheduled(BATCH).await?;
        let is_full = waiting.len() >= BATCH as usize;
        let mut failure = None;
        for (id, due) in waiting {
            let now = self.clock.now();
            if due > now {
                return failure.map_or(Ok(due.since(now).min(LOOK_AGAIN)), Err);
            }
            if let Err(error) = self.publish_scheduled(id, due, now).await {
                failure = failure.or(Some(error));
            }
        }
        failure.map_or(Ok(if is_full { Duration::ZERO } else { LOOK_AGAIN }), Err)
    }

    async fn publish_scheduled(
        &self,
        id: ArticleId,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<(), NewsError> {
        let Some(article) = self.events.latest(id).await? else { return Ok(()) };
        // It was published, unscheduled or scheduled again since the look at the schedule.
        if article.state != State::Scheduled || article.scheduled_at != Some(due) {
            return Ok(());
        }
        let illegal = |illegal| NewsError::Illegal { illegal, allowed: Vec::new() };
        let change = article.publish_scheduled(now).map_err(illegal)?;
        match self.append(&self.with_messages(vec![change]), None).await {
            Ok(()) => {
                PUBLICATION_LAG.record([self.section.as_str().into()], now.since(due));
                Ok(())
            }
            // Another replica was faster, or an editor.
            Err(AppendError::Stale { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
