use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{POOL, POOL_MOST, Value};

/// The state of a pool of connections. It is read at every fetch of the metrics, so reading it must be quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// The number of open connections.
    pub open: u32,
    /// The number of open connections that are not in use.
    pub idle: u32,
    /// The most connections that the pool may have.
    pub most: u32,
}

impl Pool {
    /// Reads the state of a pool of sqlx.
    pub(crate) fn of<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Self {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        Self { open: pool.size(), idle, most: pool.options().get_max_connections() }
    }
}

/// A pool that is shown in the metrics while this value or a clone of it exists.
#[derive(Clone)]
pub struct WatchedPool(#[expect(dead_code, reason = "the metrics see it while it exists")] Arc<Entry>);

struct Entry {
    name: Value,
    look: Box<dyn Fn() -> Pool + Send + Sync>,
}

/// The pools of this process. Stores are opened before it is known whether the metrics are fetched.
static POOLS: Mutex<Vec<Weak<Entry>>> = Mutex::new(Vec::new());

/// Shows a pool in the metrics under a name such as `users:postgres`.
pub fn watch_pool(name: impl Into<Value>, look: impl Fn() -> Pool + Send + Sync + 'static) -> WatchedPool {
    let entry = Arc::new(Entry { name: name.into(), look: Box::new(look) });
    let mut pools = pools();
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(Arc::downgrade(&entry));
    WatchedPool(entry)
}

/// Updates the metrics of all pools.
pub(super) fn report() {
    let existing: Vec<Arc<Entry>> = pools().iter().filter_map(Weak::upgrade).collect();
    for entry in existing {
        let Pool { open, idle, most } = (entry.look)();
        POOL.set([entry.name.clone(), "idle".into()], f64::from(idle));
        POOL.set([entry.name.clone(), "used".into()], f64::from(open.saturating_sub(idle)));
        POOL_MOST.set([entry.name.clone()], f64::from(most));
    }
}

fn pools() -> MutexGuard<'static, Vec<Weak<Entry>>> {
    // A list of pointers is consistent whatever happened.
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_pool_is_read_at_each_fetch_until_it_is_dropped() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let open = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let seen = open.clone();
        let load = move || seen.load(std::sync::atomic::Ordering::Relaxed);
        let watched = watch_pool("pools-test", move || Pool { open: load(), idle: 1, most: 10 });
        let value_of = |state: &str| {
            report();
            let line = format!(r#"db_pool_connections{{pool="pools-test",state="{state}"}} "#);
            let text = recorder.handle().render();
            text.lines().find_map(|it| it.strip_prefix(&line).map(str::to_owned))
        };
        open.store(4, std::sync::atomic::Ordering::Relaxed);
        assert_eq!((value_of("idle").as_deref(), value_of("used").as_deref()), (Some("1"), Some("3")));
        assert!(recorder.handle().render().contains(r#"db_pool_max_connections{pool="pools-test"} 10"#));
        let other = watched.clone();
        drop(watched);
        open.store(6, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(value_of("used").as_deref(), Some("5"), "a clone still exists");
        drop(other);
        open.store(9, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(value_of("used").as_deref(), Some("5"), "it is not read any more");
    }
}
