use std::time::Duration;

use bytes::Bytes;
use chassis::Context;
use chassis::http::{ClientKey, ClientUnits, FairBudget, FairPermit};
use kernel::{Kind, MAX_PAGE_TEXT, Refusal};

use super::shelf::LARGEST_LIST;

/// The bytes that a page of texts may take while it is made: the texts as the section sent them, as values,
/// and as JSON.
const WHILE_MADE: u32 = 4 * MAX_PAGE_TEXT as u32;

/// The memory that lists with texts may take in this process, in bytes.
///
/// A list takes a fixed part while it is made, and then the bytes of its body until the last of them is sent.
/// One client may take half of it. So slow clients can use up the lists of their own address, and nothing
/// else.
pub struct TextBudget(FairBudget);

/// A part of a [`TextBudget`].
pub struct TextPermit(FairPermit);

/// The part of its client's share that a list needs.
pub struct TextShare(ClientUnits);

impl TextBudget {
    /// The smallest budget that can work: half of it is one list.
    pub const MIN: u32 = 2 * WHILE_MADE;

    /// Creates a budget of `bytes`.
    pub fn new(bytes: u32) -> Self {
        Self(FairBudget::new(bytes, bytes / 2))
    }

    /// Takes the part of one list from the share of a client, if it is free.
    pub fn try_take(&self, client: Option<ClientKey>) -> Option<TextShare> {
        self.0.try_take(client, WHILE_MADE).map(TextShare)
    }

    /// Takes the part of one list. It waits for up to half of the request's remaining time. `share` is what
    /// the client has taken already.
    ///
    /// # Errors
    /// Fails with `busy` if the budget, or the share of the client, is used up during this time.
    pub async fn acquire(
        &self,
        client: Option<ClientKey>,
        share: Option<TextShare>,
    ) -> Result<TextPermit, Refusal> {
        let wait = Context::current().deadline.left() / 2;
        let acquired = async {
            let share = match share {
                Some(TextShare(share)) => share,
                None => self.0.take(client, WHILE_MADE).await,
            };
            self.0.admit(share).await
        };
        tokio::time::timeout(wait, acquired).await.map(TextPermit).map_err(|_elapsed| busy())
    }
}

impl TextPermit {
    /// Returns the same body, which holds its number of bytes of the budget as long as it exists. A body that
    /// is as small as other lists holds nothing.
    pub fn attach_to(mut self, body: Bytes) -> Bytes {
        if body.len() <= LARGEST_LIST {
            return body;
        }
        self.0.shrink_to(body.len());
        Bytes::from_owner(BudgetedBody { body, _permit: self.0 })
    }
}

struct BudgetedBody {
    body: Bytes,
    _permit: FairPermit,
}

impl AsRef<[u8]> for BudgetedBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn busy() -> Refusal {
    let detail =
        "Too many pages with texts are being made or sent at the moment. Try again, or leave out `include`.";
    Refusal { retry_after: Some(Duration::from_secs(1)), ..Refusal::new(Kind::Unavailable, "busy", detail) }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(text: &str) -> Option<ClientKey> {
        Some(text.parse::<IpAddr>().expect("an address").into())
    }

    fn free(budget: &TextBudget) -> usize {
        budget.0.free()
    }

    /// Takes the part of one list, or finds the budget used up within two milliseconds.
    async fn acquire(budget: &TextBudget, from: Option<ClientKey>) -> Result<TextPermit, Refusal> {
        Context::current().within(Duration::from_millis(2)).scope(budget.acquire(from, None)).await
    }

    #[tokio::test]
    async fn a_body_holds_its_bytes_of_the_budget_until_its_last_copy_is_dropped() {
        let budget = TextBudget::new(2 * WHILE_MADE);
        let permit = acquire(&budget, None).await.expect("there is room");
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
        let permit = acquire(&budget, None).await.expect("there is room");
        let body = permit.attach_to(vec![b'x'; LARGEST_LIST].into());
        let _all = acquire(&budget, None).await.expect("the small one holds nothing");
        let refusal = acquire(&budget, None).await.err().expect("the budget is exhausted");
        assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Unavailable, "busy"));
        assert!(refusal.retry_after.is_some());
        drop(body);
    }

    #[tokio::test]
    async fn one_client_may_take_half_of_the_budget_and_no_more() {
        let budget = TextBudget::new(4 * WHILE_MADE);
        let slow = client("192.0.2.1");
        let mut bodies = Vec::new();
        while let Ok(permit) = acquire(&budget, slow).await {
            bodies.push(permit.attach_to(vec![b'x'; 2_000_000].into()));
        }
        assert!(bodies.len() > 2, "{} bodies", bodies.len());
        assert!(free(&budget) >= 2 * WHILE_MADE as usize, "{} bytes are free", free(&budget));
        assert!(budget.try_take(slow).is_none());
        let (_one, _two) = (acquire(&budget, client("192.0.2.2")).await, acquire(&budget, None).await);
        assert!(_one.is_ok() && _two.is_ok());
    }
}
