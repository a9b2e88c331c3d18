use std::collections::HashMap;

use chassis::Context;
use futures::future::join_all;
use kernel::{ArticleId, Fault, Section};

use super::{App, ArticleError, Asker};
use crate::domain::{
    Article, Merged, Part, Position, Scope, SectionList, SectionPositions, Start, merge, share,
};
use crate::ports::DeskError;

/// Which part of which list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListNews {
    /// Of which sections.
    pub scope: Scope,
    /// Which part.
    pub part: Part,
    /// The sections that the list is without from the start: see [`crate::domain::Cursor`].
    pub without: Vec<Section>,
    /// Whether the texts are wanted too.
    pub content: bool,
}

/// A part of a list, and the sections that it is without.
#[derive(Debug, Clone)]
pub struct NewsList {
    /// In the order of the list.
    pub articles: Vec<Article>,
    /// How many articles the whole list has, in the sections that answered.
    pub total: u64,
    /// The sections that did not answer in time, or that the list is without, in the order of [`Section::ALL`].
    pub missing: Vec<Section>,
    /// The place that this part begins at, where there is something before it.
    pub before: Option<Position>,
    /// The place that this part ends at, where there is something after it.
    pub after: Option<Position>,
}

/// What was found in the sections, before texts.
struct Found {
    merged: Merged<Article>,
    total: u64,
    missing: Vec<Section>,
}

impl App {
    /// A part of the one list of the sections of `list`, or of one of them.
    ///
    /// Several sections are asked at once and have one deadline together. A far page is found by places alone, so that the articles
    /// before it never move; texts are fetched for those articles only that stand on the page.
    ///
    /// # Errors
    /// Only where no section answered, or one refused the request itself.
    pub async fn list(&self, list: &ListNews, asker: &Asker) -> Result<NewsList, ArticleError> {
        let context = match list.scope {
            Scope::All => Context::current().within(self.section_deadline),
            Scope::One(_) => Context::current(),
        };
        context.scope(self.find(list, asker)).await
    }

    async fn find(&self, list: &ListNews, asker: &Asker) -> Result<NewsList, ArticleError> {
        let ListNews { scope, part, without, content } = list;
        let sections: Vec<Section> =
            scope.sections().into_iter().filter(|section| !without.contains(section)).collect();
        let far = *scope == Scope::All && matches!(part.start, Start::Offset(offset) if offset > 0);
        let mut found = if far {
            self.find_places(&sections, list, asker).await?
        } else {
            self.find_articles(&sections, list, asker).await?
        };
        if *content && !far {
            self.fetch(&mut found, list, asker).await?;
        }
        found.missing.extend(without);
        found.missing.sort();
        found.missing.dedup();
        Ok(placed(found, part))
    }

    async fn find_articles(
        &self,
        sections: &[Section],
        list: &ListNews,
        asker: &Asker,
    ) -> Result<Found, ArticleError> {
        let share = share(&list.part, list.scope);
        let asked = sections.iter().map(|section| self.desks.list(*section, &share, false, asker.token()));
        let (lists, missing) = sort_out(sections.iter().copied().zip(join_all(asked).await))?;
        let total = lists.iter().map(|(_, list)| list.total).sum();
        let lists = lists.into_iter().map(|(_, SectionList { articles, .. })| articles).collect();
        Ok(Found { merged: merge(lists, &list.part, list.scope, Position::of), total, missing })
    }

    async fn find_places(
        &self,
        sections: &[Section],
        list: &ListNews,
        asker: &Asker,
    ) -> Result<Found, ArticleError> {
        let share = share(&list.part, list.scope);
        let asked = sections.iter().map(|section| self.desks.positions(*section, &share, asker.token()));
        let (lists, missing) = sort_out(sections.iter().copied().zip(join_all(asked).await))?;
        let total = lists.iter().map(|(_, list)| list.total).sum();
        let of_section = |(section, list): (Section, SectionPositions)| {
            list.positions.into_iter().map(move |place| (section, place)).collect()
        };
        let lists = lists.into_iter().map(of_section).collect();
        let Merged { items, more } = merge(lists, &list.part, list.scope, |(_, place), _| *place);
        let (articles, gone) = self.articles_at(&items, list, asker).await?;
        let missing = [missing, gone].concat();
        Ok(Found { merged: Merged { items: articles, more }, total, missing })
    }

    /// Replaces what was found by the same with texts.
    async fn fetch(&self, found: &mut Found, list: &ListNews, asker: &Asker) -> Result<(), ArticleError> {
        let places: Vec<(Section, Position)> = found
            .merged
            .items
            .iter()
            .map(|article| (article.section, Position::of(article, list.part.order)))
            .collect();
        let (articles, gone) = self.articles_at(&places, list, asker).await?;
        found.merged.items = articles;
        found.missing.extend(gone);
        Ok(())
    }

    /// The articles at these places, and the sections that did not answer. What was taken back since the places were found must not be
    /// answered any more, and is left out.
    async fn articles_at(
        &self,
        places: &[(Section, Position)],
        list: &ListNews,
        asker: &Asker,
    ) -> Result<(Vec<Article>, Vec<Section>), ArticleError> {
        let states = &list.part.filter.states;
        let wanted = Section::ALL.into_iter().filter_map(|section| {
            let of_section = places.iter().filter(|(of, _)| *of == section);
            let ids: Vec<ArticleId> = of_section.map(|(_, place)| place.id).collect();
            (!ids.is_empty()).then_some((section, ids))
        });
        let asked = wanted.map(|(section, ids)| async move {
            (section, self.desks.get_many(section, &ids, states, list.content, asker.token()).await)
        });
        let outcomes = join_all(asked).await;
        if outcomes.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let (found, missing) = sort_out(outcomes)?;
        let found = found.into_iter().flat_map(|(_, articles)| articles);
        let mut found: HashMap<ArticleId, Article> = found.map(|article| (article.id, article)).collect();
        Ok((places.iter().filter_map(|(_, place)| found.remove(&place.id)).collect(), missing))
    }
}

/// The part with the places around it. A page by offset is told by the total whether the list goes on.
fn placed(found: Found, part: &Part) -> NewsList {
    let Found { merged: Merged { items, more }, total, missing } = found;
    let at = |article: Option<&Article>| article.map(|article| Position::of(article, part.order));
    let (first, last) = (at(items.first()), at(items.last()));
    let (before, after) = match part.start {
        Start::Offset(offset) => {
            let end = u64::from(offset) + items.len() as u64;
            (first.filter(|_| offset > 0), last.filter(|_| total > end))
        }
        Start::After(_) => (first, last.filter(|_| more)),
        Start::Before(_) => (first.filter(|_| more), last),
    };
    NewsList { articles: items, total, missing, before, after }
}

pub(super) type Answered<T> = (Vec<(Section, T)>, Vec<Section>);

/// The answers, and the sections that are away. A refusal of the request itself is the caller's, whichever section said it.
pub(super) fn sort_out<T>(
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
        Some(first) if answers.is_empty() => Err(ArticleError::AllAway { missing, first: Box::new(first) }),
        _ => Ok((answers, missing)),
    }
}
