//! What comes in over HTTP. axum's own extractors answer in plain text; these refuse as everything else does.

use std::io::Read;

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use kernel::{FieldFault, Kind, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::{Problem, of_status};

/// The most bytes of a body, compressed or not.
pub const MAX_BODY: usize = 1024 * 1024;
/// Up to here a body that is too large is read to its end, so that its sender hears why it was refused.
pub(super) const MAX_DISCARDED: usize = 16 * MAX_BODY;
/// How deep JSON may be nested.
const MAX_DEPTH: usize = 32;

/// A JSON body. As an extractor it names every unknown field and every refusal's place by a JSON pointer; as an answer it is
/// `application/json`.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes)
                .into_response(),
            Err(error) => Problem::from(crate::StoreFailure::from(error)).into_response(),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        // Behind the edge it has arrived already; this is for a router without one.
        let bytes = received(body).await?;
        parse(&unpacked(&parts.headers, bytes)?).map(Json)
    }
}

/// The whole of a body, if it is not too large. What is too large is read on for a while and thrown away: an answer to a client
/// that is still sending would be lost with the connection.
pub(super) async fn received(mut body: axum::body::Body) -> Result<Bytes, Problem> {
    let (mut taken, mut seen) = (BytesMut::new(), 0usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed("malformed_body", "The body ended early."))?;
        let Some(data) = frame.data_ref() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > MAX_DISCARDED {
            break;
        }
        if seen <= MAX_BODY {
            taken.extend_from_slice(data);
        }
    }
    if seen > MAX_BODY { Err(of_status(StatusCode::PAYLOAD_TOO_LARGE)) } else { Ok(taken.freeze()) }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unpacked(headers: &HeaderMap, bytes: Bytes) -> Result<Bytes, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some(b"identity") => Ok(bytes),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            let limit = MAX_BODY as u64 + 1;
            flate2::read::GzDecoder::new(&bytes[..])
                .take(limit)
                .read_to_end(&mut plain)
                .map_err(|_| malformed("malformed_body", "The body is no gzip."))?;
            if plain.len() > MAX_BODY {
                return Err(of_status(StatusCode::PAYLOAD_TOO_LARGE));
            }
            Ok(plain.into())
        }
        Some(_) => Err(Problem::of_http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "Bodies come plain or compressed with gzip.",
        )
        .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))),
    }
}

fn malformed(code: &'static str, detail: impl Into<String>) -> Problem {
    Refusal::new(Kind::Malformed, code, detail).into()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| malformed("malformed_json", "The body is not UTF-8."))?;
    if depth(text) > MAX_DEPTH {
        let fault = FieldFault::new("", "too_deep", "JSON is nested at most 32 deep");
        return Err(invalid(vec![fault]));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let read = read(&mut json);
    match read.value {
        Ok(value) => {
            json.end()
                .map_err(|error| malformed("malformed_json", format!("The body is no JSON: {error}.")))?;
            if read.unknown.is_empty() { Ok(value) } else { Err(invalid(read.unknown)) }
        }
        Err((_, error)) if error.classify() == serde_json::error::Category::Data => {
            Err(invalid(every_fault::<T>(text).unwrap_or_else(|| vec![wrong(String::new(), &error)])))
        }
        Err((_, error)) => Err(malformed("malformed_json", format!("The body is no JSON: {error}."))),
    }
}

/// What one reading of a body found.
struct Reading<T> {
    value: Result<T, (Vec<String>, serde_json::Error)>,
    unknown: Vec<FieldFault>,
}

fn read<'de, T, D>(json: D) -> Reading<T>
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    let mut track = serde_path_to_error::Track::new();
    let mut unknown = Vec::new();
    let tracked = serde_path_to_error::Deserializer::new(json, &mut track);
    let value = serde_ignored::deserialize(tracked, |path: serde_ignored::Path<'_>| {
        unknown.push(FieldFault::new(ignored_pointer(&path), "unknown_field", "there is no such field"));
    });
    Reading { value: value.map_err(|error| (segments(&track.path()), error)), unknown }
}

/// Reading stops at the first value of a wrong type. So that the client learns of every fault at once, that value is taken
/// out and the rest is read again, until nothing is wrong but what is missing.
fn every_fault<T: DeserializeOwned>(text: &str) -> Option<Vec<FieldFault>> {
    let mut tree: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut faults = Vec::new();
    for _ in 0..MAX_FAULTS {
        let Reading { value, mut unknown } = read::<T, _>(&tree);
        let Err((path, error)) = value else {
            faults.append(&mut unknown);
            break;
        };
        let pointer: String = path.iter().map(|segment| format!("/{}", escaped(segment))).collect();
        let fault = wrong(pointer, &error);
        // A field that is missing is no reason to stop telling of the others; one that is there and wrong is taken out.
        let removed = fault.code.as_str() != "required" && remove(&mut tree, &path);
        faults.push(fault);
        if !removed {
            faults.append(&mut unknown);
            break;
        }
    }
    // What was taken out may have been required: it is named already, as wrong.
    let named: Vec<String> =
        faults.iter().filter(|f| f.code.as_str() != "required").map(|f| f.pointer.clone()).collect();
    faults.retain(|fault| fault.code.as_str() != "required" || !named.contains(&fault.pointer));
    (!faults.is_empty()).then_some(faults)
}

/// The most faults that one answer names.
const MAX_FAULTS: usize = 64;

fn remove(tree: &mut serde_json::Value, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut place = tree;
    for segment in parents {
        let next = match place {
            serde_json::Value::Object(map) => map.get_mut(segment),
            serde_json::Value::Array(list) => {
                segment.parse().ok().and_then(|index: usize| list.get_mut(index))
            }
            _ => None,
        };
        let Some(next) = next else { return false };
        place = next;
    }
    match place {
        serde_json::Value::Object(map) => map.remove(last).is_some(),
        // Taking an element out of a list would move its neighbours.
        _ => false,
    }
}

fn wrong(pointer: String, error: &serde_json::Error) -> FieldFault {
    let text = error.to_string();
    // serde says what is missing in words only.
    if let Some(name) = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return FieldFault::new(format!("{pointer}/{}", escaped(name)), "required", "must be given");
    }
    let sentence = text.split(" at line ").next().unwrap_or_default().to_owned();
    FieldFault::new(pointer, "invalid_value", sentence)
}

fn invalid(faults: Vec<FieldFault>) -> Problem {
    Refusal::new(Kind::Invalid, "invalid", "The body breaks a rule; see errors.").with_fields(faults).into()
}

/// How deep brackets are nested outside of strings; counted before parsing, so that nothing deep is ever built.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0usize, 0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn segments(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => "?".to_owned(),
        })
        .collect()
}

fn ignored_pointer(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}/{index}", ignored_pointer(parent)),
        Path::Map { parent, key } => format!("{}/{}", ignored_pointer(parent), escaped(key)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            ignored_pointer(parent)
        }
    }
}

/// The parameters of a path, as a struct with their names. A name decides what a bad value means: `type` names no section
/// (404 `unknown_type`), an `id` names nothing that could exist (404 `not_found`), the rest can't be read (400).
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    #[allow(clippy::disallowed_types, reason = "this is the wrapper")]
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        taken.map(|axum::extract::Path(value)| Path(value)).map_err(|rejection| path_problem(&rejection))
    }
}

fn path_problem(rejection: &PathRejection) -> Problem {
    let key = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => match error.kind() {
            ErrorKind::ParseErrorAtKey { key, .. }
            | ErrorKind::DeserializeError { key, .. }
            | ErrorKind::InvalidUtf8InPathParam { key } => key.as_str(),
            _ => "",
        },
        _ => "",
    };
    match key {
        "type" => {
            let names: Vec<&str> = kernel::Section::ALL.iter().map(|section| section.as_str()).collect();
            Refusal::new(Kind::NotFound, "unknown_type", format!("The sections are {}.", names.join(", ")))
                .into()
        }
        id if id == "id" || id.ends_with("_id") => of_status(StatusCode::NOT_FOUND),
        "" => malformed("malformed_path", "The path can't be read."),
        name => malformed("malformed_path", format!("{name} in the path can't be read.")),
    }
}

/// The parameters of a query. What can't be read is 400; ranges are the handler's affair (422).
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    #[allow(clippy::disallowed_types, reason = "this is the wrapper")]
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(rejection) => Err(malformed("malformed_query", rejection.body_text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[allow(dead_code, reason = "read by serde only")]
        n: u32,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[allow(dead_code, reason = "read by serde only")]
        list: Vec<Inner>,
    }

    fn faults(text: &str) -> Vec<(String, String)> {
        let problem = parse::<Outer>(text.as_bytes()).expect_err("a refusal");
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        problem
            .into_parts()
            .refusal
            .fields
            .into_iter()
            .map(|f| (f.pointer, f.code.as_str().to_owned()))
            .collect()
    }

    fn pair(pointer: &str, code: &str) -> (String, String) {
        (pointer.to_owned(), code.to_owned())
    }

    #[test]
    fn every_unknown_field_is_named_by_its_pointer() {
        let found = faults(r#"{"list":[{"n":1,"a/b":2},{"n":2}],"x~y":{"z":1}}"#);
        assert_eq!(found, [pair("/list/0/a~1b", "unknown_field"), pair("/x~0y", "unknown_field")]);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_by_its_pointer() {
        assert_eq!(faults(r#"{"list":[{"n":1},{"n":"two"}]}"#), [pair("/list/1/n", "invalid_value")]);
    }

    #[test]
    fn every_fault_is_told_at_once_wherever_the_first_one_stands() {
        #[derive(Debug, Deserialize)]
        struct Account {
            #[allow(dead_code, reason = "read by serde only")]
            name: String,
            #[allow(dead_code, reason = "read by serde only")]
            email: String,
            #[allow(dead_code, reason = "read by serde only")]
            age: u32,
        }
        let problem = parse::<Account>(br#"{"age":"old","name":1,"emal":2}"#).expect_err("a refusal");
        let mut found: Vec<_> = problem
            .into_parts()
            .refusal
            .fields
            .into_iter()
            .map(|fault| (fault.pointer, fault.code.as_str().to_owned()))
            .collect();
        found.sort();
        let expected =
            [pair("/age", "invalid_value"), pair("/emal", "unknown_field"), pair("/name", "invalid_value")];
        assert!(expected.iter().all(|fault| found.contains(fault)), "{found:?}");
        let problem =
            parse::<Account>(br#"{"name":"Ada","age":7,"emal":2}"#).expect_err("a refusal").into_parts();
        let found: Vec<_> = problem.refusal.fields.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(found, ["/email", "/emal"]);
        assert!(!problem.refusal.fields.iter().any(|fault| fault.detail.contains("at line")));
    }

    #[test]
    fn what_is_no_json_is_400() {
        for text in ["", "{", "{\"list\":[]} trailing", "nope"] {
            let problem = parse::<Outer>(text.as_bytes()).expect_err("a refusal");
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{text}");
        }
    }

    #[test]
    fn json_is_nested_at_most_32_deep_and_brackets_in_strings_do_not_count() {
        assert_eq!(faults(&format!("{}{}", "[".repeat(33), "]".repeat(33))), [pair("", "too_deep")]);
        let text = format!(r#"{{"s":"{} \" {}"}}"#, "[".repeat(99), "{".repeat(99));
        assert_eq!(depth(&text), 1);
    }

    #[test]
    fn a_small_body_that_unpacks_to_a_large_one_is_413() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; MAX_BODY + 1]).expect("packs");
        let packed = Bytes::from(encoder.finish().expect("packs"));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let problem = unpacked(&headers, packed).expect_err("a refusal");
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
