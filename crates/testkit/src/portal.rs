use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{Client, Process, Program};

/// A running portal in one process, with its own port and data folder.
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

    /// Starts it with more arguments or variables: `|program| program.env("USERS__…", "…")`.
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

    /// Returns a client of the portal. Every start creates a new one.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the URL of the portal, without a slash at the end.
    pub fn url(&self) -> &str {
        self.client.base()
    }

    /// Returns the data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the password of the admin that the portal created at its first start.
    pub fn admin_password(&self) -> String {
        let path = self.data.join("initial-admin-password");
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    /// Returns the process, for its output and for signals.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills the process immediately (SIGKILL).
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Stops the portal in order, and waits until it has ended.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.stop().await
    }

    /// Starts the portal again on the same port and folder. Kills it first if it still runs.
    pub async fn restart(&mut self) {
        self.process.kill9();
        self.process = Process::start(&self.program).await;
        self.client = Client::new(self.process.ready());
    }
}

/// Returns an address on this machine on which no program listens.
///
/// The port is below those that systems give to outgoing connections (from 32768 on Linux, 49152 elsewhere).
/// So no connection takes it while the program is stopped between two starts. A port from the system (port 0)
/// could be taken by a client that tries to reach the program at that moment.
pub fn free_address() -> SocketAddr {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin far apart.
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
    fn every_free_address_is_a_new_one() {
        let (one, two) = (free_address(), free_address());
        assert_ne!(one, two);
        assert!(one.port() < 32_768 && two.port() < 32_768);
    }
}
