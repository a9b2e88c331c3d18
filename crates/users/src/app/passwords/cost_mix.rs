//! The costs of hashing for unknown accounts, so that a login with an unknown e-mail takes as long as one
//! with a known e-mail.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::PasswordError;
use super::config::MAX_MEMORY_KIB;
use crate::domain::Credentials;
use crate::ports::HashCost;

/// The costs of the stored hashes, in their shares. Each has credentials that no password matches.
pub struct CostMix(Vec<(u64, Credentials)>);

impl CostMix {
    /// The most costs in the mix. Each raise of the cost adds one until all passwords are hashed again.
    const MAX: usize = 16;

    /// Creates the mix of these costs. Without accounts it consists of the current cost, whose hashes begin
    /// with `current_head`.
    pub fn new(current_head: &str, costs: &[HashCost]) -> Result<Self, PasswordError> {
        let mut costs: Vec<_> = costs.iter().filter(|cost| is_cost(&cost.head)).cloned().collect();
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.accounts));
        costs.truncate(Self::MAX);
        if costs.is_empty() {
            costs.push(HashCost { head: current_head.to_owned(), accounts: 1 });
        }
        // The current cost comes last. While passwords are hashed again its share grows, so an e-mail moves
        // to it once and stays there, as an account does.
        costs.sort_by_key(|cost| (cost.head == current_head, cost.head.clone()));
        let total: u64 = costs.iter().map(|cost| cost.accounts).sum();
        let (mut mix, mut counted) = (Vec::new(), 0u64);
        for cost in costs {
            counted += cost.accounts;
            let end = (u128::from(counted) << 32) / u128::from(total.max(1));
            mix.push((u64::try_from(end).unwrap_or(u64::MAX), unmatchable(&cost.head)?));
        }
        Ok(Self(mix))
    }

    /// Returns the credentials for `number`, which is distributed evenly over all numbers.
    pub fn get(&self, number: u32) -> &Credentials {
        let found = self.0.iter().find(|(end, _)| u64::from(number) < *end);
        let (_, credentials) = found.or(self.0.last()).expect("a mix has at least one cost");
        credentials
    }
}

/// Says whether a password can be compared with a hash that begins with `head`.
fn is_cost(head: &str) -> bool {
    let numbers = head.strip_prefix("$argon2id$v=19$").and_then(|rest| rest.strip_suffix('$'));
    let Some(numbers) = numbers else { return false };
    let mut names = ["m=", "t=", "p="].into_iter();
    numbers.split(',').all(|part| {
        let number = names.next().and_then(|name| part.strip_prefix(name));
        number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number <= MAX_MEMORY_KIB)
    }) && names.next().is_none()
}

/// Creates credentials that no password matches: random bytes in place of the hash. Comparing with them is
/// the full work.
fn unmatchable(current_head: &str) -> Result<Credentials, PasswordError> {
    let mut bytes = [0u8; 48];
    getrandom::fill(&mut bytes).map_err(PasswordError::broken)?;
    let (salt, hash) = bytes.split_at(16);
    let phc = format!("{current_head}{}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(Credentials::from_phc(phc))
}
