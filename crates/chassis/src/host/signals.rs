/// Waits for the signal to stop: Ctrl-C or SIGTERM. A SIGHUP is logged and ignored, because settings are read
/// at the start only.
pub async fn stop_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let (terminate, hang_up) = (terminated(), ignore_hang_ups());
    #[cfg(not(unix))]
    let (terminate, hang_up) = (std::future::pending::<()>(), std::future::pending::<()>());
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
        () = hang_up => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending::<()>().await,
    }
}

/// Never returns. Without a handler the system would end the process when a terminal is closed, or when an
/// operator expects a reload.
#[cfg(unix)]
async fn ignore_hang_ups() {
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        while signal.recv().await.is_some() {
            tracing::warn!(
                "SIGHUP is ignored: settings are read at the start only; restart the process to apply them"
            );
        }
    }
    std::future::pending::<()>().await;
}
