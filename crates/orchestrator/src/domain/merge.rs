use super::{Article, ListSlice, Order, Position, Scope, Start};

/// A slice of one section's list, with the total of the list.
#[derive(Debug, Clone, Default)]
pub struct SectionList {
    /// The articles, in the requested order: as many as requested, or all that exist.
    pub articles: Vec<Article>,
    /// The number of articles in the whole list.
    pub total: u64,
}

/// Requested articles, as many as fit into one answer.
#[derive(Debug, Clone, Default)]
pub struct ArticleBatch {
    /// The articles, in the requested order.
    pub articles: Vec<Article>,
    /// True if the rest was left out because the texts would exceed [`kernel::MAX_PAGE_TEXT`].
    pub truncated: bool,
}

/// A slice of one section's list as positions only, with the total of the list.
#[derive(Debug, Clone, Default)]
pub struct SectionPositions {
    /// The positions, in the requested order.
    pub positions: Vec<Position>,
    /// The number of articles in the whole list.
    pub total: u64,
}

/// A slice of several lists, merged into one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// True if there are more items in the direction of the slice.
    pub more: bool,
}

/// Returns the slice to request from each section, so that its answer contains all of its articles that may
/// be in `slice` of the whole list. For a slice by position it is one article longer, which shows if the list
/// continues.
///
/// By offset, any of a section's first articles may be on the page, so all articles up to the page's end are
/// requested. By position, the articles after (or before) the same position are requested.
pub fn widen(slice: &ListSlice, scope: Scope) -> ListSlice {
    let (start, limit) = match (slice.start, scope) {
        (Start::Offset(offset), Scope::All) => (Start::Offset(0), offset + slice.limit),
        (Start::Offset(_), Scope::One(_)) => (slice.start, slice.limit),
        (Start::After(_) | Start::Before(_), _) => (slice.start, slice.limit + 1),
    };
    ListSlice { start, limit, ..slice.clone() }
}

/// Merges the answers of the sections to their [`widen`] into one slice of the whole list. A page is never
/// built by joining the same page of each section, which would leave articles out and repeat others.
pub fn merge<T>(
    lists: Vec<Vec<T>>,
    slice: &ListSlice,
    scope: Scope,
    position: impl Fn(&T, Order) -> Position,
) -> Merged<T> {
    let mut items: Vec<T> = lists.into_iter().flatten().collect();
    // Each list is already in order, and the standard library's stable sort merges such runs instead of
    // sorting them again. Unlike a hand-written merge it is also correct if a section answers out of order.
    items.sort_by(|one, other| {
        slice.order.compare(&position(one, slice.order), &position(other, slice.order))
    });
    let limit = slice.limit as usize;
    let more = items.len() > limit;
    match (slice.start, scope) {
        (Start::Offset(offset), Scope::All) => {
            let items: Vec<T> = items.into_iter().skip(offset as usize).take(limit).collect();
            Merged { items, more: false }
        }
        (Start::Offset(_), Scope::One(_)) => Merged { items, more: false },
        (Start::After(_), _) => {
            items.truncate(limit);
            Merged { items, more }
        }
        (Start::Before(_), _) => Merged { items: items.split_off(items.len().saturating_sub(limit)), more },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kernel::{ArticleId, Timestamp};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// Returns the positions of a section's articles, in the order of its list.
    fn section(number: usize, moments: &[i64], order: Order) -> Vec<Position> {
        let mut all: Vec<Position> =
            moments.iter().enumerate().map(|(index, at)| position(number, index, *at)).collect();
        all.sort_by(|one, other| order.compare(one, other));
        all
    }

    fn position(section: usize, index: usize, at: i64) -> Position {
        // The ids of sections interleave, so that ties are decided across them.
        let id = Uuid::from_u128(((index as u128 * 7919 % 8191) << 8) | section as u128);
        Position { at: Timestamp::from_millis(at), id: ArticleId::new(id) }
    }

    /// Returns the answer of a section, by the definition of a slice.
    fn answer(all: &[Position], slice: &ListSlice) -> Vec<Position> {
        let limit = slice.limit as usize;
        let is = |one: &Position, other: &Position, wanted| slice.order.compare(one, other) == wanted;
        match slice.start {
            Start::Offset(offset) => all.iter().skip(offset as usize).take(limit).copied().collect(),
            Start::After(position) => {
                let after = |each: &&Position| is(each, &position, std::cmp::Ordering::Greater);
                all.iter().filter(after).take(limit).copied().collect()
            }
            Start::Before(position) => {
                let before = |each: &&Position| is(each, &position, std::cmp::Ordering::Less);
                let all: Vec<Position> = all.iter().filter(before).copied().collect();
                all[all.len().saturating_sub(limit)..].to_vec()
            }
        }
    }

    fn merged(sections: &[Vec<Position>; 3], slice: &ListSlice) -> Merged<Position> {
        let widened = widen(slice, Scope::All);
        let answers = sections.iter().map(|all| answer(all, &widened)).collect();
        merge(answers, slice, Scope::All, |position, _| *position)
    }

    fn whole(sections: &[Vec<Position>; 3], order: Order) -> Vec<Position> {
        let mut all: Vec<Position> = sections.iter().flatten().copied().collect();
        all.sort_by(|one, other| order.compare(one, other));
        all
    }

    fn sections() -> impl Strategy<Value = [Vec<i64>; 3]> {
        // There are few different moments, so that ties are common.
        let size = prop_oneof![Just(0usize), Just(3), Just(500), 0usize..40];
        let moments = move || size.clone().prop_flat_map(|count| prop::collection::vec(0i64..60, count));
        [moments(), moments(), moments()]
    }

    fn orders() -> impl Strategy<Value = Order> {
        prop::sample::select(Order::ALL.to_vec())
    }

    fn lists(moments: &[Vec<i64>; 3], order: Order) -> [Vec<Position>; 3] {
        [0, 1, 2].map(|number| section(number, &moments[number], order))
    }

    fn slice(order: Order, start: Start, limit: u32) -> ListSlice {
        ListSlice { order, start, ..ListSlice::newest(0, limit) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_page_is_a_slice_of_the_merged_order(moments in sections(), order in orders(), page in 0u32..60, limit in 1u32..=100) {
            let sections = lists(&moments, order);
            let found = merged(&sections, &slice(order, Start::Offset(page * limit), limit)).items;
            let expected: Vec<Position> =
                whole(&sections, order).into_iter().skip((page * limit) as usize).take(limit as usize).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_walk_visits_every_article_once_and_so_does_the_walk_back(moments in sections(), order in orders(), limit in 1u32..=100) {
            let sections = lists(&moments, order);
            let whole = whole(&sections, order);
            let (mut forth, mut start) = (Vec::new(), Start::Offset(0));
            let last = loop {
                let found = merged(&sections, &slice(order, start, limit));
                let Some(end) = found.items.last().copied() else { break None };
                // Only a slice by position knows if there is more; a page by offset compares with the total.
                let more = if start == Start::Offset(0) { whole.len() > limit as usize } else { found.more };
                forth.extend(found.items.iter().copied());
                prop_assert_eq!(more, forth.len() < whole.len());
                if !more { break found.items.first().copied() }
                start = Start::After(end);
            };
            prop_assert_eq!(&forth, &whole);
            let Some(mut position) = last else { return Ok(()) };
            let mut back: Vec<Position> = whole.iter().copied().filter(|each| order.compare(each, &position).is_ge()).collect();
            loop {
                let found = merged(&sections, &slice(order, Start::Before(position), limit));
                let Some(first) = found.items.first().copied() else { break };
                position = first;
                back.splice(0..0, found.items);
                prop_assert_eq!(found.more, back.len() < whole.len());
            }
            prop_assert_eq!(back, whole);
        }

        #[test]
        fn a_walk_neither_skips_nor_repeats_articles_while_others_are_added(
            moments in sections(),
            added in prop::collection::vec((0usize..3, 0i64..60), 0..60),
            order in orders(),
            limit in 1u32..40,
            turning in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut sections = lists(&moments, order);
            let initial = whole(&sections, order);
            let (mut pages, mut start, mut added) = (Vec::new(), Start::Offset(0), added.into_iter().enumerate());
            for back in turning.into_iter().chain(std::iter::repeat(false)) {
                let found = merged(&sections, &slice(order, start, limit)).items;
                let (Some(first), Some(last)) = (found.first().copied(), found.last().copied()) else {
                    break;
                };
                pages.push(found);
                // Sometimes the walk goes back one page and forward again from there; the order stays the
                // same.
                start = if back && pages.len() % 3 == 0 { Start::Before(first) } else { Start::After(last) };
                for (index, (number, at)) in added.by_ref().take(5) {
                    sections[number].push(position(number, 2_000 + index, at));
                    sections[number].sort_by(|one, other| order.compare(one, other));
                }
            }
            for page in &pages {
                let ordered = page.windows(2).all(|pair| order.compare(&pair[0], &pair[1]).is_lt());
                prop_assert!(ordered, "each page is in order and repeats no article");
            }
            let visited: BTreeSet<Position> = pages.into_iter().flatten().collect();
            prop_assert!(initial.iter().all(|position| visited.contains(position)), "no initial article is skipped");
        }
    }
}
