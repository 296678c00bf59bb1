use super::*;
use crate::domain::SETTINGS;
use std::{collections::BTreeSet, path::PathBuf};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn described() -> String {
    let (_, docs) = all().into_parts();
    let text = serde_json::to_string_pretty(&openapi::describe(&docs)).expect("JSON");
    text + "\n"
}

/// Replaces what stands between the marks called `name`.
fn section(text: &str, name: &str, inside: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: "), format!("<!-- end of {name} -->"));
    let from = text.find(&begin).and_then(|at| text[at..].find("-->\n").map(|end| at + end + 4)).expect("a mark");
    let to = text.find(&end).expect("its end");
    format!("{}{inside}{}", &text[..from], &text[to..])
}

/// docs/api.md with its tables as the code has them.
fn guide() -> String {
    let text = std::fs::read_to_string(repository("docs/api.md")).expect("the guide");
    let codes = problems::CODES.iter().map(|code| format!("| {} | `{}` | {} |\n", code.status, code.code, code.when));
    let text =
        section(&text, "codes", &format!("| status | code | when |\n|---|---|---|\n{}", codes.collect::<String>()));
    let settings = SETTINGS.iter().map(|setting| {
        let default = setting.default().to_string().replace('"', "");
        format!("| `{}` | `{default}` | {} |\n", setting.name, setting.help)
    });
    let head = "| setting | default | what it does |\n|---|---|---|\n";
    let text = section(&text, "settings", &format!("{head}{}", settings.collect::<String>()));
    let (_, mut docs) = all().into_parts();
    docs.sort_by(|a, b| (a.path, a.method.as_str()).cmp(&(b.path, b.method.as_str())));
    let rows = docs
        .iter()
        .map(|doc| format!("| `{} {}` | {} | {} |\n", doc.method, doc.path, doc.access.as_str(), doc.summary));
    let head = "| operation | for | what it does |\n|---|---|---|\n";
    section(&text, "operations", &format!("{head}{}", rows.collect::<String>()))
}

const REWRITE: &str = "cargo test -p berth-config-service --lib -- --ignored rewrite_the_description_of_the_api";

#[test]
fn the_committed_description_of_the_api_is_the_one_of_the_code() {
    let committed = std::fs::read_to_string(repository("docs/openapi.json")).unwrap_or_default();
    let now = described();
    let differs = committed.lines().zip(now.lines()).position(|(before, after)| before != after);
    assert!(committed == now, "docs/openapi.json differs from line {differs:?} on; rewrite it with: {REWRITE}");
    let committed = std::fs::read_to_string(repository("docs/api.md")).unwrap_or_default();
    assert!(committed == guide(), "the tables of docs/api.md are not those of the code; rewrite them with: {REWRITE}");
}

#[test]
#[ignore = "writes docs/openapi.json and the tables of docs/api.md"]
fn rewrite_the_description_of_the_api() {
    std::fs::write(repository("docs/openapi.json"), described()).expect("written");
    std::fs::write(repository("docs/api.md"), guide()).expect("written");
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
