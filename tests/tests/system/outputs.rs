//! Outputs that accept nothing: a full disk, a broken pipe, a reader that has stopped reading.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use system_tests::{Shape, scenarios};
use testkit::{Client, Folder, free_address, portal_binary, wait_until};

scenarios! {
    on one process, because "all programs share the code that writes, and its tests; a fleet's are started by a supervisor":
        an_output_that_accepts_nothing_does_not_end_the_portal,
        a_reader_of_the_log_that_stops_reading_delays_no_request_and_no_stop,
        a_command_ends_quietly_if_its_reader_has_left_and_reports_a_full_disk;
}

/// The longest time of a start or an orderly stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A portal whose outputs belong to the test. It is killed at the end.
struct Running {
    child: Child,
    client: Client,
    _folder: Folder,
}

impl Running {
    async fn start(output: Stdio, log: Stdio) -> Self {
        let (folder, address) = (Folder::new(), free_address());
        let mut command = portal(&folder, address);
        let child = command.stdin(Stdio::null()).stdout(output).stderr(log).spawn().expect("it starts");
        let client = Client::new(&format!("http://{address}"));
        let mut running = Self { child, client, _folder: folder };
        wait_until("a portal that is ready", PATIENCE, || {
            let ended = running.child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "it ended: {ended:?}");
            let requests = running.client.get("/readyz").try_send();
            async move { requests.await.ok().filter(|answer| answer.status == 200).map(drop) }
        })
        .await;
        running
    }

    /// Sends the signal to stop, and waits for the end.
    async fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        let status = wait_until("the end of the portal", PATIENCE, || {
            std::future::ready(self.child.try_wait().expect("a child can be asked"))
        });
        let status = status.await;
        assert!(status.success(), "the stop was not orderly: {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn portal(folder: &Folder, address: SocketAddr) -> Command {
    let mut command = Command::new(portal_binary());
    command.args(["run", "--listen", &address.to_string()]).arg("--data-dir").arg(folder.join("data"));
    for limit in ["CLIENT", "SAME_ADDRESS"] {
        command.env(format!("PORTAL__PROCESS__EDGE__THROTTLE__{limit}"), "[]");
    }
    command
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("a disk that is always full").into()
}

/// Returns a pipe whose reader is closed.
fn broken() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

async fn an_output_that_accepts_nothing_does_not_end_the_portal(_: Shape) {
    for (output, log) in [(full(), Stdio::null()), (Stdio::null(), full()), (broken(), broken())] {
        let running = Running::start(output, log).await;
        running.client.get("/news/v1/all/1/10").send().await.expect_status(200);
        running.stop().await;
    }
}

async fn a_reader_of_the_log_that_stops_reading_delays_no_request_and_no_stop(_: Shape) {
    let (reader, log) = std::io::pipe().expect("a pipe");
    let (output_reader, output) = std::io::pipe().expect("a pipe");
    let running = Running::start(output.into(), log.into()).await;
    // A pipe contains 64 KiB, and the queue in the process some thousands of lines.
    for _ in 0..100 {
        let requests = (0..100).map(|_| running.client.get("/news/v1/sports/no-such-article").send());
        for answer in futures::future::join_all(requests).await {
            answer.expect_status(404);
        }
    }
    running.stop().await;
    drop((reader, output_reader));
}

async fn a_command_ends_quietly_if_its_reader_has_left_and_reports_a_full_disk(_: Shape) {
    let folder = Folder::new();
    let data = folder.join("data").display().to_string();
    for arguments in [&["openapi"][..], &["asyncapi"], &["metrics"], &["check-config", "--data-dir", &data]] {
        let run = |output: Stdio| -> Output {
            let mut command = Command::new(portal_binary());
            command.args(arguments).stdout(output).stderr(Stdio::piped()).output().expect("it runs")
        };
        let left = run(broken());
        let errors = String::from_utf8_lossy(&left.stderr);
        assert!(left.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
        let full = run(full());
        let errors = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.starts_with("portal: standard output can't be written"), "{arguments:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{arguments:?}: {errors}");
    }
}
