//! The costs of stored hashes. They are counted here, because the databases have no common function that cuts
//! a text.

use std::collections::BTreeMap;

use crate::ports::HashCost;

/// The most hashes that are read.
pub const SAMPLE: i64 = 10_000;

/// Counts hashes by the text that they begin with. A text that is not a hash is left out.
pub fn count_costs(hashes: &[String]) -> Vec<HashCost> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for head in hashes.iter().filter_map(|hash| head(hash)) {
        *counts.entry(head).or_default() += 1;
    }
    counts.into_iter().map(|(head, accounts)| HashCost { head: head.to_owned(), accounts }).collect()
}

/// Returns the hash up to its fourth dollar: without the salt and what follows.
fn head(hash: &str) -> Option<&str> {
    let (at, _) = hash.match_indices('$').nth(3)?;
    Some(&hash[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_counted_by_their_cost_and_other_texts_are_left_out() {
        let hash = |passes: u32| format!("$argon2id$v=19$m=19456,t={passes},p=1$c2FsdA$aGFzaA");
        let costs = count_costs(&[hash(2), hash(3), hash(2), "$argon2id$of-7".to_owned(), String::new()]);
        let expected = [(2, 2), (3, 1)].map(|(passes, accounts)| HashCost {
            head: format!("$argon2id$v=19$m=19456,t={passes},p=1$"),
            accounts,
        });
        assert_eq!(costs, expected);
    }
}
