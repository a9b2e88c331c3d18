use serde::{Deserialize, Serialize};

/// The least memory of a hash, in KiB: OWASP's floor for argon2id.
pub(super) const MIN_MEMORY_KIB: u32 = 19 * 1024;
/// The fewest passes over it: OWASP's floor for argon2id.
pub(super) const MIN_PASSES: u32 = 2;
/// The most memory of a hash, in KiB. More can only be a mistake, and the process would end when it tries.
pub(super) const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;
/// The most threads, and the most requests in the queue.
const MAX_PARALLEL: usize = 100_000;

/// The table `[passwords]`: the cost of hashing, and how many hashes run in parallel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordsConfig {
    /// The memory of a hash, in KiB.
    pub memory_kib: u32,
    /// The passes over it.
    pub passes: u32,
    /// The hashes that run in parallel; 0 for half as many as there are cores.
    pub threads: usize,
    /// The requests that may wait for a thread.
    pub waiting: usize,
}

impl PasswordsConfig {
    /// Returns the faults of the table, each as a sentence.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.memory_kib < MIN_MEMORY_KIB {
            faults.push(format!(
                "passwords.memory_kib must be at least {MIN_MEMORY_KIB}, got {}",
                self.memory_kib
            ));
        }
        if self.passes < MIN_PASSES {
            faults.push(format!("passwords.passes must be at least {MIN_PASSES}, got {}", self.passes));
        }
        if self.memory_kib > MAX_MEMORY_KIB {
            faults.push(format!(
                "passwords.memory_kib must be at most {MAX_MEMORY_KIB}, got {}",
                self.memory_kib
            ));
        }
        if self.threads > MAX_PARALLEL || self.waiting > MAX_PARALLEL {
            faults.push(format!("passwords.threads and passwords.waiting must be at most {MAX_PARALLEL}"));
        }
        faults
    }

    /// Returns the number of threads.
    pub(super) fn thread_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if self.threads > 0 { self.threads } else { (cores / 2).max(1) }
    }
}
