use chassis::StoreFailure;

use super::App;

/// How many articles go into the new view in one transaction.
const BATCH: u32 = 200;

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// How many articles the new view holds.
    pub articles: u64,
}

impl App {
    /// Rebuilds the view from the events, beside the live one, and puts it in its place at one moment: readers never
    /// see half of it. `progress` is told the number of articles so far.
    ///
    /// Events are read only after the rebuild has begun, and what is projected meanwhile goes into both views, so
    /// nothing falls between.
    pub async fn replay(&self, progress: impl Fn(u64) + Send) -> Result<Replayed, StoreFailure> {
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
        Ok(Replayed { articles })
    }
}
