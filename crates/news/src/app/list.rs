use kernel::{ArticleId, FieldFault, Identity, MAX_LIMIT, MAX_REACH, Role};

use super::{App, NewsError};
use crate::domain::{Article, Filter, Part, Start, State};
use crate::ports::{Listing, Positions};

impl App {
    /// A part of the articles that pass a filter, as far as the asker may see them. Whoever merges sections by pages asks each for all
    /// up to its own page's end, so the limit is what pages can reach; with content it is one page.
    pub async fn list(
        &self,
        who: Option<&Identity>,
        part: Part,
        with_content: bool,
    ) -> Result<Listing, NewsError> {
        within_reach(&part, if with_content { MAX_LIMIT } else { MAX_REACH })?;
        match self.seen(who, part.filter) {
            Some(filter) => Ok(self.view.list(&Part { filter, ..part }, with_content).await?),
            None => Ok(Listing { articles: Vec::new(), total: 0 }),
        }
    }

    /// The places of the same part.
    pub async fn positions(&self, who: Option<&Identity>, part: Part) -> Result<Positions, NewsError> {
        within_reach(&part, MAX_REACH)?;
        match self.seen(who, part.filter) {
            Some(filter) => Ok(self.view.positions(&Part { filter, ..part }).await?),
            None => Ok(Positions { positions: Vec::new(), total: 0 }),
        }
    }

    /// Those of these articles that pass the filter and that the asker may see.
    pub async fn pick(
        &self,
        who: Option<&Identity>,
        ids: &[ArticleId],
        filter: Filter,
        with_content: bool,
    ) -> Result<Vec<Article>, NewsError> {
        if ids.len() > MAX_LIMIT as usize {
            return Err(out_of_range("/ids", format!("at most {MAX_LIMIT} articles at once")));
        }
        match self.seen(who, filter) {
            Some(filter) => Ok(self.view.pick(ids, &filter, with_content).await?),
            None => Ok(Vec::new()),
        }
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
