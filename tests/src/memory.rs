//! The memory of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The memory of the container of one process in docker-compose.yml, in bytes.
pub const CONTAINER: u64 = 256 * 1024 * 1024;

/// The pause between two readings.
const PAUSE: Duration = Duration::from_millis(5);

/// A thread that reads the memory of a process every few milliseconds and keeps the largest value.
pub struct MemoryWatch {
    is_over: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl MemoryWatch {
    /// Starts to watch the process with this id.
    pub fn start(process: u32) -> Self {
        let (is_over, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, highest) = (is_over.clone(), peak.clone());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                highest.fetch_max(anonymous_memory(process), Ordering::Relaxed);
                std::thread::park_timeout(PAUSE);
            }
        });
        Self { is_over, peak, thread }
    }

    /// Returns the most bytes so far.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Ends the watch and returns the most bytes that the process took.
    ///
    /// # Panics
    /// If the process ended during the watch.
    pub fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the process was watched to the end");
        self.peak.load(Ordering::Relaxed)
    }
}

/// Returns the bytes that only this process holds. Pages of the program itself are left out, because the
/// system reclaims them when it needs memory.
///
/// # Panics
/// If the process does not run, or the system is not Linux.
pub fn anonymous_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5 or newer");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
