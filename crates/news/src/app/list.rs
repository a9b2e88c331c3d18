use kernel::{ArticleId, FieldFault, Identity, MAX_LIMIT, MAX_REACH, Role, texts_that_fit};

use super::{App, NewsError};
use crate::domain::{Article, Filter, Part, Start, State};
use crate::ports::{Listing, Positions, Sizes};

/// Articles with their texts, as many as fit into one reply ([`kernel::MAX_PAGE_TEXT`]).
#[derive(Debug, Default)]
pub struct Texts {
    /// The articles in the order of the request.
    pub articles: Vec<Article>,
    /// True if the rest was left out because of the bound.
    pub cut: bool,
}

impl App {
    /// Returns a part of the articles that pass a filter, as far as the caller may see them, without texts. A
    /// merge of sections needs from each all articles up to the end of its own page, so the limit is the
    /// reach of pages.
    pub async fn list(&self, who: Option<&Identity>, part: Part) -> Result<Listing, NewsError> {
        check_reach(&part, MAX_REACH)?;
        match self.visible(who, part.filter) {
            Some(filter) => Ok(self.view.list(&Part { filter, ..part }).await?),
            None => Ok(Listing::default()),
        }
    }

    /// Returns the same part with texts, as many as fit into one reply, and the total.
    pub async fn list_texts(&self, who: Option<&Identity>, part: Part) -> Result<(Texts, u64), NewsError> {
        check_reach(&part, MAX_LIMIT)?;
        let (filter, looks_back) = (part.filter.clone(), part.looks_back());
        let Listing { articles, total } = self.list(who, part).await?;
        let mut ids: Vec<ArticleId> = articles.iter().map(|article| article.id).collect();
        // The articles nearest to the position come first, so they are never the ones left out.
        if looks_back {
            ids.reverse();
        }
        let mut texts = self.pick_texts(who, &ids, filter).await?;
        if looks_back {
            texts.articles.reverse();
        }
        Ok((texts, total))
    }

    /// Returns the positions of the same part.
    pub async fn positions(&self, who: Option<&Identity>, part: Part) -> Result<Positions, NewsError> {
        check_reach(&part, MAX_REACH)?;
        match self.visible(who, part.filter) {
            Some(filter) => Ok(self.view.positions(&Part { filter, ..part }).await?),
            None => Ok(Positions { positions: Vec::new(), total: 0 }),
        }
    }

    /// Returns those of these articles that pass the filter and that the caller may see, without texts.
    pub async fn pick(
        &self,
        who: Option<&Identity>,
        ids: &[ArticleId],
        filter: Filter,
    ) -> Result<Vec<Article>, NewsError> {
        check_count(ids)?;
        match self.visible(who, filter) {
            Some(filter) => Ok(self.view.pick(ids, &filter, false).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Returns how many bytes the texts of the same articles have.
    pub async fn sizes(
        &self,
        who: Option<&Identity>,
        ids: &[ArticleId],
        filter: Filter,
    ) -> Result<Sizes, NewsError> {
        check_count(ids)?;
        match self.visible(who, filter) {
            Some(filter) => Ok(self.view.sizes(ids, &filter).await?),
            None => Ok(Sizes::new()),
        }
    }

    /// Returns the same articles with their texts, as far as one reply holds them: the sizes are known before
    /// a text is read.
    pub async fn pick_texts(
        &self,
        who: Option<&Identity>,
        ids: &[ArticleId],
        filter: Filter,
    ) -> Result<Texts, NewsError> {
        check_count(ids)?;
        let Some(filter) = self.visible(who, filter) else { return Ok(Texts::default()) };
        let sizes = self.view.sizes(ids, &filter).await?;
        let visible: Vec<ArticleId> = ids.iter().copied().filter(|id| sizes.contains_key(id)).collect();
        let fit = texts_that_fit(visible.iter().map(|id| sizes[id]));
        let articles = self.view.pick(&visible[..fit], &filter, true).await?;
        Ok(Texts { articles, cut: fit < visible.len() })
    }

    /// Returns the filter as far as the caller may see its articles; `None` if no article can pass. Every
    /// caller may see published articles. A list with other states is a list of work: an author gets their
    /// own articles, an editor all of the section. Deleted articles are listed for editors, who may bring
    /// them back.
    fn visible(&self, who: Option<&Identity>, mut filter: Filter) -> Option<Filter> {
        filter.states = filter.states();
        if filter.states == [State::Published] {
            return Some(filter);
        }
        let staff = who.filter(|who| who.may_act_as(Role::Author, self.section));
        match staff {
            Some(who) if who.may_act_as(Role::Editor, self.section) => {}
            Some(who) => {
                filter.states.retain(|state| *state != State::Deleted);
                if filter.author.is_some_and(|author| author != who.user) {
                    return None;
                }
                filter.author = Some(who.user);
            }
            None => filter.states.retain(|state| *state == State::Published),
        }
        (!filter.states.is_empty()).then_some(filter)
    }
}

fn check_count(ids: &[ArticleId]) -> Result<(), NewsError> {
    if ids.len() > MAX_LIMIT as usize {
        return Err(out_of_range(
            "/ids",
            format!("must name at most {MAX_LIMIT} articles, got {}", ids.len()),
        ));
    }
    Ok(())
}

fn check_reach(part: &Part, most: u32) -> Result<(), NewsError> {
    if part.limit == 0 || part.limit > most {
        return Err(out_of_range("/limit", format!("must be between 1 and {most}, got {}", part.limit)));
    }
    match part.start {
        Start::Offset(offset) if offset.saturating_add(part.limit) > MAX_REACH => Err(out_of_range(
            "/offset",
            format!("pages end at the {MAX_REACH}th article; continue with a cursor"),
        )),
        _ => Ok(()),
    }
}

fn out_of_range(pointer: &str, detail: String) -> NewsError {
    NewsError::Invalid(vec![FieldFault::new(pointer, "out_of_range", detail)])
}
