use kernel::{Kind, Refusal};

use super::*;

#[tokio::test]
async fn a_failure_that_does_not_count_neither_opens_nor_closes_it() {
    let breaker =
        Breaker::new("test", BreakerSettings { rest: Duration::ZERO, ..BreakerSettings::default() });
    let fail = || std::future::ready(Err::<(), _>(Refusal::new(Kind::Timeout, "test", "test")));
    for _ in 0..10 {
        assert!(breaker.call_if(fail(), |_| false).await.is_err());
    }
    assert!(!breaker.is_open());
    for _ in 0..5 {
        assert!(breaker.call(fail()).await.is_err());
    }
    assert!(breaker.call_if(fail(), |_| false).await.is_err());
    assert!(breaker.is_open());
    assert!(
        breaker.call(std::future::ready(Ok::<_, Refusal>(()))).await.is_ok(),
        "the next one is the probe"
    );
    assert!(!breaker.is_open());
}

#[tokio::test]
async fn a_resting_dependency_is_not_called_and_a_refusal_with_a_reason_is_an_answer() {
    let breaker = Breaker::new("test", BreakerSettings::default());
    let fail = |kind| std::future::ready(Err::<(), _>(Refusal::new(kind, "test", "test")));
    for _ in 0..10 {
        assert!(matches!(breaker.call(fail(Kind::NotFound)).await, Err(Broken::Failed(_))));
    }
    assert!(!breaker.is_open());
    for _ in 0..5 {
        assert!(matches!(breaker.call(fail(Kind::Unavailable)).await, Err(Broken::Failed(_))));
    }
    assert!(breaker.is_open());
    let never = async { unreachable!("a resting dependency is not called") };
    assert!(matches!(breaker.call::<(), Refusal>(never).await, Err(Broken::Resting(_))));
}

#[tokio::test]
async fn its_state_is_a_metric_from_the_first_call_on() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = ::metrics::set_default_local_recorder(&recorder);
    let says = |state: u8| {
        let text = recorder.handle().render();
        text.contains(&format!("breaker_state{{dependency=\"test\"}} {state}\n"))
    };
    let settings = BreakerSettings { rest: Duration::ZERO, ..BreakerSettings::default() };
    let breaker = Breaker::new("test", settings);
    assert!(!recorder.handle().render().contains("breaker_state"));
    let fail = || std::future::ready(Err::<(), _>(Refusal::new(Kind::Unavailable, "test", "test")));
    assert!(breaker.call(fail()).await.is_err());
    assert!(says(0));
    for _ in 0..4 {
        assert!(breaker.call(fail()).await.is_err());
    }
    assert!(says(2));
    let probed = breaker.call(async {
        assert!(says(1));
        Ok::<_, Refusal>(())
    });
    assert!(probed.await.is_ok() && says(0));
}

#[tokio::test]
async fn a_call_that_was_given_up_counts_as_neither() {
    let breaker = Breaker::new("test", BreakerSettings::default());
    for _ in 0..10 {
        let call = breaker.call(std::future::pending::<Result<(), Refusal>>());
        assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
    }
    assert!(!breaker.is_open());
}
