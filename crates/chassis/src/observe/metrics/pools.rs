use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{POOL, POOL_MOST, Value};

/// What a pool of connections says of itself when somebody looks. It is asked at every fetch, so it must have the answer at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Connections that are open.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// The most that there may be.
    pub most: u32,
}

impl Pool {
    /// What a pool of sqlx says.
    pub(crate) fn of<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Self {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        Self { open: pool.size(), idle, most: pool.options().get_max_connections() }
    }
}

/// Keeps a pool in the metrics for as long as it, or a clone, is there.
#[derive(Clone)]
pub struct WatchedPool(#[expect(dead_code, reason = "it is kept by being there")] Arc<Entry>);

struct Entry {
    name: Value,
    look: Box<dyn Fn() -> Pool + Send + Sync>,
}

/// The pools of this process, as there is one recorder in a process. Stores are opened before it is known whether anybody fetches.
static POOLS: Mutex<Vec<Weak<Entry>>> = Mutex::new(Vec::new());

/// Shows a pool in the metrics, by a name such as `users:postgres`.
pub fn watch_pool(name: impl Into<Value>, look: impl Fn() -> Pool + Send + Sync + 'static) -> WatchedPool {
    let entry = Arc::new(Entry { name: name.into(), look: Box::new(look) });
    let mut pools = pools();
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(Arc::downgrade(&entry));
    WatchedPool(entry)
}

/// Says how the pools are now.
pub(super) fn tell() {
    let there: Vec<Arc<Entry>> = pools().iter().filter_map(Weak::upgrade).collect();
    for entry in there {
        let Pool { open, idle, most } = (entry.look)();
        POOL.set([entry.name.clone(), "idle".into()], f64::from(idle));
        POOL.set([entry.name.clone(), "used".into()], f64::from(open.saturating_sub(idle)));
        POOL_MOST.set([entry.name.clone()], f64::from(most));
    }
}

fn pools() -> MutexGuard<'static, Vec<Weak<Entry>>> {
    // A list of pointers is whole whatever happened.
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_pool_is_shown_as_it_is_when_somebody_looks_and_a_dropped_one_is_asked_no_more() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let open = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let seen = open.clone();
        let load = move || seen.load(std::sync::atomic::Ordering::Relaxed);
        let watched = watch_pool("pools-test", move || Pool { open: load(), idle: 1, most: 10 });
        let shown = |state: &str| {
            tell();
            let line = format!(r#"db_pool_connections{{pool="pools-test",state="{state}"}} "#);
            let text = recorder.handle().render();
            text.lines().find_map(|it| it.strip_prefix(&line).map(str::to_owned))
        };
        open.store(4, std::sync::atomic::Ordering::Relaxed);
        assert_eq!((shown("idle").as_deref(), shown("used").as_deref()), (Some("1"), Some("3")));
        assert!(recorder.handle().render().contains(r#"db_pool_max_connections{pool="pools-test"} 10"#));
        let other = watched.clone();
        drop(watched);
        open.store(6, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(shown("used").as_deref(), Some("5"), "a clone is still there");
        drop(other);
        open.store(9, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(shown("used").as_deref(), Some("5"), "nobody is asked any more");
    }
}
