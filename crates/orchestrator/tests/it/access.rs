use kernel::Role;

use crate::fake_section::article;
use crate::service::{TestService, token};

/// Reads the matrix from the file, without the parser of the program.
fn cells() -> Vec<(String, String, Option<Role>, bool)> {
    let file: toml::Table = toml::from_str(orchestrator::ACCESS).expect("TOML");
    let routes = file["routes"].as_table().expect("routes");
    let callers = std::iter::once(None).chain(Role::ALL.into_iter().map(Some));
    let mut cells = Vec::new();
    for (route, grants) in routes {
        let (method, path) = route.split_once(' ').expect("a method and a path");
        let grants: Vec<&str> =
            grants.as_array().expect("a list").iter().filter_map(|grant| grant.as_str()).collect();
        // Words of a row that are not roles.
        let grants: Vec<&str> =
            grants.into_iter().filter(|word| !["costly", "text"].contains(word)).collect();
        for caller in callers.clone() {
            let passes = grants.iter().any(|grant| {
                *grant == "anyone" || caller.is_some_and(|role| role >= grant.parse().expect("a role"))
            });
            cells.push((method.to_owned(), path.to_owned(), caller, passes));
        }
    }
    cells
}

#[tokio::test]
async fn every_cell_of_the_matrix_is_enforced() {
    let cells = cells();
    assert!(cells.len() >= 16 * 5, "only {} cells: the matrix was not read", cells.len());
    let service = TestService::new().await;
    for (method, template, caller, passes) in cells {
        service.sections.iter().for_each(|section| section.clear_calls());
        let id =
            service.section(kernel::Section::Sports).put(article(kernel::Section::Sports, 1, 0, "draft"));
        let path = template
            .replace("{type}", "sports")
            .replace("{label}", "tennis")
            .replace("{author_id}", "0190b2c4-0000-7000-8000-000000000000")
            .replace("{id}", &id.to_string())
            .replace("{page}", "1")
            .replace("{limit}", "10")
            .replace("{version}", "3");
        let path = if template.ends_with("/diff") { format!("{path}?from=1&to=3") } else { path };
        let body = serde_json::json!({"id": id.to_string(), "version": 7, "title": "t", "content": "c"});
        let body = match (method.as_str(), template.as_str()) {
            ("POST", "/{type}") => serde_json::json!({"title": "t", "content": "c"}),
            ("PATCH", _) => serde_json::json!({"version": 7}),
            ("PUT", _) => body,
            (_, template) => {
                let mut body = match template.rsplit('/').next() {
                    Some("return") => serde_json::json!({"note": "n"}),
                    Some("schedule") => serde_json::json!({"at": "2100-01-01T00:00:00Z"}),
                    Some("correct") => serde_json::json!({"kind": "note", "text": "t"}),
                    Some("retract") => serde_json::json!({"reason": "r"}),
                    _ => serde_json::json!({}),
                };
                body["version"] = serde_json::json!(7);
                body
            }
        };
        let mut ask = service.request(&method, &path);
        if method != "GET" {
            ask = ask.json(&body);
        }
        if template.ends_with("/restore") {
            ask = ask.header("if-match", "\"v7\"");
        }
        if let Some(role) = caller {
            ask = ask.bearer(&token(role));
        }
        let answer = ask.send().await;
        let called = service.sections.iter().any(|section| !section.calls().is_empty());
        let cell = format!("{method} {template} as {caller:?}");
        if passes {
            assert!(answer.status.is_success(), "{cell}: {}", answer.json);
        } else {
            let expected = if caller.is_none() { (401, "unauthenticated") } else { (403, "role_required") };
            assert_eq!(answer.problem(), expected, "{cell}");
            assert!(!called, "{cell}: a section was called for a caller without permission");
        }
    }
}

#[tokio::test]
async fn a_service_on_its_own_refuses_what_only_works_in_one_process() {
    // Every program does this at its start.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = crate::service::config();
    config.identity.keys = "http://users:3000".to_owned();
    config.recommendations.url = "http://recommendations:50052".to_owned();
    config.bus.url = "local:bus.db".into();
    let refused = orchestrator::build(config, chassis::Surroundings::alone()).await;
    let text = refused.err().map(|error| format!("{error:#}")).expect("a refusal");
    assert!(text.contains("bus.url"), "{text}");
}
