//! The script of `docs/proof` and its test vector. A test of the crate `news` checks the same vector.

use serde_json::Value;
use system_tests::{text, verify_proof};

fn vector() -> Value {
    serde_json::from_str(&text("docs/proof/vector.json")).expect("JSON")
}

fn links(proof: &mut Value) -> &mut Vec<Value> {
    proof["proof"].as_array_mut().expect("links")
}

#[test]
fn the_script_accepts_its_test_vector_whole_and_in_pages() {
    let said = "4 versions form a chain, and 2 records are what was hashed";
    assert_eq!(verify_proof(&[vector()]), Ok(said.to_owned()));
    let (mut first, mut second) = (vector(), vector());
    links(&mut first).truncate(1);
    links(&mut second).remove(0);
    assert_eq!(verify_proof(&[first, second]), Ok(said.to_owned()));
}

#[test]
fn the_script_refuses_a_history_that_was_changed() {
    let refused = |change: fn(&mut Vec<Value>)| {
        let mut proof = vector();
        change(links(&mut proof));
        verify_proof(&[proof]).expect_err("it is refused")
    };
    let changed = refused(|links| {
        let record = links[1]["record"].as_str().expect("a record");
        links[1]["record"] = record.replacen("budget", "Budget", 1).into();
    });
    assert_eq!(changed, "the record of version 2 is not what was hashed");
    assert_eq!(refused(|links| drop(links.remove(2))), "version 3 is missing");
    let another = refused(|links| links[2]["previous"] = links[0]["hash"].clone());
    assert_eq!(another, "version 3 does not follow the version before it");
    let another = refused(|links| links[0]["previous"] = links[1]["hash"].clone());
    assert_eq!(another, "version 1 does not follow the version before it");
    let nothing = refused(|links| {
        for link in links {
            link.as_object_mut().expect("a link").remove("record");
        }
    });
    assert!(nothing.starts_with("no version has a record to check"), "{nothing}");
}

#[test]
fn the_script_skips_hashes_that_are_kept_back() {
    let mut proof = vector();
    links(&mut proof)[2]["hash"] = Value::Null;
    links(&mut proof)[3]["previous"] = Value::Null;
    let said = "4 versions form a chain, and 1 records are what was hashed";
    assert_eq!(verify_proof(&[proof]), Ok(said.to_owned()));
}
