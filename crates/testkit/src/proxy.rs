use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A TCP proxy whose connections can be frozen and cut, as networks do.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    frozen: Arc<watch::Sender<Frozen>>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Frozen {
    to_server: bool,
    to_client: bool,
}

impl Proxy {
    /// Starts a proxy of the server at `server`, such as `127.0.0.1:5672`, on a free port.
    pub async fn of(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has an address").to_string();
        let frozen = Arc::new(watch::channel(Frozen::default()).0);
        let connections = Arc::default();
        let accepting = spawn(accept(listener, server.to_owned(), frozen.clone(), Arc::clone(&connections)));
        Self { address, frozen, connections, accepting }
    }

    /// Returns the address of the proxy.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Holds back all data in both directions. Connections stay open, and new ones are accepted.
    pub fn freeze(&self) {
        self.frozen.send_replace(Frozen { to_server: true, to_client: true });
    }

    /// Holds back all data from the server.
    pub fn silence_server(&self) {
        self.frozen.send_replace(Frozen { to_server: false, to_client: true });
    }

    /// Lets all data pass again, beginning with what was held back.
    pub fn thaw(&self) {
        self.frozen.send_replace(Frozen::default());
    }

    /// Ends all current connections, and returns their number.
    pub fn cut(&self) -> usize {
        let cut = std::mem::take(&mut *lock(&self.connections));
        cut.iter().for_each(JoinHandle::abort);
        cut.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    frozen: Arc<watch::Sender<Frozen>>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, frozen) = (server.clone(), frozen.subscribe());
        lock(&connections).push(spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            let up = pump(from_client, to_server, frozen.clone(), |frozen| frozen.to_server);
            let down = pump(from_server, to_client, frozen, |frozen| frozen.to_client);
            // If one direction has ended, the other ends too.
            tokio::select! { () = up => {}, () = down => {} }
        }));
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut frozen: watch::Receiver<Frozen>,
    is_held: impl Fn(&Frozen) -> bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if frozen.wait_for(|frozen| !is_held(frozen)).await.is_err() {
            return;
        }
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if frozen.wait_for(|frozen| !is_held(frozen)).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the proxy aborts its own tasks when it is dropped")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}

fn lock<T>(connections: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a server that sends everything back.
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has an address").to_string();
        spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ended = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn frozen_data_arrives_after_the_thaw_and_a_cut_ends_the_connection() {
        let proxy = Proxy::of(&echo().await).await;
        let mut client = TcpStream::connect(proxy.address()).await.expect("the proxy accepts");
        client.write_all(b"one").await.expect("the write succeeds");
        let mut got = [0; 3];
        client.read_exact(&mut got).await.expect("the echo arrives");
        proxy.freeze();
        client.write_all(b"two").await.expect("the write reaches the kernel");
        let silent = tokio::time::timeout(std::time::Duration::from_millis(50), client.read_exact(&mut got));
        assert!(silent.await.is_err());
        proxy.thaw();
        client.read_exact(&mut got).await.expect("the echo arrives");
        assert_eq!(&got, b"two");
        assert_eq!(proxy.cut(), 1);
        assert!(!matches!(client.read(&mut got).await, Ok(1..)));
    }
}
