use std::collections::HashMap;

use chassis::Context;
use futures::future::join_all;
use kernel::{ArticleId, Fault, Page, Section};

use super::{App, ArticleError, Asker};
use crate::domain::{Article, Merged, SectionList, merge};
use crate::ports::{DeskError, Window};

/// A page over all sections, and the sections that it is without.
#[derive(Debug, Clone, Default)]
pub struct Aggregate {
    /// The page.
    pub merged: Merged,
    /// The sections that did not answer in time, in the order of [`Section::ALL`].
    pub missing: Vec<Section>,
}

impl App {
    /// A page of the published articles of all sections, newest first.
    ///
    /// The sections are asked at once and have one deadline together. The first round brings what decides the order, without
    /// texts; only where texts are wanted a second one fetches those of the articles that stand on the page, so that a far page
    /// never moves thousands of texts.
    ///
    /// # Errors
    /// Only where no section answered, or one refused the request itself.
    pub async fn list_all(
        &self,
        page: Page,
        content: bool,
        asker: &Asker,
    ) -> Result<Aggregate, ArticleError> {
        let context = Context::current().within(self.section_deadline);
        context
            .scope(async {
                let mut answer = self.orders(page, asker).await?;
                if content {
                    self.add_texts(&mut answer, asker).await?;
                }
                Ok(answer)
            })
            .await
    }

    async fn orders(&self, page: Page, asker: &Asker) -> Result<Aggregate, ArticleError> {
        let window = Window { offset: 0, limit: page.reach(), content: false };
        let asked = Section::ALL.map(|section| self.desks.list(section, window, asker.token()));
        let (lists, missing) = sort_out(Section::ALL.into_iter().zip(join_all(asked).await))?;
        Ok(Aggregate {
            merged: merge(lists.into_iter().map(|(_, list)| list).collect::<Vec<SectionList>>(), page),
            missing,
        })
    }

    async fn add_texts(&self, answer: &mut Aggregate, asker: &Asker) -> Result<(), ArticleError> {
        let wanted = Section::ALL.into_iter().filter_map(|section| {
            let of_section = answer.merged.articles.iter().filter(|article| article.section == section);
            let ids: Vec<ArticleId> = of_section.map(|article| article.id).collect();
            (!ids.is_empty()).then_some((section, ids))
        });
        let asked = wanted.map(|(section, ids)| async move {
            (section, self.desks.get_many(section, &ids, asker.token()).await)
        });
        let outcomes = join_all(asked).await;
        if outcomes.is_empty() {
            return Ok(());
        }
        let (found, missing) = sort_out(outcomes)?;
        let mut whole: HashMap<ArticleId, Article> = found
            .into_iter()
            .flat_map(|(_, articles)| articles)
            .map(|article| (article.id, article))
            .collect();
        // What was taken back between the two rounds is no longer public: it must not be answered any more.
        answer.merged.articles =
            answer.merged.articles.iter().filter_map(|article| whole.remove(&article.id)).collect();
        answer.missing.extend(missing);
        answer.missing.sort();
        Ok(())
    }
}

type Answered<T> = (Vec<(Section, T)>, Vec<Section>);

/// The answers, and the sections that are away. A refusal of the request itself is the caller's, whichever section said it.
fn sort_out<T>(
    outcomes: impl IntoIterator<Item = (Section, Result<T, DeskError>)>,
) -> Result<Answered<T>, ArticleError> {
    let (mut answers, mut missing, mut first) = (Vec::new(), Vec::new(), None);
    for (section, outcome) in outcomes {
        match outcome {
            Ok(answer) => answers.push((section, answer)),
            Err(error) if error.is_away() => {
                tracing::warn!(section = section.as_str(), code = error.code().as_str(), %error, "a section is missing from an aggregate");
                missing.push(section);
                first.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match first {
        Some(first) if answers.is_empty() => Err(ArticleError::AllAway { first }),
        _ => Ok((answers, missing)),
    }
}
