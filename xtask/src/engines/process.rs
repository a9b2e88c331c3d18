//! Programs in the background: xtask starts them, identifies them in a later command, and stops these
//! processes only.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Starts programs and identifies them again, by `run/<name>.pid` and `log/<name>.log` in one folder.
#[derive(Debug, Clone)]
pub struct Runner {
    run: PathBuf,
    log: PathBuf,
    keeps_logs: bool,
}

/// A process. Its start time distinguishes it from a later process with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    pid: i32,
    started: u64,
}

impl Runner {
    /// Returns a runner with its files in `root`.
    pub fn new(root: &Path) -> Result<Self> {
        let runner = Self { run: root.join("run"), log: root.join("log"), keeps_logs: false };
        fs::create_dir_all(&runner.run).context("the folder of process ids")?;
        fs::create_dir_all(&runner.log).context("the folder of logs")?;
        Ok(runner)
    }

    /// Returns the same runner, which appends to the log of a program that starts again instead of replacing
    /// it.
    #[must_use]
    pub fn keeping_logs(self) -> Self {
        Self { keeps_logs: true, ..self }
    }

    /// Removes the logs of programs that don't run.
    pub fn remove_old_logs(&self) -> Result<()> {
        let mut gone = self.all_logs().into_iter().filter(|name| self.running(name).is_none());
        gone.try_for_each(|name| fs::remove_file(self.log(&name)).context("an old log"))
    }

    /// Returns the names of all programs that have a log, sorted.
    pub fn all_logs(&self) -> Vec<String> {
        names(&self.log, ".log")
    }

    /// Returns the process id of `name`, if this runner started it and it still runs.
    pub fn running(&self, name: &str) -> Option<i32> {
        self.identity(name).map(|identity| identity.pid)
    }

    /// Returns all names that this runner started and that still run, sorted.
    pub fn all_running(&self) -> Vec<String> {
        let mut running = names(&self.run, ".pid");
        running.retain(|name| self.running(name).is_some());
        running
    }

    /// Starts `command` in the background, in a process group of its own: Ctrl-C does not reach it, and it
    /// outlives this command. Its output goes to its log.
    pub fn spawn(&self, name: &str, mut command: Command) -> Result<()> {
        let log = self.log(name);
        if !self.keeps_logs {
            let _ = fs::remove_file(&log);
        }
        // Appended, because a program may also open its log by itself, and neither may overwrite the other.
        let out = fs::OpenOptions::new().create(true).append(true).open(&log);
        let out = out.with_context(|| format!("the log {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone().context("the log")?).stderr(out).process_group(0);
        if let Some(earlier) = self.noted(name) {
            gone_within(earlier, Duration::from_secs(5));
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("{name}: {program} can't be started"))?;
        let pid = i32::try_from(child.id()).context("a process id")?;
        // It may end immediately; `wait_ready` then finds that it has gone.
        if let Some(identity) = Identity::of(pid) {
            self.note(name, identity)?;
        }
        // While this command runs it is the parent, and another command may end the process. A process that
        // its parent has not waited for keeps its id, and PostgreSQL does not start while the id of its
        // predecessor is taken.
        std::thread::spawn(move || drop(child.wait()));
        Ok(())
    }

    fn note(&self, name: &str, identity: Identity) -> Result<()> {
        let text = format!("{} {}\n", identity.pid, identity.started);
        fs::write(self.pid_file(name), text).context("the file of a process id")
    }

    /// Records that `name` is now the process `pid`, a child of the process that was started.
    pub fn replace_pid(&self, name: &str, pid: i32) -> Result<()> {
        let Some(identity) = Identity::of(pid) else { bail!("{name} ended; {}", self.end_of_log(name)) };
        self.note(name, identity)
    }

    /// Waits until `ready` returns true, at most `patience`. Stops waiting when the program has ended.
    pub fn wait_ready(&self, name: &str, patience: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if self.running(name).is_none() {
                bail!("{name} ended before it was ready; {}", self.end_of_log(name));
            }
            if start.elapsed() > patience {
                bail!("{name} was not ready within {} s; {}", patience.as_secs(), self.end_of_log(name));
            }
            pause(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Sends `signal` to `name` and waits at most `patience` for its end. Then it kills the process and its
    /// children. Returns true if it was running.
    pub fn stop(&self, name: &str, signal: Signal, patience: Duration) -> bool {
        let Some(identity) = self.identity(name) else {
            let _ = fs::remove_file(self.pid_file(name));
            return false;
        };
        identity.signal(signal);
        if !gone_within(identity, patience) {
            identity.kill_tree();
            gone_within(identity, Duration::from_secs(5));
        }
        let _ = fs::remove_file(self.pid_file(name));
        true
    }

    /// Kills `name` and its children, like a crash (SIGKILL). Returns true if it was running.
    pub fn kill(&self, name: &str) -> bool {
        let Some(identity) = self.identity(name) else { return false };
        identity.kill_tree();
        gone_within(identity, Duration::from_secs(5));
        let _ = fs::remove_file(self.pid_file(name));
        true
    }

    /// Returns the path of the log of `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.log.join(format!("{name}.log"))
    }

    fn end_of_log(&self, name: &str) -> String {
        let text = fs::read(self.log(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("its log {} ends with:\n{}", self.log(name).display(), lines.join("\n"))
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.run.join(format!("{name}.pid"))
    }

    fn identity(&self, name: &str) -> Option<Identity> {
        self.noted(name).filter(|identity| identity.lives())
    }

    fn noted(&self, name: &str) -> Option<Identity> {
        Identity::parse(&fs::read_to_string(self.pid_file(name)).ok()?)
    }
}

impl Identity {
    fn parse(text: &str) -> Option<Self> {
        let (pid, started) = text.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    /// Returns the process that has this id now. `None`: there is none, or it has ended and its parent has
    /// not waited for it.
    fn of(pid: i32) -> Option<Self> {
        let stat = Stat::of(pid)?;
        (stat.state != 'Z').then_some(Self { pid, started: stat.started })
    }

    fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Returns true while the kernel knows the process, even after its end.
    fn is_there(self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.started == self.started)
    }

    fn signal(self, signal: Signal) {
        // Checked again immediately before: another process may have the id by now.
        if self.lives()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills the process and its descendants, some of which (PostgreSQL) have process groups of their own.
    fn kill_tree(self) {
        let tree: Vec<Self> = descendants(self.pid).into_iter().filter_map(Self::of).collect();
        self.signal(Signal::KILL);
        for child in tree {
            child.signal(Signal::KILL);
        }
    }
}

/// Waits until nothing is left of a process. A process that its parent has not waited for still counts: while
/// its id is taken, PostgreSQL believes that another server uses its data.
fn gone_within(identity: Identity, patience: Duration) -> bool {
    let start = Instant::now();
    while identity.is_there() {
        if start.elapsed() > patience {
            return false;
        }
        pause(Duration::from_millis(10));
    }
    true
}

/// The fields of `/proc/<pid>/stat` that are needed here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses `pid (name) state parent …`. The name may contain any character; field 22 is the start time.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self { state, parent, started: fields.nth(17)?.parse().ok()? })
    }
}

/// Returns the names of the files in a folder that have this suffix, without it, sorted.
fn names(folder: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(end)?.to_owned())).collect();
    names.sort();
    names
}

fn descendants(root: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, Stat::of(pid)?.parent))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Waits between two checks of a condition.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place where xtask sleeps, between two checks of a condition"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner() -> (tempfile::TempDir, Runner) {
        let folder = tempfile::tempdir().expect("a folder");
        let runner = Runner::new(folder.path()).expect("its folders");
        (folder, runner)
    }

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[test]
    fn the_state_of_a_process_is_read_for_any_name() {
        let rest = "1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 20";
        let stat = Stat::parse(&format!("42 (a ) S (b) S {rest}")).expect("a good line");
        assert_eq!(stat, Stat { state: 'S', parent: 1, started: 987_654 });
        assert_eq!(Stat::parse("42 (cut"), None);
    }

    #[test]
    fn a_started_program_is_found_again_and_stops_once() {
        let (_folder, runner) = runner();
        runner.spawn("sleeper", sleeper()).expect("starts");
        assert!(runner.running("sleeper").is_some());
        assert_eq!(runner.all_running(), ["sleeper"]);
        assert!(runner.stop("sleeper", Signal::TERM, Duration::from_secs(5)));
        assert!(!runner.stop("sleeper", Signal::TERM, Duration::from_secs(5)));
        assert_eq!(runner.running("sleeper"), None);
    }

    #[test]
    fn another_process_with_the_same_id_is_not_touched() {
        let (folder, runner) = runner();
        runner.spawn("other", sleeper()).expect("starts");
        let pid = runner.running("other").expect("runs");
        fs::write(folder.path().join("run/ours.pid"), format!("{pid} 1\n")).expect("writes");
        assert_eq!(runner.running("ours"), None);
        assert!(!runner.kill("ours"));
        assert!(runner.running("other").is_some());
        assert!(runner.kill("other"));
    }

    #[test]
    fn a_program_that_ends_before_it_is_ready_is_reported_with_its_output() {
        let (_folder, runner) = runner();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no room >&2; exit 3"]);
        runner.spawn("broken", command).expect("starts");
        let error = runner.wait_ready("broken", Duration::from_secs(10), || false).expect_err("it ended");
        assert!(error.to_string().contains("no room"), "{error}");
    }

    #[test]
    fn a_kill_also_kills_the_children_of_the_program() {
        let (_folder, runner) = runner();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo here; wait"]);
        runner.spawn("parent", command).expect("starts");
        let log = runner.log("parent");
        let child = || fs::read_to_string(&log).is_ok_and(|text| text.contains("here"));
        runner.wait_ready("parent", Duration::from_secs(10), child).expect("is ready");
        let pid = runner.running("parent").expect("runs");
        let children: Vec<_> = descendants(pid).into_iter().filter_map(Identity::of).collect();
        assert_eq!(children.len(), 1);
        assert!(runner.kill("parent"));
        assert!(gone_within(children[0], Duration::from_secs(5)));
    }
}
