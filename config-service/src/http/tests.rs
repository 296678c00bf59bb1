use super::*;
use std::{collections::BTreeSet, path::PathBuf};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn described() -> String {
    let (_, docs) = all().into_parts();
    let text = serde_json::to_string_pretty(&openapi::describe(&docs)).expect("JSON");
    text + "\n"
}

const REWRITE: &str = "cargo test -p berth-config-service --lib -- --ignored rewrite_the_description_of_the_api";

#[test]
fn the_committed_description_of_the_api_is_the_one_of_the_code() {
    let committed = std::fs::read_to_string(repository("docs/openapi.json")).unwrap_or_default();
    let now = described();
    let differs = committed.lines().zip(now.lines()).position(|(before, after)| before != after);
    assert!(committed == now, "docs/openapi.json differs from line {differs:?} on; rewrite it with: {REWRITE}");
}

#[test]
#[ignore = "writes docs/openapi.json"]
fn rewrite_the_description_of_the_api() {
    std::fs::write(repository("docs/openapi.json"), described()).expect("written");
}

#[test]
fn every_operation_says_what_it_does_and_every_code_is_known() {
    let (_, docs) = all().into_parts();
    let known: BTreeSet<_> = problems::CODES.iter().map(|code| code.code).collect();
    let mut ids = BTreeSet::new();
    for doc in &docs {
        let name = format!("{} {}", doc.method, doc.path);
        assert!(!doc.summary.is_empty() && !doc.summary.ends_with('.'), "{name}");
        assert!(doc.problems.is_subset(&known), "{name}: {:?}", doc.problems.difference(&known));
        assert!(!doc.path.contains('{') || doc.problems.contains("bad-request"), "{name} has a path that may be wrong");
        assert!(ids.insert((doc.method.to_string(), doc.path)), "{name} is there twice");
    }
    assert_eq!(known.len(), problems::CODES.len(), "a code has one status");
}
