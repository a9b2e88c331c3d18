use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chassis::Context;
use kernel::{Kind, MAX_PAGE_TEXT, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shelf::LARGEST_LIST;

/// Bytes that a page of texts may take while it is made: the texts as the section sent them, as values, and as JSON.
const WHILE_MADE: u32 = 4 * MAX_PAGE_TEXT as u32;

/// The memory that lists with texts may take in this process, in bytes.
///
/// A list takes a fixed share while it is made, and the bytes of its body from then on until the last of them is sent: readers who
/// take their time can use up this budget, and nothing else.
pub struct TextBudget(Arc<Semaphore>);

/// A share of a [`TextBudget`].
pub struct TextPermit(OwnedSemaphorePermit);

impl TextBudget {
    /// The smallest budget that can work.
    pub const LEAST: u32 = WHILE_MADE;

    /// Creates a budget of so many bytes.
    pub fn new(bytes: u32) -> Self {
        Self(Arc::new(Semaphore::new(bytes as usize)))
    }

    /// Takes the share of one list, and waits for it up to half of the time that the request has left.
    ///
    /// # Errors
    /// `busy`, if the budget is used up for so long.
    pub async fn acquire(&self) -> Result<TextPermit, Refusal> {
        let patience = Context::current().deadline.left() / 2;
        match tokio::time::timeout(patience, self.0.clone().acquire_many_owned(WHILE_MADE)).await {
            Ok(Ok(permit)) => Ok(TextPermit(permit)),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

impl TextPermit {
    /// Returns the same body, which holds as much of the budget as it has bytes for as long as it exists. One that is as small as
    /// other lists holds nothing.
    pub fn hold(mut self, body: Bytes) -> Bytes {
        if body.len() <= LARGEST_LIST {
            return body;
        }
        let surplus = self.0.num_permits().saturating_sub(body.len());
        drop(self.0.split(surplus));
        Bytes::from_owner(Held { body, _permit: self.0 })
    }
}

struct Held {
    body: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn busy() -> Refusal {
    let detail = "Too many lists with content are being made or sent at this moment. Try again, or ask without `include=content`.";
    Refusal { retry_after: Some(Duration::from_secs(1)), ..Refusal::new(Kind::Unavailable, "busy", detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(budget: &TextBudget) -> usize {
        budget.0.available_permits()
    }

    #[tokio::test]
    async fn a_body_holds_its_bytes_of_the_budget_until_the_last_of_its_copies_is_gone() {
        let budget = TextBudget::new(2 * WHILE_MADE);
        let permit = budget.acquire().await.expect("there is room");
        assert_eq!(free(&budget), WHILE_MADE as usize);
        let body = permit.hold(vec![b'x'; 3_000_000].into());
        assert_eq!((free(&budget), body.len()), (2 * WHILE_MADE as usize - 3_000_000, 3_000_000));
        let copy = body.slice(10..);
        drop(body);
        assert_eq!(free(&budget), 2 * WHILE_MADE as usize - 3_000_000);
        drop(copy);
        assert_eq!(free(&budget), 2 * WHILE_MADE as usize);
    }

    #[tokio::test]
    async fn a_small_body_holds_nothing_and_a_used_up_budget_is_busy() {
        let budget = TextBudget::new(WHILE_MADE);
        let body = budget.acquire().await.expect("there is room").hold(vec![b'x'; LARGEST_LIST].into());
        let _all = budget.acquire().await.expect("the small one holds nothing");
        let in_a_hurry = Context::current().within(Duration::from_millis(2));
        let refused = in_a_hurry.scope(budget.acquire()).await.err().expect("it is used up");
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Unavailable, "busy"));
        assert!(refused.retry_after.is_some());
        drop(body);
    }
}
