use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kernel::{Fault, Kind, Refusal, Section};

use super::ArticleError;
use crate::ports::{NewsSections, SectionError};

/// The answers of sections, and the sections that did not answer.
pub(super) type Answered<T> = (Vec<(Section, T)>, Vec<Section>);

/// A request to several sections at the same time.
pub(super) struct Gather<'a> {
    /// The sections.
    pub sections: &'a dyn NewsSections,
    /// The time to wait for all sections. After it, the answer consists of those that have answered. As long
    /// as no section has answered, only the deadline of the request counts, because there is no answer
    /// without a section.
    pub patience: Duration,
    /// True if the request is so much work that its duration says nothing about the health of a section.
    pub costly: bool,
}

impl Gather<'_> {
    /// Sends the request to every section and collects the answers.
    ///
    /// # Errors
    /// Fails if no section answered, or if one refused the request itself.
    pub async fn ask<T, F>(
        &self,
        asked: impl IntoIterator<Item = (Section, F)>,
    ) -> Result<Answered<T>, ArticleError>
    where
        F: Future<Output = Result<T, SectionError>>,
    {
        let mut waiting = Vec::new();
        let mut running: FuturesUnordered<_> = asked
            .into_iter()
            .map(|(section, answer)| {
                waiting.push(section);
                async move { (section, answer.await) }
            })
            .collect();
        let mut outcomes = Vec::new();
        let mut patience = std::pin::pin!(chassis::pause(self.patience));
        let (mut over, mut answered) = (false, false);
        loop {
            let next = if over && answered {
                // An answer that has already arrived is always used.
                running.next().now_or_never().flatten()
            } else {
                tokio::select! {
                    biased;
                    next = running.next() => next,
                    () = &mut patience, if !over => {
                        over = true;
                        continue;
                    }
                }
            };
            let Some((section, outcome)) = next else { break };
            answered |=
                outcome.as_ref().map_or_else(|error: &SectionError| !error.is_unavailable(), |_| true);
            waiting.retain(|each| *each != section);
            outcomes.push((section, outcome));
        }
        // Dropping the calls makes the sections stop working on them.
        drop(running);
        for section in waiting {
            if !self.costly {
                self.sections.count_failure(section);
            }
            let late = Refusal::new(Kind::Timeout, "deadline_exceeded", Kind::Timeout.sentence());
            outcomes.push((section, Err(late.into())));
        }
        outcomes.sort_by_key(|(section, _)| *section);
        sort_out(outcomes)
    }
}

/// Separates answers from failures. If any section refused the request itself, that refusal is the result.
fn sort_out<T>(outcomes: Vec<(Section, Result<T, SectionError>)>) -> Result<Answered<T>, ArticleError> {
    let (mut answers, mut missing, mut first) = (Vec::new(), Vec::new(), None);
    for (section, outcome) in outcomes {
        match outcome {
            Ok(answer) => answers.push((section, answer)),
            Err(error) if error.is_unavailable() => {
                tracing::warn!(section = section.as_str(), code = error.code().as_str(), %error, "a section is missing from an aggregate");
                missing.push(section);
                first.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match first {
        Some(first) if answers.is_empty() => Err(ArticleError::AllAway { missing, first: Box::new(first) }),
        _ => Ok((answers, missing)),
    }
}
