use http::StatusCode;
use kernel::ArticleId;
use secrecy::SecretString;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde only")]
struct Inner {
    n: u32,
}

#[derive(Debug, Deserialize)]
struct Outer {
    list: Vec<Inner>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde only")]
struct Account {
    name: String,
    email: String,
    age: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Login {
    email: String,
    password: SecretString,
}

fn refused<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> Vec<FieldFault> {
    let problem = parse::<T>(text.as_bytes()).expect_err("a refusal");
    assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY, "{text}");
    problem.into_parts().refusal.fields
}

fn faults<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> =
        refused::<T>(text).into_iter().map(|f| (f.pointer, f.code.as_str().to_owned())).collect();
    found.sort();
    found
}

fn pair(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[test]
fn every_unknown_field_is_reported_with_its_pointer() {
    let found = faults::<Outer>(r#"{"list":[{"n":1,"a/b":2},{"n":2}],"x~y":{"z":1},"":0}"#);
    let expected =
        [pair("/", "unknown_field"), pair("/list/0/a~1b", "unknown_field"), pair("/x~0y", "unknown_field")];
    assert_eq!(found, expected);
}

#[test]
fn a_value_of_the_wrong_type_is_reported_with_its_pointer() {
    assert_eq!(faults::<Outer>(r#"{"list":[{"n":1},{"n":"two"}]}"#), [pair("/list/1/n", "invalid_value")]);
}

#[test]
fn all_faults_are_reported_together_in_any_order() {
    let found = faults::<Account>(r#"{"age":"old","name":1,"emal":2}"#);
    let expected = [
        pair("/age", "invalid_value"),
        pair("/email", "required"),
        pair("/emal", "unknown_field"),
        pair("/name", "invalid_value"),
    ];
    assert_eq!(found, expected);
    assert_eq!(faults::<Account>("{}"), [pair("/email", "required"), pair("/name", "required")]);
}

#[test]
fn a_field_whose_type_refuses_the_placeholder_hides_no_other_fault() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read by serde only")]
    struct Named {
        id: ArticleId,
        title: String,
    }
    let found = faults::<Named>(r#"{"id":"{0190b2c4-5d1e-7a3f-8b6c-9e2d4f708152}","title":5}"#);
    assert_eq!(found, [pair("/id", "invalid_value"), pair("/title", "invalid_value")]);
}

#[test]
fn a_body_that_is_not_an_object_is_refused_and_never_repeated() {
    for (text, kind) in [
        (r#"["vera@example.org","hunter2-hunter2"]"#, "a list"),
        (r#""hunter2-hunter2""#, "a string"),
        ("42", "a number"),
        ("-1", "a number"),
        ("1.5", "a number"),
        ("true", "true or false"),
        ("null", "null"),
        ("[]", "a list"),
    ] {
        let found = refused::<Login>(text);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!((&*found[0].pointer, found[0].code.as_str()), ("", "invalid_value"), "{text}");
        assert_eq!(found[0].detail, format!("must be an object, got {kind}"));
    }
    assert_eq!(faults::<Outer>(r#"{"list":[[1]]}"#), [pair("/list/0", "invalid_value")]);
}

#[test]
fn a_refusal_of_a_password_contains_neither_its_value_nor_a_rust_type() {
    let good = parse::<Login>(br#"{"email":"a@example.org","password":"12345678"}"#).expect("a login");
    assert_eq!(good.email, "a@example.org");
    drop(good.password);
    for (value, kind) in [
        ("12345678", "a number"),
        ("1e3", "a number"),
        ("true", "true or false"),
        ("[\"secret\"]", "a list"),
        ("{\"secret\":1}", "an object"),
        ("null", "null"),
    ] {
        let found = refused::<Login>(&format!(r#"{{"email":5,"password":{value}}}"#));
        let details: Vec<_> = found.iter().map(|fault| (&*fault.pointer, &*fault.detail)).collect();
        let expected = format!("must be a string, got {kind}");
        assert!(details.contains(&("/password", expected.as_str())), "{details:?}");
        assert!(details.contains(&("/email", "must be a string, got a number")), "{details:?}");
    }
}

#[test]
fn no_detail_contains_a_rust_type() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read by serde only")]
    struct All {
        small: u8,
        whole: i64,
        fraction: f64,
        flag: bool,
        list: Vec<String>,
        inner: Inner,
        role: kernel::Role,
        section: kernel::Section,
        id: ArticleId,
        letter: char,
    }
    let text = r#"{"small":256,"whole":1.5,"fraction":"x","flag":0,"list":{},"inner":[1],"role":"king",
        "section":"weather","id":"5","letter":"ab"}"#;
    let found = refused::<All>(text);
    let details: Vec<_> = found.iter().map(|fault| fault.detail.as_str()).collect();
    assert_eq!(found.len(), 10, "{details:?}");
    for detail in &details {
        let words: Vec<_> = detail.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for word in
            ["u8", "i64", "f64", "struct", "tuple", "sequence", "enum", "variant", "borrowed", "Inner"]
        {
            assert!(!words.contains(&word), "{detail}");
        }
    }
    assert!(details.contains(&"must be between 0 and 255"), "{details:?}");
    assert!(details.contains(&"must be one of reader, author, editor, admin"), "{details:?}");
    assert!(details.contains(&"must be an object, got a list"), "{details:?}");
}

#[test]
fn a_repeated_member_is_reported_with_its_pointer() {
    let found = faults::<Account>(r#"{"name":"a","email":"b","name":"c","name":"d"}"#);
    assert_eq!(found, [pair("/name", "duplicate_field"), pair("/name", "duplicate_field")]);
    let nested = faults::<Outer>(r#"{"list":[{"n":1,"n":2}]}"#);
    assert_eq!(nested, [pair("/list/0/n", "duplicate_field")]);
}

#[test]
fn at_most_64_faults_are_reported() {
    let many = format!(r#"{{"name":"a","email":"b"{}}}"#, r#","":1"#.repeat(200_000));
    assert_eq!(refused::<Account>(&many).len(), MAX_FAULTS);
    let long = format!(r#"{{"{}":1}}"#, "x".repeat(500_000));
    assert_eq!(refused::<Account>(&long)[0].pointer.chars().count(), kernel::MAX_ECHO);
}

#[test]
fn a_field_has_at_most_10000_values() {
    #[derive(Debug, Deserialize)]
    struct Tags {
        tags: Vec<String>,
    }
    let list = |count: usize| format!(r#"{{"tags":[{}""]}}"#, r#""","#.repeat(count - 1));
    assert_eq!(parse::<Tags>(list(9_000).as_bytes()).expect("a body").tags.len(), 9_000);
    assert_eq!(faults::<Tags>(&list(100_000)), [pair("/tags", "too_many")]);
    let object = format!(r#"{{"tags":{{{}"z":0}}}}"#, r#""a":0,"#.repeat(100_000));
    assert_eq!(faults::<Tags>(&object), [pair("/tags", "too_many")]);
}

#[test]
fn invalid_json_is_400_wherever_it_is_cut() {
    let whole =
        r#"{"email":"a@example.org","password":"hunter2-hunter2","list":[{"n":-1.5e3}],"x":{"y":null}}"#;
    for length in 0..whole.len() {
        let problem = parse::<Login>(&whole.as_bytes()[..length]).expect_err("a refusal").into_parts();
        assert_eq!(problem.status, StatusCode::BAD_REQUEST, "{length}");
        assert_eq!(problem.refusal.code.as_str(), "malformed_json");
        assert!(!problem.refusal.detail.contains("hunter2"), "{}", problem.refusal.detail);
    }
    for text in ["{\"list\":[]} trailing", "nope", "{,}", "{\"list\":[01]}", "\u{feff}\u{feff}{}"] {
        let problem = parse::<Outer>(text.as_bytes()).expect_err("a refusal");
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{text}");
    }
    let problem = parse::<Outer>(b"{\"list\":\"\xff\"}").expect_err("a refusal");
    assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_byte_order_mark_before_json_is_skipped() {
    let body = parse::<Outer>("\u{feff}{\"list\":[]}".as_bytes()).expect("a body");
    assert!(body.list.is_empty());
}

#[test]
fn escapes_are_decoded_in_names_and_values() {
    let text = r#"{"n\u0061me":"\ud83d\ude00","email":"\"\\\/"}"#;
    let body = parse::<Account>(text.as_bytes()).expect("a body");
    assert_eq!((body.name.as_str(), body.email.as_str()), ("😀", "\"\\/"));
}

#[test]
fn json_is_nested_at_most_32_deep_and_brackets_in_strings_do_not_count() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(faults::<Outer>(&deep(33)), [pair("", "too_deep")]);
    assert_eq!(faults::<Outer>(&deep(32)), [pair("", "invalid_value")]);
    for name in ["list", "other"] {
        assert_eq!(faults::<Outer>(&format!(r#"{{"{name}":{}}}"#, deep(32))), [pair("", "too_deep")]);
    }
    assert_eq!(faults::<Outer>(&format!("{{\"list\":{}", "[".repeat(2_000))), [pair("", "too_deep")]);
    let text = format!(r#"{{"name":"{} \" {}","email":""}}"#, "[".repeat(99), "{".repeat(99));
    assert!(parse::<Account>(text.as_bytes()).is_ok());
}
