use kernel::{Section, Timestamp, UserId};

/// The erasure of a person: who was erased when, and which services have completed their part. An account is
/// erased at most once, so its id names the erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The account.
    pub person: UserId,
    /// The time of the erasure: the account was gone from then on.
    pub erased_at: Timestamp,
    /// The time at which the last receipt arrived; `None` while one is missing.
    pub completed_at: Option<Timestamp>,
    /// The receipts, by service.
    pub receipts: Vec<Receipt>,
}

/// The receipt of a service: nothing of the person is left there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The service.
    pub service: String,
    /// The time at which its part was complete.
    pub at: Timestamp,
}

/// The services that store something about people, by name. The orchestrator owns no data: its cache holds
/// only what everyone may see, and loses the articles of the person when the event arrives.
pub fn services_with_personal_data() -> Vec<&'static str> {
    let sections = Section::ALL.into_iter().map(Section::service);
    [crate::NAME].into_iter().chain(sections).chain(["recommendations"]).collect()
}

impl Erasure {
    /// Returns the services whose receipt is missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let is_missing = |service: &&str| self.receipts.iter().all(|receipt| receipt.service != *service);
        match self.completed_at {
            Some(_) => Vec::new(),
            None => services_with_personal_data().into_iter().filter(is_missing).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_waits_for_the_services_without_a_receipt_until_it_is_complete() {
        let at = Timestamp::from_millis(1);
        let receipt = |service: &str| Receipt { service: service.to_owned(), at };
        let person = UserId::new(uuid::Uuid::nil());
        let receipts = vec![receipt("users"), receipt("sports-news")];
        let open = Erasure { person, erased_at: at, completed_at: None, receipts };
        assert_eq!(open.missing(), ["famous-news", "politics-news", "recommendations"]);
        // An erasure of an older program has no receipts and counts as complete.
        let old = Erasure { completed_at: Some(at), receipts: Vec::new(), ..open };
        assert!(old.missing().is_empty());
    }
}
