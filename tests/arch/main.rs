//! The rules of the house, kept by a test: who may import whom, where the outside is touched, how files look. Each rule
//! is shown to fail on a source made up to break it.

mod rules;
mod strip;
mod tree;

use rules::{Rule, check};
use tree::{Source, packages, sources};

fn broken(rules: &[Rule]) -> Vec<String> {
    sources().iter().flat_map(|source| check(rules, source)).collect()
}

#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn crates_import_one_way() {
    let mut wrong = Vec::new();
    for package in packages() {
        for other in &package.imports {
            if !rules::may_import(&package.name, other) {
                wrong.push(format!("{} depends on {other}", package.name));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let wrong: Vec<_> = packages().into_iter().filter(|package| !package.takes_lints).map(|p| p.name).collect();
    none(&wrong);
}

#[test]
fn modules_import_one_way_inside_a_service() {
    none(&broken(rules::LAYERS));
}

#[test]
fn the_outside_is_touched_only_where_it_is_meant_to_be() {
    none(&broken(rules::OUTSIDE));
}

#[test]
fn deciding_code_is_pure() {
    none(&broken(rules::PURE));
}

#[test]
fn files_look_as_the_house_wants_them() {
    none(&sources().iter().flat_map(rules::shape).collect::<Vec<_>>());
    let folders: Vec<_> = sources().iter().filter_map(|source| tree::missing_parent(&source.path)).collect();
    none(&folders);
}

#[test]
fn every_migration_is_in_the_binary() {
    let all = sources();
    let missing: Vec<_> = tree::migrations()
        .into_iter()
        .filter(|path| !all.iter().any(|source| source.text.contains("include_str!") && source.text.contains(path)))
        .collect();
    none(&missing);
}

#[test]
fn the_rules_have_something_to_look_at() {
    let paths: Vec<_> = sources().into_iter().map(|source| source.path).collect();
    for subject in rules::SUBJECTS {
        assert!(paths.iter().any(|path| rules::under(path, subject)), "no source under {subject}: the rule is blind");
    }
    assert!(!tree::migrations().is_empty(), "no migrations: the rule is blind");
    assert!(packages().iter().any(|package| !package.imports.is_empty()), "no imports: the rule is blind");
}

#[test]
fn each_rule_can_fail() {
    for (path, text) in rules::OFFENCES {
        let source = Source { path: (*path).to_owned(), text: (*text).to_owned() };
        let sets = [rules::LAYERS, rules::OUTSIDE, rules::PURE];
        let found = sets.iter().any(|set| !check(set, &source).is_empty()) || !rules::shape(&source).is_empty();
        assert!(found, "nobody minds this in {path}:\n{text}");
    }
    for (path, text) in rules::HARMLESS {
        let source = Source { path: (*path).to_owned(), text: (*text).to_owned() };
        let found: Vec<_> =
            [rules::LAYERS, rules::OUTSIDE, rules::PURE].iter().flat_map(|set| check(set, &source)).collect();
        none(&[found, rules::shape(&source)].concat());
    }
    assert!(!rules::may_import("berth-shared", "berth-gateway"));
    assert!(!rules::may_import("berth-gateway", "berth-config-service"));
    assert!(rules::may_import("berth", "berth-gateway") && rules::may_import("berth-gateway", "berth-shared"));
}
