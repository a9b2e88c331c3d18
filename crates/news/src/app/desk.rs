use kernel::{Identity, Role};

use super::{App, NewsError};
use crate::domain::{AccessDenied, Filter, Order, Part, Start, State};
use crate::ports::{Listing, StateCounts};

/// The most articles of a group.
const GROUP: u32 = 20;

/// The work of a section for one of its staff. The groups have no texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desk {
    /// The number of articles in each state that the caller may see: for an author the own ones.
    pub counts: StateCounts,
    /// The articles in review that other accounts wrote, the longest in review first. Authors review nothing.
    pub to_review: Listing,
    /// The caller's own drafts that an editor has returned, the longest returned first.
    pub returned: Listing,
    /// The scheduled articles that the caller may see, the next one first.
    pub scheduled: Listing,
}

impl App {
    /// Returns the work that waits for the caller in this section, at most 20 articles in each group.
    ///
    /// # Errors
    /// [`AccessDenied`], if the caller does not work in this section.
    pub async fn desk(&self, who: Option<&Identity>) -> Result<Desk, NewsError> {
        let who = who.ok_or(AccessDenied::Anonymous)?;
        if !who.may_act_as(Role::Author, self.section) {
            return Err(AccessDenied::Role(Role::Author).into());
        }
        let is_editor = who.may_act_as(Role::Editor, self.section);
        let in_state = |state: State| Filter { states: vec![state], ..Filter::default() };
        let in_review = Filter { except_author: Some(who.user), ..in_state(State::InReview) };
        let returned = Filter { author: Some(who.user), returned: true, ..in_state(State::Draft) };
        let group = |filter: Filter, order: Order| {
            self.list(Some(who), Part { filter, order, start: Start::Offset(0), limit: GROUP })
        };
        let to_review =
            async { if is_editor { group(in_review, Order::Waiting).await } else { Ok(Listing::default()) } };
        let (counts, to_review, returned, scheduled) = tokio::try_join!(
            self.count_states(who, is_editor),
            to_review,
            group(returned, Order::Waiting),
            group(in_state(State::Scheduled), Order::Due),
        )?;
        Ok(Desk { counts, to_review, returned, scheduled })
    }

    /// Returns how many articles in each state the caller may list.
    async fn count_states(&self, who: &Identity, is_editor: bool) -> Result<StateCounts, NewsError> {
        let author = (!is_editor).then_some(who.user);
        let mut counts = self.view.count_states(author).await?;
        counts.retain(|(state, _)| is_editor || *state != State::Deleted);
        Ok(counts)
    }
}
