//! What stored hashes cost: counted here, since the databases have no common way to cut a text.

use std::collections::BTreeMap;

use crate::ports::HashCost;

/// The most hashes that are looked at.
pub const SAMPLE: i64 = 10_000;

/// Counts hashes by what they begin with. What is no hash has no cost.
pub fn heads(hashes: &[String]) -> Vec<HashCost> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for head in hashes.iter().filter_map(|hash| head(hash)) {
        *counts.entry(head).or_default() += 1;
    }
    counts.into_iter().map(|(head, accounts)| HashCost { head: head.to_owned(), accounts }).collect()
}

/// The hash without its salt and what follows: up to the fourth dollar.
fn head(hash: &str) -> Option<&str> {
    let (at, _) = hash.match_indices('$').nth(3)?;
    Some(&hash[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_counted_by_their_cost_and_what_is_no_hash_is_left_out() {
        let of = |passes: u32| format!("$argon2id$v=19$m=19456,t={passes},p=1$c2FsdA$aGFzaA");
        let counted = heads(&[of(2), of(3), of(2), "$argon2id$of-7".to_owned(), String::new()]);
        let wanted = [(2, 2), (3, 1)].map(|(passes, accounts)| HashCost {
            head: format!("$argon2id$v=19$m=19456,t={passes},p=1$"),
            accounts,
        });
        assert_eq!(counted, wanted);
    }
}
