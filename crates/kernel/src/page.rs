/// The most items a page may have.
pub const MAX_LIMIT: u32 = 100;
/// The furthest item that pages reach; beyond it a cursor is the way.
pub const MAX_REACH: u32 = 10_000;

/// The most bytes of text on a page with content. A single text stands on a page of its own, however long it is.
pub const MAX_PAGE_TEXT: u64 = 2 * 1024 * 1024;

/// Returns how many of the texts of these sizes, taken in this order, fit on one page: at least one, if there are any.
pub fn texts_that_fit(sizes: impl IntoIterator<Item = u64>) -> usize {
    let mut bytes: u64 = 0;
    let fits = |(place, size): &(usize, u64)| {
        bytes = bytes.saturating_add(*size);
        *place == 0 || bytes <= MAX_PAGE_TEXT
    };
    sizes.into_iter().enumerate().take_while(fits).count()
}

/// A page of a list: numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    number: u32,
    limit: u32,
}

/// Why a page was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Page 0.
    #[error("pages count from 1")]
    Number,
    /// A limit outside 1 to [`MAX_LIMIT`].
    #[error("a page has 1 to 100 items")]
    Limit,
    /// A page whose last item lies beyond [`MAX_REACH`].
    #[error("pages reach as far as the 10,000th item")]
    Reach,
}

impl Page {
    /// Checks the range; nothing is clamped in silence.
    pub fn new(number: u32, limit: u32) -> Result<Self, PageError> {
        if number == 0 {
            return Err(PageError::Number);
        }
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(PageError::Limit);
        }
        match number.checked_mul(limit) {
            Some(reach) if reach <= MAX_REACH => Ok(Self { number, limit }),
            _ => Err(PageError::Reach),
        }
    }

    /// The page's number, from 1.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// How many items it holds at the most.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// How many items come before it.
    pub const fn offset(self) -> u32 {
        (self.number - 1) * self.limit
    }

    /// How many items end with its last one: what a merge of several lists must look at.
    pub const fn reach(self) -> u32 {
        self.number * self.limit
    }

    /// How many pages of this size hold `total` items, as far as pages reach: no page is promised that would be refused.
    pub fn pages(self, total: u64) -> u64 {
        total.div_ceil(self.limit.into()).min((MAX_REACH / self.limit).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_text_that_would_exceed_its_bound_and_holds_at_least_one() {
        assert_eq!(texts_that_fit([]), 0);
        assert_eq!(texts_that_fit([MAX_PAGE_TEXT, 0, 0]), 3);
        assert_eq!(texts_that_fit([MAX_PAGE_TEXT, 1, 0]), 1);
        assert_eq!(texts_that_fit([MAX_PAGE_TEXT + 1, 0]), 1);
        assert_eq!(texts_that_fit([u64::MAX, u64::MAX]), 1);
        assert_eq!(texts_that_fit([500_000; 100]), 4);
    }

    #[test]
    fn pages_outside_their_range_are_refused_by_name() {
        assert_eq!(Page::new(0, 10), Err(PageError::Number));
        assert_eq!(Page::new(1, 0), Err(PageError::Limit));
        assert_eq!(Page::new(1, 101), Err(PageError::Limit));
        assert_eq!(Page::new(101, 100), Err(PageError::Reach));
        assert_eq!(Page::new(u32::MAX, 100), Err(PageError::Reach));
        let last = Page::new(100, 100).expect("the last page within reach");
        assert_eq!((last.offset(), last.reach(), last.pages(9_901)), (9_900, 10_000, 100));
    }
    #[test]
    fn no_page_is_promised_that_would_be_refused() {
        for limit in [1, 3, 7, 99, 100] {
            let first = Page::new(1, limit).expect("the first page");
            assert_eq!(first.pages(0), 0);
            let promised = u32::try_from(first.pages(u64::MAX)).expect("a number of a page");
            assert!(Page::new(promised, limit).is_ok(), "{limit}");
            assert_eq!(Page::new(promised + 1, limit), Err(PageError::Reach), "{limit}");
        }
    }
}
