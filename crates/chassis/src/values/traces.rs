//! The standard `OTEL_*` variables, as far as they concern the export of traces.

/// The wish of an operator that traces are exported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceExport {
    /// The address of the collector.
    pub endpoint: String,
    /// The share of all traces that is exported, from 0 to 1.
    pub share: f64,
    /// The name of the service, if the operator has chosen one.
    pub service: Option<String>,
}

/// Reads the wish from the variables. Returns `None` if nothing is to be exported.
///
/// # Errors
/// The fault, in a sentence that names the variable.
pub(crate) fn trace_export(variables: &[(String, String)]) -> Result<Option<TraceExport>, String> {
    let value = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        .into_iter()
        .find_map(|name| Some((name, value(name)?)));
    let is_off = value("OTEL_SDK_DISABLED") == Some("true") || value("OTEL_TRACES_EXPORTER") == Some("none");
    let Some((name, endpoint)) = endpoint.filter(|_| !is_off) else { return Ok(None) };
    let uri = endpoint.parse::<http::Uri>().ok();
    if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()) {
        return Err(format!("{name} must be an address such as http://collector:4318"));
    }
    let share = share(value("OTEL_TRACES_SAMPLER"), value("OTEL_TRACES_SAMPLER_ARG"))?;
    let service = value("OTEL_SERVICE_NAME").map(str::to_owned);
    Ok(Some(TraceExport { endpoint: endpoint.to_owned(), share, service }))
}

/// Returns the share of traces that is exported.
fn share(sampler: Option<&str>, argument: Option<&str>) -> Result<f64, String> {
    let sampler = sampler.unwrap_or("always_on");
    match sampler.strip_prefix("parentbased_").unwrap_or(sampler) {
        "always_on" => Ok(1.0),
        "always_off" => Ok(0.0),
        "traceidratio" => {
            let share = argument.unwrap_or("1").parse().ok().filter(|share| (0.0..=1.0).contains(share));
            share.ok_or_else(|| "OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1".to_owned())
        }
        _ => Err("OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pairs: &[(&str, &str)]) -> Result<Option<TraceExport>, String> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        trace_export(&pairs)
    }

    #[test]
    fn every_trace_is_exported_unless_a_sampler_says_otherwise() {
        assert_eq!(share(None, Some("0.1")), Ok(1.0));
        assert_eq!(share(Some("always_off"), None), Ok(0.0));
        assert_eq!(share(Some("traceidratio"), None), Ok(1.0));
        assert_eq!(share(Some("parentbased_traceidratio"), Some("0.1")), Ok(0.1));
    }

    #[test]
    fn an_unknown_sampler_and_an_impossible_share_are_refused() {
        for (sampler, argument) in [("jaeger_remote", "1"), ("traceidratio", "10"), ("traceidratio", "often")]
        {
            assert!(share(Some(sampler), Some(argument)).is_err(), "{sampler} {argument}");
        }
    }

    #[test]
    fn an_endpoint_is_an_http_address_and_is_not_read_if_nothing_is_exported() {
        const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const OF_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let endpoint = |pairs: &[(&str, &str)]| wish(pairs).map(|wish| wish.map(|wish| wish.endpoint));
        assert_eq!(endpoint(&[]), Ok(None));
        let found = endpoint(&[(OF_ALL, "https://all:4318/x"), (OWN, "")]);
        assert_eq!(found, Ok(Some("https://all:4318/x".to_owned())));
        for bad in ["nonsense", "collector:4318", "grpc://u:s3cret@collector", "http://"] {
            let fault = endpoint(&[(OF_ALL, "http://all:4318"), (OWN, bad)]).expect_err(bad);
            assert!(fault.starts_with(OWN) && !fault.contains("s3cret"), "{fault}");
            assert_eq!(endpoint(&[(OF_ALL, bad), ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        }
    }
}
