use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{Client, Process, Program};

/// The portal in one process, on its own port and data folder.
#[derive(Debug)]
pub struct Portal {
    program: Program,
    process: Process,
    client: Client,
    data: PathBuf,
}

impl Portal {
    /// Starts `binary` with its data in `folder`, and waits until it is ready.
    pub async fn start(binary: impl Into<PathBuf>, folder: &Path) -> Self {
        Self::start_with(binary, folder, |program| program).await
    }

    /// The same with further arguments or variables: `|program| program.env("USERS__…", "…")`.
    pub async fn start_with(
        binary: impl Into<PathBuf>,
        folder: &Path,
        adapt: impl FnOnce(Program) -> Program,
    ) -> Self {
        let data = folder.join("data");
        let program = Program::new(binary, "portal ready at ")
            .args(["run", "--listen", &free_address().to_string()])
            .args(["--data-dir".as_ref(), data.as_os_str()]);
        let program = adapt(program);
        let process = Process::start(&program).await;
        let client = Client::new(process.ready());
        Self { program, process, client, data }
    }

    /// A client of it, made anew at every start.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where it answers, without a slash at the end.
    pub fn url(&self) -> &str {
        self.client.base()
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The password of the admin that it made at its first start.
    pub fn admin_password(&self) -> String {
        let path = self.data.join("initial-admin-password");
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    /// The process itself: its output, SIGSTOP.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it at once, wherever it is.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Asks it to end and waits until it has, in order.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.stop().await
    }

    /// Starts it again on the same port and folder, killing it first if it still runs.
    pub async fn restart(&mut self) {
        self.process.kill9();
        self.process = Process::start(&self.program).await;
        self.client = Client::new(self.process.ready());
    }
}

/// An address on this machine that nobody listens on, and that no outgoing connection will take while the program is away
/// between two starts: below the ports that systems give to those (from 32768 on Linux, 49152 elsewhere). A port from the
/// system (port 0) could be taken by a client that tries to reach the program just then.
pub fn free_address() -> SocketAddr {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two test processes at the same time begin far apart.
    let begin = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT)).unwrap_or(0);
    (0..COUNT)
        .map(|_| FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("one of 10,000 ports is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_portals_are_given_two_addresses() {
        let (one, two) = (free_address(), free_address());
        assert_ne!(one, two);
        assert!(one.port() < 32_768 && two.port() < 32_768);
    }
}
