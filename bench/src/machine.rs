//! CPU time and memory of processes, and the idle part of the processors, from `/proc`.

use std::collections::HashMap;
use std::fs;

/// The kernel counts CPU time in hundredths of a second, whatever its own clock: `USER_HZ`, 100 on every
/// Linux.
const MICROSECONDS_A_TICK: f64 = 10_000.0;

/// Counters of the whole machine and of groups of processes at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    all: u64,
    idle: u64,
    used: u64,
    servers: u64,
    known: u64,
}

/// The usage between two readings.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// CPU time of the servers that are measured, in microseconds.
    pub servers_us: f64,
    /// The idle part of all processors, 0 to 1.
    pub idle: f64,
    /// The part that processes used which have nothing to do with this measurement, 0 to 1.
    pub others: f64,
}

/// Reads the counters. `servers` are measured; `known` take part as well, as the engines do. Children count
/// with their parents.
pub fn read(servers: &[u32], known: &[u32]) -> Reading {
    let all = Processes::read();
    let mine = [std::process::id()];
    let (all_ticks, idle, used) = machine();
    Reading {
        all: all_ticks,
        idle,
        used,
        servers: all.ticks(servers),
        known: all.ticks(&[known, &mine, servers].concat()),
    }
}

impl Reading {
    /// Returns the usage since an earlier reading of the same processes.
    pub fn since(&self, before: &Self) -> Used {
        let part = |now: u64, before: u64| now.saturating_sub(before) as f64;
        let all = part(self.all, before.all).max(1.0);
        let strange = part(self.used, before.used) - part(self.known, before.known);
        Used {
            servers_us: part(self.servers, before.servers) * MICROSECONDS_A_TICK,
            idle: part(self.idle, before.idle) / all,
            others: (strange / all).clamp(0.0, 1.0),
        }
    }
}

/// Ticks of all processors together: every one, the idle ones, and those that processes used, here or on a
/// neighbouring machine of the same host. Interrupts, which is where packets go through the loopback, belong
/// to no process and are neither.
fn machine() -> (u64, u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let of = |places: &[usize]| places.iter().filter_map(|place| ticks.get(*place)).sum();
    (of(&[0, 1, 2, 3, 4, 5, 6, 7]), of(&[3, 4]), of(&[0, 1, 2, 7]))
}

/// Every process with its ticks, and whose child it is.
struct Processes {
    ticks: HashMap<u32, u64>,
    children: HashMap<u32, Vec<u32>>,
}

impl Processes {
    fn read() -> Self {
        let mut all = Self { ticks: HashMap::new(), children: HashMap::new() };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for id in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            // It can end while we look.
            let Some((parent, ticks)) =
                fs::read_to_string(format!("/proc/{id}/stat")).ok().and_then(|it| stat(&it))
            else {
                continue;
            };
            all.ticks.insert(id, ticks);
            all.children.entry(parent).or_default().push(id);
        }
        all
    }

    /// The ticks of these and all their descendants, each process once.
    fn ticks(&self, roots: &[u32]) -> u64 {
        let (mut open, mut seen) = (roots.to_vec(), HashMap::new());
        while let Some(id) = open.pop() {
            if seen.insert(id, self.ticks.get(&id).copied().unwrap_or(0)).is_none() {
                open.extend(self.children.get(&id).into_iter().flatten());
            }
        }
        seen.values().sum()
    }
}

/// The parent and the ticks (user and system, its own and those of the children it has waited for) in a line
/// of `/proc/ID/stat`.
fn stat(line: &str) -> Option<(u32, u64)> {
    // The name in brackets may hold anything, brackets too.
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}

/// Memory of a process in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Resident: with every shared page in full.
    pub rss: u64,
    /// Proportional: a page that several processes share counts for each in part, so that sums are true.
    pub pss: u64,
}

/// Returns the memory of a process, or `None` if it has ended or may not be read.
pub fn memory(id: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    Some(Memory { rss: kib("Rss:")? * 1024, pss: kib("Pss:")? * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_move_the_fields() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 5 0 99 1 2 3";
        assert_eq!(stat(line), Some((7, 127)));
        assert_eq!(stat("42 (gone"), None);
    }

    #[test]
    fn descendants_count_once_and_strangers_do_not() {
        let all = Processes {
            ticks: HashMap::from([(1, 1000), (2, 10), (3, 5), (4, 7)]),
            children: HashMap::from([(1, vec![2, 4]), (2, vec![3])]),
        };
        assert_eq!(all.ticks(&[2]), 15);
        assert_eq!(all.ticks(&[2, 3]), 15);
        assert_eq!(all.ticks(&[9]), 0);
    }

    #[test]
    fn unrelated_processes_use_the_busy_part_that_no_known_process_uses() {
        let before = Reading { all: 200, idle: 100, used: 100, servers: 10, known: 50 };
        let after = Reading { all: 300, idle: 140, used: 160, servers: 30, known: 100 };
        let used = after.since(&before);
        assert!((used.servers_us - 200_000.0).abs() < 1.0);
        assert!((used.idle - 0.4).abs() < 1e-9 && (used.others - 0.1).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        assert!(memory(std::process::id()).is_some_and(|memory| memory.pss > 0 && memory.rss >= memory.pss));
    }
}
