/// The maximum number of items on a page.
pub const MAX_LIMIT: u32 = 100;
/// The number of the last item that pages by number can reach. Further items need a cursor.
pub const MAX_REACH: u32 = 10_000;

/// The maximum size of all texts on a page with content, in bytes. A longer text is alone on its page.
pub const MAX_PAGE_TEXT: u64 = 2 * 1024 * 1024;

/// Returns the number of texts of these sizes that fit on one page in this order. It is at least one, if
/// there are any.
pub fn texts_that_fit(sizes: impl IntoIterator<Item = u64>) -> usize {
    let mut bytes: u64 = 0;
    let fits = |(place, size): &(usize, u64)| {
        bytes = bytes.saturating_add(*size);
        *place == 0 || bytes <= MAX_PAGE_TEXT
    };
    sizes.into_iter().enumerate().take_while(fits).count()
}

/// A page of a list. Numbers start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    number: u32,
    limit: u32,
}

/// The reason why a page is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Page 0.
    #[error("must be at least 1")]
    Number,
    /// A limit outside of 1 to [`MAX_LIMIT`].
    #[error("must be between 1 and 100")]
    Limit,
    /// A page whose last item lies beyond [`MAX_REACH`].
    #[error("must end at the 10,000th item at most; use a cursor for further items")]
    Reach,
}

impl Page {
    /// Checks the range. Invalid values are refused, not clamped.
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

    /// Returns the number of the page, starting at 1.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Returns the maximum number of items on the page.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// Returns the number of items before the page.
    pub const fn offset(self) -> u32 {
        (self.number - 1) * self.limit
    }

    /// Returns the number of items up to the last one of the page. A merge of several lists must look at all
    /// of them.
    pub const fn reach(self) -> u32 {
        self.number * self.limit
    }

    /// Returns the number of pages of this size for `total` items, without pages that would be refused.
    pub fn pages(self, total: u64) -> u64 {
        total.div_ceil(self.limit.into()).min((MAX_REACH / self.limit).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_text_that_would_exceed_its_bound_and_has_at_least_one() {
        assert_eq!(texts_that_fit([]), 0);
        assert_eq!(texts_that_fit([MAX_PAGE_TEXT, 0, 0]), 3);
        assert_eq!(texts_that_fit([MAX_PAGE_TEXT, 1, 0]), 1);
        assert_eq!(texts_that_fit([MAX_PAGE_TEXT + 1, 0]), 1);
        assert_eq!(texts_that_fit([u64::MAX, u64::MAX]), 1);
        assert_eq!(texts_that_fit([500_000; 100]), 4);
    }

    #[test]
    fn pages_outside_their_range_are_refused_with_the_reason() {
        assert_eq!(Page::new(0, 10), Err(PageError::Number));
        assert_eq!(Page::new(1, 0), Err(PageError::Limit));
        assert_eq!(Page::new(1, 101), Err(PageError::Limit));
        assert_eq!(Page::new(101, 100), Err(PageError::Reach));
        assert_eq!(Page::new(u32::MAX, 100), Err(PageError::Reach));
        let last = Page::new(100, 100).expect("the last page within reach");
        assert_eq!((last.offset(), last.reach(), last.pages(9_901)), (9_900, 10_000, 100));
    }
    #[test]
    fn the_number_of_pages_excludes_those_that_would_be_refused() {
        for limit in [1, 3, 7, 99, 100] {
            let first = Page::new(1, limit).expect("the first page");
            assert_eq!(first.pages(0), 0);
            let promised = u32::try_from(first.pages(u64::MAX)).expect("a number of a page");
            assert!(Page::new(promised, limit).is_ok(), "{limit}");
            assert_eq!(Page::new(promised + 1, limit), Err(PageError::Reach), "{limit}");
        }
    }
}
