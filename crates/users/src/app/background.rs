use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// By how much the threads step back behind those that answer: at 10 each gets about a tenth of what such a thread gets where both want the
/// same processor, and all of it where nobody else wants it (docs/decisions/009).
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// The last that there is.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

/// Threads for long computations, which step back wherever somebody else wants to run. They come when they are needed, and go.
pub struct Background(Option<Runtime>);

impl Background {
    /// So many threads, at most.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(threads).thread_name("background").on_thread_start(step_back);
        Ok(Self(Some(builder.build()?)))
    }

    /// Does `work` there. It is done also where nobody waits for it any more.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("taken by the destructor alone").spawn_blocking(work)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Where tasks run, nobody may wait for threads: what they still compute is for nobody.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Of this thread alone: on Linux each has a niceness of its own, though POSIX gives one to the process (setpriority(2)).
#[cfg(target_os = "linux")]
fn step_back() {
    use rustix::process::{getpriority_process, setpriority_process};
    let lowered = getpriority_process(None)
        .and_then(|niceness| setpriority_process(None, niceness.saturating_add(NICENESS).min(NICEST)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "a thread could not step back; how many there are is bounded all the same");
    }
}

/// Elsewhere the bound has to do.
#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_computed_comes_back_and_a_panic_ends_nothing_else() {
        let background = Background::new(1).expect("threads");
        assert!(background.run(|| panic!("on purpose")).await.is_err());
        assert_eq!(background.run(|| 7).await.expect("an answer"), 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_step_back_and_no_others() {
        use rustix::process::getpriority_process;
        let of_this_thread = || getpriority_process(None).expect("a niceness");
        let before = of_this_thread();
        let background = Background::new(1).expect("threads");
        let there = background.run(of_this_thread).await.expect("an answer");
        assert_eq!(there, (before + NICENESS).min(NICEST));
        assert_eq!(of_this_thread(), before);
        assert_eq!(tokio::task::spawn_blocking(of_this_thread).await.expect("an answer"), before);
    }
}
