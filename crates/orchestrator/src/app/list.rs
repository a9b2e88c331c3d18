use chassis::http::Caller;
use kernel::Section;

use super::{App, ArticleError};
use crate::domain::{
    Article, ListSlice, Merged, Position, Scope, SectionList, SectionPositions, Start, merge, widen,
};

/// A request for a slice of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The sections of the list.
    pub scope: Scope,
    /// The slice.
    pub slice: ListSlice,
    /// The sections that are left out from the start: see [`crate::domain::Cursor`].
    pub excluded: Vec<Section>,
    /// True if the texts are included.
    pub content: bool,
    /// True if the slice is refused when its texts exceed the bound of a page, instead of being cut short.
    pub whole: bool,
}

/// A slice of a list, and the sections that are missing from it.
#[derive(Debug, Clone)]
pub struct NewsList {
    /// The articles, in the order of the list.
    pub articles: Vec<Article>,
    /// The number of articles in the whole list, in the sections that answered.
    pub total: u64,
    /// The sections that did not answer in time or that were left out, in the order of [`Section::ALL`].
    pub missing: Vec<Section>,
    /// The position of the first article, if there are articles before it.
    pub before: Option<Position>,
    /// The position of the last article, if there are articles after it.
    pub after: Option<Position>,
}

/// An article's section and its position in the list.
pub(super) type ArticlePosition = (Section, Position);

/// The merged answers of the sections.
pub(super) struct Collected<T> {
    pub merged: Merged<T>,
    pub total: u64,
    pub missing: Vec<Section>,
}

impl App {
    /// Returns a slice of the merged list of the requested sections.
    ///
    /// The sections are called in parallel. A section that takes longer than the others and than
    /// `section_deadline` is missing. A later page is found by positions only, so that the articles before it
    /// are not transferred. Texts are loaded only for the articles on the page, and only as many as fit on a
    /// page.
    ///
    /// # Errors
    /// Fails if no section answered, if one refused the request itself, or if the texts of a page by number
    /// exceed its bound.
    pub async fn list(&self, list: &ListRequest, caller: &Caller) -> Result<NewsList, ArticleError> {
        let ListRequest { scope, slice, excluded, .. } = list;
        let sections: Vec<Section> =
            scope.sections().into_iter().filter(|section| !excluded.contains(section)).collect();
        let is_later_page =
            *scope == Scope::All && matches!(slice.start, Start::Offset(offset) if offset > 0);
        let mut collected = if is_later_page {
            let collected = self.find_positions(&sections, list, caller).await?;
            self.load(collected, list, caller).await?
        } else {
            let collected = self.find_articles(&sections, list, caller).await?;
            if list.content { self.load(collected.positions(slice), list, caller).await? } else { collected }
        };
        collected.missing.extend(excluded);
        collected.missing.sort();
        collected.missing.dedup();
        Ok(with_positions(collected, slice))
    }

    async fn find_articles(
        &self,
        sections: &[Section],
        list: &ListRequest,
        caller: &Caller,
    ) -> Result<Collected<Article>, ArticleError> {
        let widened = &widen(&list.slice, list.scope);
        let asked = sections
            .iter()
            .map(|section| (*section, self.sections.list(*section, widened, caller.token.as_deref())));
        let (lists, missing) = self.gather(false).ask(asked).await?;
        let total = lists.iter().map(|(_, list)| list.total).sum();
        let lists = lists.into_iter().map(|(_, SectionList { articles, .. })| articles).collect();
        Ok(Collected { merged: merge(lists, &list.slice, list.scope, Position::of), total, missing })
    }

    async fn find_positions(
        &self,
        sections: &[Section],
        list: &ListRequest,
        caller: &Caller,
    ) -> Result<Collected<ArticlePosition>, ArticleError> {
        let widened = &widen(&list.slice, list.scope);
        let asked = sections
            .iter()
            .map(|section| (*section, self.sections.positions(*section, widened, caller.token.as_deref())));
        let (lists, missing) = self.gather(false).ask(asked).await?;
        let total = lists.iter().map(|(_, list)| list.total).sum();
        let of_section = |(section, list): (Section, SectionPositions)| {
            list.positions.into_iter().map(move |position| (section, position)).collect()
        };
        let lists = lists.into_iter().map(of_section).collect();
        let merged = merge(lists, &list.slice, list.scope, |(_, position), _| *position);
        Ok(Collected { merged, total, missing })
    }
}

impl Collected<Article> {
    fn positions(self, slice: &ListSlice) -> Collected<ArticlePosition> {
        let Collected { merged: Merged { items, more }, total, missing } = self;
        let position = |article: &Article| (article.section, Position::of(article, slice.order));
        Collected { merged: Merged { items: items.iter().map(position).collect(), more }, total, missing }
    }
}

/// Adds the positions around a slice. For a slice by offset, the total shows if the list continues.
fn with_positions(collected: Collected<Article>, slice: &ListSlice) -> NewsList {
    let Collected { merged: Merged { items, more }, total, missing } = collected;
    let at = |article: Option<&Article>| article.map(|article| Position::of(article, slice.order));
    let (first, last) = (at(items.first()), at(items.last()));
    let (before, after) = match slice.start {
        Start::Offset(offset) => {
            let end = u64::from(offset) + items.len() as u64;
            (first.filter(|_| offset > 0), last.filter(|_| total > end))
        }
        Start::After(_) => (first, last.filter(|_| more)),
        Start::Before(_) => (first.filter(|_| more), last),
    };
    NewsList { articles: items, total, missing, before, after }
}
