use kernel::{ArticleId, FieldFault, Identity, MAX_LIMIT, MAX_REACH, Role, texts_that_fit};

use super::{App, NewsError};
use crate::domain::{Article, Filter, Part, Start, State};
use crate::ports::{Listing, Positions, Sizes};

/// Articles with their texts, as far as one reply holds them ([`kernel::MAX_PAGE_TEXT`]).
#[derive(Debug, Default)]
pub struct Texts {
    /// In the order that was asked for.
    pub articles: Vec<Article>,
    /// Whether the rest was left out because of the bound.
    pub cut: bool,
}

impl App {
    /// Returns a part of the articles that pass a filter, as far as the caller may see them, without texts. A merge of sections asks
    /// each for all articles up to the end of its own page, so the limit is what pages can reach.
    pub async fn list(&self, who: Option<&Identity>, part: Part) -> Result<Listing, NewsError> {
        within_reach(&part, MAX_REACH)?;
        match self.seen(who, part.filter) {
            Some(filter) => Ok(self.view.list(&Part { filter, ..part }).await?),
            None => Ok(Listing { articles: Vec::new(), total: 0 }),
        }
    }

    /// Returns the same with texts, as far as one reply holds them, and the total.
    pub async fn list_texts(&self, who: Option<&Identity>, part: Part) -> Result<(Texts, u64), NewsError> {
        within_reach(&part, MAX_LIMIT)?;
        let (filter, looks_back) = (part.filter.clone(), part.looks_back());
        let Listing { articles, total } = self.list(who, part).await?;
        let mut ids: Vec<ArticleId> = articles.iter().map(|article| article.id).collect();
        // What is nearest to the place comes first, and is there in any case.
        if looks_back {
            ids.reverse();
        }
        let mut texts = self.pick_texts(who, &ids, filter).await?;
        if looks_back {
            texts.articles.reverse();
        }
        Ok((texts, total))
    }

    /// The places of the same part.
    pub async fn positions(&self, who: Option<&Identity>, part: Part) -> Result<Positions, NewsError> {
        within_reach(&part, MAX_REACH)?;
        match self.seen(who, part.filter) {
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
        few_enough(ids)?;
        match self.seen(who, filter) {
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
        few_enough(ids)?;
        match self.seen(who, filter) {
            Some(filter) => Ok(self.view.sizes(ids, &filter).await?),
            None => Ok(Sizes::new()),
        }
    }

    /// Returns the same articles with their texts, as far as one reply holds them: the sizes are known before a text is read.
    pub async fn pick_texts(
        &self,
        who: Option<&Identity>,
        ids: &[ArticleId],
        filter: Filter,
    ) -> Result<Texts, NewsError> {
        few_enough(ids)?;
        let Some(filter) = self.seen(who, filter) else { return Ok(Texts::default()) };
        let sizes = self.view.sizes(ids, &filter).await?;
        let there: Vec<ArticleId> = ids.iter().copied().filter(|id| sizes.contains_key(id)).collect();
        let fit = texts_that_fit(there.iter().map(|id| sizes[id]));
        let articles = self.view.pick(&there[..fit], &filter, true).await?;
        Ok(Texts { articles, cut: fit < there.len() })
    }

    /// What is left of a filter for this asker; nothing, where no article can pass that they may see. What is published is for
    /// everybody. As soon as another state is asked for it is the list of somebody at work: an author's own articles, all of an
    /// editor's section. What was put away is listed for editors, who may bring it back.
    fn seen(&self, who: Option<&Identity>, mut filter: Filter) -> Option<Filter> {
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

fn few_enough(ids: &[ArticleId]) -> Result<(), NewsError> {
    if ids.len() > MAX_LIMIT as usize {
        return Err(out_of_range("/ids", format!("at most {MAX_LIMIT} articles at once")));
    }
    Ok(())
}

fn within_reach(part: &Part, most: u32) -> Result<(), NewsError> {
    if part.limit == 0 || part.limit > most {
        return Err(out_of_range("/limit", format!("must be 1 to {most}")));
    }
    match part.start {
        Start::Offset(offset) if offset.saturating_add(part.limit) > MAX_REACH => {
            Err(out_of_range("/offset", format!("pages reach as far as the {MAX_REACH}th article")))
        }
        _ => Ok(()),
    }
}

fn out_of_range(pointer: &str, detail: String) -> NewsError {
    NewsError::Invalid(vec![FieldFault::new(pointer, "out_of_range", detail)])
}
