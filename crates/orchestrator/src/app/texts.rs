//! The texts of a page. They are chosen by their sizes before any is loaded, so that neither a section, nor
//! the bus, nor this process ever holds more than a page of them ([`kernel::MAX_PAGE_TEXT`]).

use std::collections::{HashMap, HashSet};

use chassis::http::Caller;
use kernel::{ArticleId, MAX_PAGE_TEXT, Section, texts_that_fit};

use super::gather::Gather;
use super::list::{ArticlePosition, Collected};
use super::{App, ArticleError, ListRequest};
use crate::domain::{Article, ArticleBatch, Merged, Start};

impl App {
    /// Loads the articles at the positions that were found, with texts if the list includes them.
    ///
    /// A page with texts ends at its bound and contains the articles nearest to its start. An article that
    /// was unpublished since the positions were found is left out.
    pub(super) async fn load(
        &self,
        collected: Collected<ArticlePosition>,
        list: &ListRequest,
        caller: &Caller,
    ) -> Result<Collected<Article>, ArticleError> {
        let Collected { merged: Merged { items: mut positions, more }, total, mut missing } = collected;
        // The nearest come first, so that the articles that do not fit are at the end.
        let is_backward = matches!(list.slice.start, Start::Before(_));
        if is_backward {
            positions.reverse();
        }
        let mut cut = false;
        if list.content {
            let (sizes, gone) = self.sizes(&positions, list, caller).await?;
            missing.extend(&gone);
            positions.retain(|(section, _)| !gone.contains(section));
            cut = cut_to_fit(&mut positions, list.whole, |id| sizes.get(&id).copied().unwrap_or_default())?;
        }
        let (mut articles, left_out, gone) = self.articles_at(&positions, list, caller).await?;
        missing.extend(gone);
        // A text has grown since its size was requested. The page ends before the first article that is
        // missing.
        if let Some(end) = positions.iter().position(|(_, position)| left_out.contains(&position.id)) {
            if list.whole {
                return Err(too_large(None));
            }
            positions.truncate(end);
            cut = true;
        }
        let mut items: Vec<Article> =
            positions.iter().filter_map(|(_, position)| articles.remove(&position.id)).collect();
        if is_backward {
            items.reverse();
        }
        Ok(Collected { merged: Merged { items, more: more || cut }, total, missing })
    }

    async fn sizes(
        &self,
        positions: &[ArticlePosition],
        list: &ListRequest,
        caller: &Caller,
    ) -> Result<(HashMap<ArticleId, u64>, Vec<Section>), ArticleError> {
        let states = &list.slice.filter.states;
        let asked = by_section(positions).map(|(section, ids)| {
            (
                section,
                async move { self.sections.sizes(section, &ids, states, caller.token.as_deref()).await },
            )
        });
        let (sizes, missing) = self.gather(true).ask(asked).await?;
        Ok((sizes.into_iter().flat_map(|(_, sizes)| sizes).collect(), missing))
    }

    /// Returns the articles at these positions, the articles that their section left out because of its
    /// bound, and the sections that did not answer.
    async fn articles_at(
        &self,
        positions: &[ArticlePosition],
        list: &ListRequest,
        caller: &Caller,
    ) -> Result<(HashMap<ArticleId, Article>, HashSet<ArticleId>, Vec<Section>), ArticleError> {
        let states = &list.slice.filter.states;
        let asked = by_section(positions).map(|(section, ids)| {
            let picked = async move {
                let picked = self
                    .sections
                    .get_many(section, &ids, states, list.content, caller.token.as_deref())
                    .await?;
                Ok((left_out(&ids, &picked), picked.articles))
            };
            (section, picked)
        });
        let (picked, missing) = self.gather(list.content).ask(asked).await?;
        let (mut articles, mut left_out) = (HashMap::new(), HashSet::new());
        for (_, (omitted, picked)) in picked {
            left_out.extend(omitted);
            articles.extend(picked.into_iter().map(|article| (article.id, article)));
        }
        Ok((articles, left_out, missing))
    }

    /// Prepares a request to several sections. `costly` says that the request is much work by itself.
    pub(super) fn gather(&self, costly: bool) -> Gather<'_> {
        Gather { sections: &*self.sections, patience: self.section_deadline, costly }
    }
}

/// Groups the articles at these positions by section, in their order.
fn by_section(positions: &[ArticlePosition]) -> impl Iterator<Item = (Section, Vec<ArticleId>)> {
    Section::ALL.into_iter().filter_map(|section| {
        let of_section = positions.iter().filter(|(of, _)| *of == section);
        let ids: Vec<ArticleId> = of_section.map(|(_, position)| position.id).collect();
        (!ids.is_empty()).then_some((section, ids))
    })
}

/// Returns the requested articles that a section left out because of its bound.
fn left_out(ids: &[ArticleId], picked: &ArticleBatch) -> Vec<ArticleId> {
    if !picked.truncated {
        return Vec::new();
    }
    let last = picked.articles.last().and_then(|last| ids.iter().position(|id| *id == last.id));
    ids[last.map_or(0, |last| last + 1)..].to_vec()
}

/// Ends a page before the text that would exceed its bound. Returns true if it did.
fn cut_to_fit(
    positions: &mut Vec<ArticlePosition>,
    whole: bool,
    size: impl Fn(ArticleId) -> u64,
) -> Result<bool, ArticleError> {
    let sizes = || positions.iter().map(|(_, position)| size(position.id));
    let fit = texts_that_fit(sizes());
    if fit == positions.len() {
        return Ok(false);
    }
    if whole {
        return Err(too_large(Some(sizes().sum())));
    }
    positions.truncate(fit);
    Ok(true)
}

fn too_large(bytes: Option<u64>) -> ArticleError {
    ArticleError::PageTooLarge { bytes, most: MAX_PAGE_TEXT }
}
