use super::{Article, Order, Part, Position, Scope, Start};

/// A part of one section's list, and how many articles the whole of it has.
#[derive(Debug, Clone, Default)]
pub struct SectionList {
    /// In the order that was asked for; as many as were asked for, or all there are.
    pub articles: Vec<Article>,
    /// How many there are in all, wherever the part begins.
    pub total: u64,
}

/// Articles that were named, as far as one answer holds them.
#[derive(Debug, Clone, Default)]
pub struct Picked {
    /// In the order that was asked for.
    pub articles: Vec<Article>,
    /// Whether the rest was left out because the texts would exceed [`kernel::MAX_PAGE_TEXT`].
    pub cut: bool,
}

/// The same as places alone.
#[derive(Debug, Clone, Default)]
pub struct SectionPositions {
    /// In the order that was asked for.
    pub positions: Vec<Position>,
    /// How many there are in all.
    pub total: u64,
}

/// A part of several lists as if they were one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged<T> {
    /// What is on it, in order.
    pub items: Vec<T>,
    /// Whether the lists hold more in the direction that the part looks.
    pub more: bool,
}

/// What each section is asked for, so that its answer holds whatever of it may stand on `part` of the whole, and one more where that
/// tells whether the list goes on.
///
/// By offset any of a section's first articles may stand on the page; so each is asked for all up to the page's end. By place each is
/// asked for what comes after (or before) the same place.
pub fn share(part: &Part, scope: Scope) -> Part {
    let (start, limit) = match (part.start, scope) {
        (Start::Offset(offset), Scope::All) => (Start::Offset(0), offset + part.limit),
        (Start::Offset(_), Scope::One(_)) => (part.start, part.limit),
        (Start::After(_) | Start::Before(_), _) => (part.start, part.limit + 1),
    };
    Part { start, limit, ..part.clone() }
}

/// The part of the one order of all lists, from what each section answered to its [`share`]. A page is never put together from the same
/// page of each section, which would leave articles out and repeat others.
pub fn merge<T>(
    lists: Vec<Vec<T>>,
    part: &Part,
    scope: Scope,
    place: impl Fn(&T, Order) -> Position,
) -> Merged<T> {
    let mut items: Vec<T> = lists.into_iter().flatten().collect();
    // The lists are runs that are in order already, and the standard library's stable sort merges such runs instead of sorting anew;
    // unlike a hand-written merge it is also right should a section ever answer out of order.
    items.sort_by(|one, other| part.order.compare(&place(one, part.order), &place(other, part.order)));
    let limit = part.limit as usize;
    let more = items.len() > limit;
    match (part.start, scope) {
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

    /// The places of a section's articles, in the order of its list.
    fn section(number: usize, moments: &[i64], order: Order) -> Vec<Position> {
        let mut all: Vec<Position> =
            moments.iter().enumerate().map(|(index, at)| place(number, index, *at)).collect();
        all.sort_by(|one, other| order.compare(one, other));
        all
    }

    fn place(section: usize, index: usize, at: i64) -> Position {
        // Ids of sections run together, so that ties are decided across them.
        let id = Uuid::from_u128(((index as u128 * 7919 % 8191) << 8) | section as u128);
        Position { at: Timestamp::from_millis(at), id: ArticleId::new(id) }
    }

    /// What a section answers, by the letter of the law.
    fn answer(all: &[Position], part: &Part) -> Vec<Position> {
        let limit = part.limit as usize;
        let is = |one: &Position, other: &Position, wanted| part.order.compare(one, other) == wanted;
        match part.start {
            Start::Offset(offset) => all.iter().skip(offset as usize).take(limit).copied().collect(),
            Start::After(place) => {
                let after = |each: &&Position| is(each, &place, std::cmp::Ordering::Greater);
                all.iter().filter(after).take(limit).copied().collect()
            }
            Start::Before(place) => {
                let before = |each: &&Position| is(each, &place, std::cmp::Ordering::Less);
                let all: Vec<Position> = all.iter().filter(before).copied().collect();
                all[all.len().saturating_sub(limit)..].to_vec()
            }
        }
    }

    fn merged(sections: &[Vec<Position>; 3], part: &Part) -> Merged<Position> {
        let share = share(part, Scope::All);
        let answers = sections.iter().map(|all| answer(all, &share)).collect();
        merge(answers, part, Scope::All, |place, _| *place)
    }

    fn whole(sections: &[Vec<Position>; 3], order: Order) -> Vec<Position> {
        let mut all: Vec<Position> = sections.iter().flatten().copied().collect();
        all.sort_by(|one, other| order.compare(one, other));
        all
    }

    fn sections() -> impl Strategy<Value = [Vec<i64>; 3]> {
        // Few different moments, so that ties are common.
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

    fn part(order: Order, start: Start, limit: u32) -> Part {
        Part { order, start, ..Part::newest(0, limit) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_page_is_a_slice_of_the_merged_order(moments in sections(), order in orders(), page in 0u32..60, limit in 1u32..=100) {
            let sections = lists(&moments, order);
            let found = merged(&sections, &part(order, Start::Offset(page * limit), limit)).items;
            let expected: Vec<Position> =
                whole(&sections, order).into_iter().skip((page * limit) as usize).take(limit as usize).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_walk_meets_every_article_once_and_the_way_back_meets_the_same(moments in sections(), order in orders(), limit in 1u32..=100) {
            let sections = lists(&moments, order);
            let whole = whole(&sections, order);
            let (mut forth, mut start) = (Vec::new(), Start::Offset(0));
            let last = loop {
                let found = merged(&sections, &part(order, start, limit));
                let Some(end) = found.items.last().copied() else { break None };
                // Only by place it is known whether there is more; a page by offset asks the total.
                let more = if start == Start::Offset(0) { whole.len() > limit as usize } else { found.more };
                forth.extend(found.items.iter().copied());
                prop_assert_eq!(more, forth.len() < whole.len());
                if !more { break found.items.first().copied() }
                start = Start::After(end);
            };
            prop_assert_eq!(&forth, &whole);
            let Some(mut place) = last else { return Ok(()) };
            let mut back: Vec<Position> = whole.iter().copied().filter(|each| order.compare(each, &place).is_ge()).collect();
            loop {
                let found = merged(&sections, &part(order, Start::Before(place), limit));
                let Some(first) = found.items.first().copied() else { break };
                place = first;
                back.splice(0..0, found.items);
                prop_assert_eq!(found.more, back.len() < whole.len());
            }
            prop_assert_eq!(back, whole);
        }

        #[test]
        fn a_walk_neither_skips_nor_repeats_while_articles_come(
            moments in sections(),
            coming in prop::collection::vec((0usize..3, 0i64..60), 0..60),
            order in orders(),
            limit in 1u32..40,
            turning in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut sections = lists(&moments, order);
            let there = whole(&sections, order);
            let (mut met, mut start, mut coming) = (Vec::new(), Start::Offset(0), coming.into_iter().enumerate());
            for back in turning.into_iter().chain(std::iter::repeat(false)) {
                let found = merged(&sections, &part(order, start, limit)).items;
                let (Some(first), Some(last)) = (found.first().copied(), found.last().copied()) else {
                    break;
                };
                met.push(found);
                // Now and then a page back, and forth again from there: what was met stays in its order.
                start = if back && met.len() % 3 == 0 { Start::Before(first) } else { Start::After(last) };
                for (index, (number, at)) in coming.by_ref().take(5) {
                    sections[number].push(place(number, 2_000 + index, at));
                    sections[number].sort_by(|one, other| order.compare(one, other));
                }
            }
            for page in &met {
                let ordered = page.windows(2).all(|pair| order.compare(&pair[0], &pair[1]).is_lt());
                prop_assert!(ordered, "each page is in order and repeats nothing");
            }
            let seen: BTreeSet<Position> = met.into_iter().flatten().collect();
            prop_assert!(there.iter().all(|place| seen.contains(place)), "nothing that was there is skipped");
        }
    }
}
