//! The pages that the `type` of a problem points to (RFC 9457 §3.1.1), generated from the table of codes.
//! They need no scripts, and their style is a separate file, so that a strict Content-Security-Policy is
//! possible.

use std::fmt::Write;

use http::StatusCode;

use super::codes::{By, Meaning, codes};

/// Returns the page of a code; `None` if the code does not exist.
pub fn problem_page(code: &str) -> Option<String> {
    let meaning = codes().get(code)?;
    let mut body = format!("<h1><code>{code}</code></h1>\n<p class=\"status\">{}</p>\n", statuses(meaning));
    for (title, text) in [
        ("What it means", &meaning.means),
        ("When it happens", &meaning.when),
        ("What to do", &meaning.client),
    ] {
        let _ = write!(body, "<h2>{title}</h2>\n<p>{}</p>\n", marked(text));
    }
    if meaning.by == By::Gateway {
        body.push_str("<p class=\"note\">Only the gateway in front of a fleet sends this code.</p>\n");
    }
    body.push_str("<p><a href=\"/problems/\">All problems</a> · <a href=\"/docs/\">The API</a></p>\n");
    Some(page(code, &body))
}

/// Returns the page that lists all codes.
pub fn problem_index() -> String {
    let mut body = String::from(
        "<h1>Problems</h1>\n<p>Every refusal is <code>application/problem+json</code> (RFC 9457). Programs match \
         on <code>code</code>, which is stable. <code>type</code> points to the page of the code. Quote <code>request_id</code> \
         in a request for help.</p>\n<table>\n<tr><th>code</th><th>status</th><th>what it means</th></tr>\n",
    );
    for (code, meaning) in codes() {
        let status = meaning.status.iter().map(StatusCode::as_str).collect::<Vec<_>>().join(", ");
        let means = marked(&meaning.means);
        let _ = writeln!(
            body,
            "<tr><td><a href=\"/problems/{code}\"><code>{code}</code></a></td><td>{status}</td><td>{means}</td></tr>"
        );
    }
    body.push_str("</table>\n<p><a href=\"/docs/\">The API</a></p>\n");
    page("Problems", &body)
}

/// The stylesheet of these pages, served at `/problems/style.css`.
pub const PROBLEM_STYLE: &str = include_str!("problem_pages.css");

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · News portal</title>\n\
         <link rel=\"stylesheet\" href=\"/problems/style.css\">\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn statuses(meaning: &Meaning) -> String {
    let one = |status: &StatusCode| {
        format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
    };
    meaning.status.iter().map(one).collect::<Vec<_>>().join(" · ")
}

/// Converts text to HTML. Text between backticks becomes code.
fn marked(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_complete_page_and_a_link_in_the_index() {
        let index = problem_index();
        for (code, meaning) in codes() {
            let page = problem_page(code).expect("a page");
            for text in [&meaning.means, &meaning.when, &meaning.client] {
                assert!(page.contains(&marked(text)), "the page of {code} lacks: {text}");
            }
            assert!(page.contains(meaning.status[0].as_str()), "{code}");
            assert!(index.contains(&format!("href=\"/problems/{code}\"")), "{code}");
        }
        assert!(problem_page("no_such_code").is_none());
    }

    #[test]
    fn a_page_has_no_scripts_and_escapes_text() {
        assert_eq!(marked("a `b<c>` & d"), "a <code>b&lt;c&gt;</code> &amp; d");
        let all: String = codes().keys().filter_map(|code| problem_page(code)).collect();
        for forbidden in ["<script", "style=\"", "<style", "onclick", "http://", "https://"] {
            assert!(!all.contains(forbidden), "{forbidden}");
        }
    }
}
