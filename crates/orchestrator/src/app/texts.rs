//! The texts of a page: chosen by their sizes before one is loaded, so that neither a section, nor the bus, nor this process ever
//! holds more than a page of them ([`kernel::MAX_PAGE_TEXT`]).

use std::collections::{HashMap, HashSet};

use chassis::http::Caller;
use kernel::{ArticleId, MAX_PAGE_TEXT, Section, texts_that_fit};

use super::gather::Gather;
use super::list::{Found, Place};
use super::{App, ArticleError, ListNews};
use crate::domain::{Article, Merged, Picked, Start};

impl App {
    /// Returns the articles at the places that were found, with texts if the list has them.
    ///
    /// A page with texts ends at its bound: what is nearest to where it begins is on it. What was taken back since the places were
    /// found must not be answered any more, and is left out.
    pub(super) async fn load(
        &self,
        found: Found<Place>,
        list: &ListNews,
        caller: &Caller,
    ) -> Result<Found<Article>, ArticleError> {
        let Found { merged: Merged { items: mut places, more }, total, mut missing } = found;
        // Nearest first, so that whatever does not fit stands at the end.
        let looks_back = matches!(list.part.start, Start::Before(_));
        if looks_back {
            places.reverse();
        }
        let mut cut = false;
        if list.content {
            let (sizes, gone) = self.sizes(&places, list, caller).await?;
            missing.extend(&gone);
            places.retain(|(section, _)| !gone.contains(section));
            cut = cut_to_fit(&mut places, list.whole, |id| sizes.get(&id).copied().unwrap_or_default())?;
        }
        let (mut articles, left_out, gone) = self.articles_at(&places, list, caller).await?;
        missing.extend(gone);
        // A text has grown since its size was asked for: the page ends before the first that is lacking.
        if let Some(end) = places.iter().position(|(_, place)| left_out.contains(&place.id)) {
            if list.whole {
                return Err(too_large(None));
            }
            places.truncate(end);
            cut = true;
        }
        let mut items: Vec<Article> =
            places.iter().filter_map(|(_, place)| articles.remove(&place.id)).collect();
        if looks_back {
            items.reverse();
        }
        Ok(Found { merged: Merged { items, more: more || cut }, total, missing })
    }

    async fn sizes(
        &self,
        places: &[Place],
        list: &ListNews,
        caller: &Caller,
    ) -> Result<(HashMap<ArticleId, u64>, Vec<Section>), ArticleError> {
        let states = &list.part.filter.states;
        let asked = of_each_section(places).map(|(section, ids)| {
            (
                section,
                async move { self.sections.sizes(section, &ids, states, caller.token.as_deref()).await },
            )
        });
        let (sizes, missing) = self.gather(true).ask(asked).await?;
        Ok((sizes.into_iter().flat_map(|(_, sizes)| sizes).collect(), missing))
    }

    /// The articles at these places, those that their section left out because of its bound, and the sections that did not answer.
    async fn articles_at(
        &self,
        places: &[Place],
        list: &ListNews,
        caller: &Caller,
    ) -> Result<(HashMap<ArticleId, Article>, HashSet<ArticleId>, Vec<Section>), ArticleError> {
        let states = &list.part.filter.states;
        let asked = of_each_section(places).map(|(section, ids)| {
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
        for (_, (lacking, picked)) in picked {
            left_out.extend(lacking);
            articles.extend(picked.into_iter().map(|article| (article.id, article)));
        }
        Ok((articles, left_out, missing))
    }

    /// A question to several sections, in a request that may be costly by itself.
    pub(super) fn gather(&self, costly: bool) -> Gather<'_> {
        Gather { sections: &*self.sections, patience: self.section_deadline, costly }
    }
}

/// The articles of each section among these places, in their order.
fn of_each_section(places: &[Place]) -> impl Iterator<Item = (Section, Vec<ArticleId>)> {
    Section::ALL.into_iter().filter_map(|section| {
        let of_section = places.iter().filter(|(of, _)| *of == section);
        let ids: Vec<ArticleId> = of_section.map(|(_, place)| place.id).collect();
        (!ids.is_empty()).then_some((section, ids))
    })
}

/// Those of the articles that were asked for that a section left out because of its bound.
fn left_out(ids: &[ArticleId], picked: &Picked) -> Vec<ArticleId> {
    if !picked.cut {
        return Vec::new();
    }
    let last = picked.articles.last().and_then(|last| ids.iter().position(|id| *id == last.id));
    ids[last.map_or(0, |last| last + 1)..].to_vec()
}

/// Ends a page before the text that would exceed its bound, and returns whether it did.
fn cut_to_fit(
    places: &mut Vec<Place>,
    whole: bool,
    size: impl Fn(ArticleId) -> u64,
) -> Result<bool, ArticleError> {
    let sizes = || places.iter().map(|(_, place)| size(place.id));
    let fit = texts_that_fit(sizes());
    if fit == places.len() {
        return Ok(false);
    }
    if whole {
        return Err(too_large(Some(sizes().sum())));
    }
    places.truncate(fit);
    Ok(true)
}

fn too_large(bytes: Option<u64>) -> ArticleError {
    ArticleError::PageTooLarge { bytes, most: MAX_PAGE_TEXT }
}
