use chassis::http::Caller;
use kernel::Section;

use super::{App, ArticleError};
use crate::domain::{
    Article, Merged, Part, Position, Scope, SectionList, SectionPositions, Start, merge, share,
};

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
    /// Whether the part is refused if its texts exceed the bound of a page, and not cut short.
    pub whole: bool,
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

/// An article's section and its place in the list.
pub(super) type Place = (Section, Position);

/// What was found in the sections.
pub(super) struct Found<T> {
    pub merged: Merged<T>,
    pub total: u64,
    pub missing: Vec<Section>,
}

impl App {
    /// Returns a part of the one list of the sections of `list`, or of one of them.
    ///
    /// Several sections are asked at once. Those that take longer than the others and than `section_deadline` are missing. A far page
    /// is found by places alone, so that the articles before it never move. Texts are loaded only for the articles on the page, and
    /// only as many as a page holds.
    ///
    /// # Errors
    /// If no section answered, one refused the request itself, or the texts of a page by number exceed its bound.
    pub async fn list(&self, list: &ListNews, caller: &Caller) -> Result<NewsList, ArticleError> {
        let ListNews { scope, part, without, .. } = list;
        let sections: Vec<Section> =
            scope.sections().into_iter().filter(|section| !without.contains(section)).collect();
        let far = *scope == Scope::All && matches!(part.start, Start::Offset(offset) if offset > 0);
        let mut found = if far {
            let found = self.find_places(&sections, list, caller).await?;
            self.load(found, list, caller).await?
        } else {
            let found = self.find_articles(&sections, list, caller).await?;
            if list.content { self.load(found.places(part), list, caller).await? } else { found }
        };
        found.missing.extend(without);
        found.missing.sort();
        found.missing.dedup();
        Ok(placed(found, part))
    }

    async fn find_articles(
        &self,
        sections: &[Section],
        list: &ListNews,
        caller: &Caller,
    ) -> Result<Found<Article>, ArticleError> {
        let share = &share(&list.part, list.scope);
        let asked = sections
            .iter()
            .map(|section| (*section, self.sections.list(*section, share, caller.token.as_deref())));
        let (lists, missing) = self.gather(false).ask(asked).await?;
        let total = lists.iter().map(|(_, list)| list.total).sum();
        let lists = lists.into_iter().map(|(_, SectionList { articles, .. })| articles).collect();
        Ok(Found { merged: merge(lists, &list.part, list.scope, Position::of), total, missing })
    }

    async fn find_places(
        &self,
        sections: &[Section],
        list: &ListNews,
        caller: &Caller,
    ) -> Result<Found<Place>, ArticleError> {
        let share = &share(&list.part, list.scope);
        let asked = sections
            .iter()
            .map(|section| (*section, self.sections.positions(*section, share, caller.token.as_deref())));
        let (lists, missing) = self.gather(false).ask(asked).await?;
        let total = lists.iter().map(|(_, list)| list.total).sum();
        let of_section = |(section, list): (Section, SectionPositions)| {
            list.positions.into_iter().map(move |place| (section, place)).collect()
        };
        let lists = lists.into_iter().map(of_section).collect();
        let merged = merge(lists, &list.part, list.scope, |(_, place), _| *place);
        Ok(Found { merged, total, missing })
    }
}

impl Found<Article> {
    fn places(self, part: &Part) -> Found<Place> {
        let Found { merged: Merged { items, more }, total, missing } = self;
        let place = |article: &Article| (article.section, Position::of(article, part.order));
        Found { merged: Merged { items: items.iter().map(place).collect(), more }, total, missing }
    }
}

/// The part with the places around it. A page by offset is told by the total whether the list goes on.
fn placed(found: Found<Article>, part: &Part) -> NewsList {
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
