use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use crate::wait_until;

/// The longest time until a program is ready, and until it ends after SIGTERM.
const START_OR_STOP: Duration = Duration::from_secs(30);
/// The longest time until a program ends in a destructor, before it is killed.
const MAX_STOP_IN_DROP: Duration = Duration::from_secs(2);
/// The number of output lines that are shown when a test fails.
const LAST_LINES: usize = 200;
/// The number of output lines that are kept at least. Older ones are dropped, because under a load that lasts
/// for minutes a service writes more than fits into memory.
const KEPT_LINES: usize = 50_000;
/// The variable in which a test passes an argument to its child.
const ARGUMENT: &str = "TESTKIT_ARGUMENT";

/// A program to start, with the text by which it reports that it is ready.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    ready: &'static str,
}

impl Program {
    /// Returns the program at `path`. It is ready when a line of one of its outputs contains `ready`.
    pub fn new(path: impl Into<PathBuf>, ready: &'static str) -> Self {
        Self { path: path.into(), arguments: Vec::new(), variables: Vec::new(), folder: None, ready }
    }

    /// Returns the running test executable, for its test `name` alone. This is the way to kill -9 a library.
    ///
    /// That test calls [`Program::argument`] and does nothing if it is `None`. Otherwise it does what the
    /// argument says and then prints a line with `ready`. Mark it `#[ignore = "a child of …"]`.
    pub fn this_test(name: &str, argument: impl AsRef<OsStr>, ready: &'static str) -> Self {
        Self::new(std::env::current_exe().expect("a running test has a path"), ready)
            .args(["--exact", name, "--include-ignored", "--nocapture"])
            .env(ARGUMENT, argument)
    }

    /// Returns, inside the child, the argument of [`Program::this_test`]. It is `None` in an ordinary run.
    #[expect(clippy::disallowed_methods, reason = "a message from a test to its child, not a setting")]
    pub fn argument() -> Option<String> {
        std::env::var(ARGUMENT).ok()
    }

    /// Adds arguments at the end.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Adds arguments before all others, for a program that runs another one.
    #[must_use]
    pub fn first_args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        let first = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
        self.arguments = first.chain(self.arguments).collect();
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working folder, which is otherwise the test's.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A running program. Its output is kept, and shown when the test fails.
///
/// It never outlives the test. Dropping this kills the program, and if the test itself is killed, a guard
/// does.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    guard: Guard,
    output: Output,
    readers: [JoinHandle<()>; 2],
    ready: String,
}

impl Process {
    /// Starts a program and waits until it is ready.
    ///
    /// # Panics
    /// If the program ends before that, or is not ready within 30 seconds. Its output is shown.
    pub async fn start(program: &Program) -> Self {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).envs(program.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        let name = program.name();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("`{name}` can't be started: {error}"));
        let output = Output::default();
        let (sender, ready) = oneshot::channel();
        let signal: ReadySignal = Arc::new(Mutex::new(Some((program.ready, sender))));
        let readers =
            [output.read(child.stderr.take(), Arc::clone(&signal)), output.read(child.stdout.take(), signal)];
        let guard = Guard::over(&child);
        let mut process = Self { name, child, ended: None, guard, output, readers, ready: String::new() };
        match tokio::time::timeout(START_OR_STOP, ready).await {
            Ok(Ok(line)) => process.ready = line,
            Ok(Err(_)) => {
                let status = process.kill9();
                panic!("`{}` ended before it was ready ({status})", process.name)
            }
            Err(_) => panic!("`{}` was not ready within {START_OR_STOP:?}", process.name),
        }
        process
    }

    /// Returns the rest of the line that reported "ready".
    pub fn ready(&self) -> &str {
        &self.ready
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the lines of both outputs so far, or the last ones if there are very many.
    pub fn output(&self) -> Vec<String> {
        self.output.lines()
    }

    /// Kills the program immediately (SIGKILL). Returns when it has ended.
    pub fn kill9(&mut self) -> ExitStatus {
        self.guard.release();
        if let Some(status) = self.ended {
            return status;
        }
        // This fails only if the program has already ended, which the wait then finds.
        let _ = self.child.kill();
        let status = self.child.wait().expect("a child can be waited for");
        *self.ended.insert(status)
    }

    /// Stops the program (SIGTERM). Waits until it has ended and its last lines are in
    /// [`output`](Self::output).
    ///
    /// # Panics
    /// If that takes more than 30 seconds.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let name = format!("the end of `{}` after SIGTERM", self.name);
        let child = &mut self.child;
        let status = wait_until(&name, START_OR_STOP, || {
            std::future::ready(child.try_wait().expect("a child can be asked for its status"))
        });
        let status = status.await;
        let are_read = || std::future::ready(self.readers.iter().all(JoinHandle::is_finished).then_some(()));
        wait_until(&format!("the last lines of `{}`", self.name), START_OR_STOP, are_read).await;
        self.guard.release();
        *self.ended.insert(status)
    }

    /// Stops the program (SIGTERM), and kills it after two seconds. For destructors, which can't await, and
    /// for programs with children, which would outlive a SIGKILL of their parent.
    pub fn end(&mut self) {
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while self.ended.is_none() && begun.elapsed() < MAX_STOP_IN_DROP {
            self.ended = self.child.try_wait().ok().flatten();
            std::thread::yield_now();
        }
        self.kill9();
    }

    /// Freezes the program (SIGSTOP). It answers nothing, and its connections stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Continues the program (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends SIGHUP, which means that the terminal is gone or that the settings are to be read again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        // Until the end of the process has been waited for, no other process can have its id.
        if self.ended.is_none() {
            kill_process(Pid::from_child(&self.child), signal).expect("a child can be sent a signal");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            let lines = self.output.lines();
            let earlier = lines.len().saturating_sub(LAST_LINES);
            eprintln!("---- output of `{}` (process {}, after {earlier} lines)", self.name, self.child.id());
            lines.iter().skip(earlier).for_each(|line| eprintln!("{line}"));
            eprintln!("---- end of the output of `{}`", self.name);
        }
    }
}

/// A guard that kills the program if the test process ends without dropping it (kill -9, an aborted run). It
/// is a shell that waits for the end of its input, which is the end of the test process.
#[derive(Debug)]
struct Guard(Option<Child>);

impl Guard {
    fn over(child: &Child) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read -r _; kill -9 \"$0\"", &child.id().to_string()]);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(Some(shell.spawn().expect("a shell can be started")))
    }

    /// Ends the guard, so that it can never kill another process with the same id.
    fn release(&mut self) {
        if let Some(mut shell) = self.0.take() {
            let _ = shell.kill();
            let _ = shell.wait();
        }
    }
}

/// The output lines of a program. A thread reads each output until the program ends.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<String>>>);

/// The text that means "ready" and the sender for the rest of its line. It is `None` after the text has
/// appeared.
type ReadySignal = Arc<Mutex<Option<(&'static str, oneshot::Sender<String>)>>>;

impl Output {
    fn read(&self, pipe: Option<impl Read + Send + 'static>, signal: ReadySignal) -> JoinHandle<()> {
        let (pipe, lines) = (pipe.expect("the output is a pipe"), self.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let mut signal = signal.lock().unwrap_or_else(PoisonError::into_inner);
                let rest = signal.as_ref().and_then(|(text, _)| line.split_once(*text));
                let rest = rest.map(|(_, rest)| rest.trim().to_owned());
                lines.push(line);
                if let Some(rest) = rest
                    && let Some((_, sender)) = signal.take()
                {
                    let _ = sender.send(rest);
                }
            }
        })
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= 2 * KEPT_LINES {
            lines.drain(..KEPT_LINES);
        }
        lines.push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns true while a process of this id runs. One that has ended does not count, even if it has not been
/// waited for: in a container the process that should wait may not do it.
#[cfg(test)]
fn exists(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("an id of a process");
    rustix::process::test_kill_process(id).is_ok() && !state.contains(") Z ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PATIENCE;

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh", "ready at ").args(["-c", script])
    }

    #[tokio::test]
    async fn a_program_is_ready_when_it_reports_so_and_ends_when_it_is_dropped() {
        let process =
            Process::start(&shell("echo one; echo two >&2; echo ready at home; exec sleep 60")).await;
        assert_eq!(process.ready(), "home");
        assert!(process.output().contains(&"one".to_owned()));
        let id = process.id();
        assert!(exists(id));
        drop(process);
        assert!(!exists(id));
    }

    #[tokio::test]
    #[should_panic(expected = "`sh` ended before it was ready (exit status: 3)")]
    async fn a_program_that_ends_before_it_is_ready_fails_the_test() {
        Process::start(&shell("echo sorry; exit 3")).await;
    }

    #[tokio::test]
    async fn a_program_may_report_that_it_is_ready_on_stderr() {
        let process = Process::start(&shell("echo ready at work >&2; exec sleep 60")).await;
        assert_eq!(process.ready(), "work");
    }

    #[tokio::test]
    async fn stopping_lets_the_program_finish() {
        let script = "trap 'echo finished; exit 0' TERM; echo ready at once; while :; do sleep 0.01; done";
        let mut process = Process::start(&shell(script)).await;
        assert!(process.stop().await.success());
        let output = process.output.clone();
        wait_until("its last line", PATIENCE, || {
            std::future::ready(output.lines().contains(&"finished".to_owned()).then_some(()))
        })
        .await;
    }

    #[tokio::test]
    async fn a_paused_program_can_be_killed() {
        let mut process = Process::start(&shell("echo ready at last; exec sleep 60")).await;
        process.pause();
        assert!(!process.kill9().success());
    }

    #[tokio::test]
    #[ignore = "a child of a_program_ends_with_a_test_that_is_killed"]
    async fn a_test_that_starts_a_program_and_hangs() {
        if Program::argument().is_none() {
            return;
        }
        let process = Process::start(&shell("echo ready at 1; exec sleep 60")).await;
        println!("started {}", process.id());
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_program_ends_with_a_test_that_is_killed() {
        let child = "process::tests::a_test_that_starts_a_program_and_hangs";
        let mut test = Process::start(&Program::this_test(child, "hang", "started ")).await;
        let id = test.ready().parse().expect("the test said the id of its program");
        assert!(exists(id));
        test.kill9();
        wait_until("the end of the grandchild", PATIENCE, || std::future::ready((!exists(id)).then_some(())))
            .await;
    }
}
