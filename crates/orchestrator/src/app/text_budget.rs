use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chassis::Context;
use kernel::{Kind, MAX_PAGE_TEXT, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shelf::LARGEST_LIST;

/// The bytes that a page of texts may take while it is made: the texts as the section sent them, as values,
/// and as JSON.
const WHILE_MADE: u32 = 4 * MAX_PAGE_TEXT as u32;

/// The memory that lists with texts may take in this process, in bytes.
///
/// A list takes a fixed share while it is made, and then the bytes of its body until the last of them is
/// sent. So slow clients can use up this budget, and nothing else.
pub struct TextBudget(Arc<Semaphore>);

/// A share of a [`TextBudget`].
pub struct TextPermit(OwnedSemaphorePermit);

impl TextBudget {
    /// The smallest budget that can work.
    pub const MIN: u32 = WHILE_MADE;

    /// Creates a budget of `bytes`.
    pub fn new(bytes: u32) -> Self {
        Self(Arc::new(Semaphore::new(bytes as usize)))
    }

    /// Takes the share of one list. It waits for up to half of the request's remaining time.
    ///
    /// # Errors
    /// Fails with `busy` if the budget is used up during this time.
    pub async fn acquire(&self) -> Result<TextPermit, Refusal> {
        let wait = Context::current().deadline.left() / 2;
        match tokio::time::timeout(wait, self.0.clone().acquire_many_owned(WHILE_MADE)).await {
            Ok(Ok(permit)) => Ok(TextPermit(permit)),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

impl TextPermit {
    /// Returns the same body, which holds its number of bytes of the budget as long as it exists. A body that
    /// is as small as other lists holds nothing.
    pub fn attach_to(mut self, body: Bytes) -> Bytes {
        if body.len() <= LARGEST_LIST {
            return body;
        }
        let surplus = self.0.num_permits().saturating_sub(body.len());
        drop(self.0.split(surplus));
        Bytes::from_owner(BudgetedBody { body, _permit: self.0 })
    }
}

struct BudgetedBody {
    body: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for BudgetedBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn busy() -> Refusal {
    let detail = "Too many lists with content are being made or sent at the moment. Try again, or leave out `include=content`.";
    Refusal { retry_after: Some(Duration::from_secs(1)), ..Refusal::new(Kind::Unavailable, "busy", detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(budget: &TextBudget) -> usize {
        budget.0.available_permits()
    }

    #[tokio::test]
    async fn a_body_holds_its_bytes_of_the_budget_until_its_last_copy_is_dropped() {
        let budget = TextBudget::new(2 * WHILE_MADE);
        let permit = budget.acquire().await.expect("there is room");
        assert_eq!(free(&budget), WHILE_MADE as usize);
        let body = permit.attach_to(vec![b'x'; 3_000_000].into());
        assert_eq!((free(&budget), body.len()), (2 * WHILE_MADE as usize - 3_000_000, 3_000_000));
        let copy = body.slice(10..);
        drop(body);
        assert_eq!(free(&budget), 2 * WHILE_MADE as usize - 3_000_000);
        drop(copy);
        assert_eq!(free(&budget), 2 * WHILE_MADE as usize);
    }

    #[tokio::test]
    async fn a_small_body_holds_nothing_and_an_exhausted_budget_is_busy() {
        let budget = TextBudget::new(WHILE_MADE);
        let body = budget.acquire().await.expect("there is room").attach_to(vec![b'x'; LARGEST_LIST].into());
        let _all = budget.acquire().await.expect("the small one holds nothing");
        let short = Context::current().within(Duration::from_millis(2));
        let refusal = short.scope(budget.acquire()).await.err().expect("the budget is exhausted");
        assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Unavailable, "busy"));
        assert!(refusal.retry_after.is_some());
        drop(body);
    }
}
