use chassis::StoreFailure;

use super::App;

/// The number of articles that go into the new view in one transaction.
const BATCH: u32 = 200;

/// The result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayReport {
    /// The number of articles in the new view.
    pub articles: u64,
}

impl App {
    /// Rebuilds the view from the events beside the live one, and then replaces the live one in one step:
    /// readers never see half of a view. `progress` gets the number of articles so far.
    ///
    /// Events are read only after the rebuild has begun, and articles that are projected meanwhile go into
    /// both views. So nothing is lost.
    ///
    /// # Errors
    /// Fails if a store fails. The live view stays.
    pub async fn replay(&self, progress: impl Fn(u64) + Send) -> Result<ReplayReport, StoreFailure> {
        self.view.begin_rebuild().await?;
        let mut articles = 0;
        let mut after = None;
        loop {
            let batch = self.events.walk(after, BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.id);
            self.view.load(&batch).await?;
            articles += batch.len() as u64;
            progress(articles);
        }
        self.view.finish_rebuild().await?;
        self.projected.send_modify(|count| *count += 1);
        tracing::info!(articles, section = %self.section, "the view was rebuilt from the events");
        Ok(ReplayReport { articles })
    }
}
