use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The niceness that is added to these threads. At 10, such a thread gets about a tenth of the time of a
/// normal thread if both want the same processor, and all of it if no other thread wants it
/// (docs/decisions/009).
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// The highest niceness.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

/// Threads of low priority for long computations. They start when they are needed, and end when they are
/// idle.
pub struct Background(Option<Runtime>);

impl Background {
    /// Creates at most `threads` threads.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(threads).thread_name("background").on_thread_start(lower_priority);
        Ok(Self(Some(builder.build()?)))
    }

    /// Runs `work` on one of the threads. It is finished even if its caller stops waiting.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("only the destructor takes the runtime").spawn_blocking(work)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A destructor may run inside a task, where blocking is not allowed; the results of running threads
        // are not needed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of this thread alone: on Linux each thread has its own niceness, although POSIX gives
/// one to the process (setpriority(2)).
#[cfg(target_os = "linux")]
fn lower_priority() {
    use rustix::process::{getpriority_process, setpriority_process};
    let lowered = getpriority_process(None)
        .and_then(|niceness| setpriority_process(None, niceness.saturating_add(NICENESS).min(NICEST)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "the priority of a thread could not be lowered; the number of threads stays bounded");
    }
}

/// On other systems, only the number of threads is bounded.
#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_is_returned_and_a_panic_ends_only_its_own_work() {
        let background = Background::new(1).expect("threads");
        assert!(background.run(|| panic!("on purpose")).await.is_err());
        assert_eq!(background.run(|| 7).await.expect("an answer"), 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_its_threads_have_a_lower_priority() {
        use rustix::process::getpriority_process;
        let niceness = || getpriority_process(None).expect("a niceness");
        let before = niceness();
        let background = Background::new(1).expect("threads");
        let there = background.run(niceness).await.expect("an answer");
        assert_eq!(there, (before + NICENESS).min(NICEST));
        assert_eq!(niceness(), before);
        assert_eq!(tokio::task::spawn_blocking(niceness).await.expect("an answer"), before);
    }
}
