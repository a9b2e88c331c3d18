//! How much memory a process takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The memory of the container of one process in docker-compose.yml, in bytes.
pub const CONTAINER: u64 = 256 * 1024 * 1024;

/// How long the watch rests between two looks.
const REST: Duration = Duration::from_millis(5);

/// A thread that reads the memory of a process every few milliseconds and keeps the largest value.
pub struct MemoryWatch {
    over: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl MemoryWatch {
    /// Begins to watch the process with this id.
    pub fn start(process: u32) -> Self {
        let (over, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, highest) = (over.clone(), peak.clone());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                highest.fetch_max(anonymous_memory(process), Ordering::Relaxed);
                std::thread::park_timeout(REST);
            }
        });
        Self { over, peak, thread }
    }

    /// The most bytes so far.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Ends the watch and returns the most bytes that the process took.
    ///
    /// # Panics
    /// When the process ended during the watch.
    pub fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the process was watched to the end");
        self.peak.load(Ordering::Relaxed)
    }
}

/// The bytes that only this process holds. Pages of the program itself are left out: the system takes them back when it needs room.
///
/// # Panics
/// When the process does not run, or the system is not Linux.
pub fn anonymous_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5 or newer");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
