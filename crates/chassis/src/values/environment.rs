/// Returns every variable of the environment whose name and value are text.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
