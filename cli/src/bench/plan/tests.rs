use super::*;
use clap::Parser as _;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// The report of small fleets, as it is written.
fn written() -> Value {
    let line = Line::parse_from(["plan", "--targets", "20000", "--most", "20000"]);
    serde_json::to_value(measure(&line.args)).expect("JSON")
}

#[test]
fn the_report_has_the_shape_that_others_read() {
    let report = written();
    assert_eq!(report.as_object().expect("an object").len(), 1);
    let keys = ["name", "targets", "pods", "seconds", "moved_over_bound", "max_over_mean"];
    for scenario in report["scenarios"].as_array().expect("a list") {
        let has: BTreeSet<_> = scenario.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(has, BTreeSet::from(keys), "{scenario}");
        assert!(scenario["name"].is_string() && keys[1..].iter().all(|key| scenario[key].is_number()), "{scenario}");
    }
}

#[test]
fn whatever_happens_no_more_moves_than_has_to_and_pods_are_even() {
    let report = written();
    let figure = |name: &str, key: &str| {
        let found = report["scenarios"].as_array().expect("a list").iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no scenario {name}"))[key].as_f64().expect("a number")
    };
    for name in ["scale-out", "scale-in", "crash", "skew", "pin", "20000×100", "20000×100 crash", "20000×100 to 110"]
    {
        assert!(figure(name, "moved_over_bound") <= 1.02, "{name}: {}", figure(name, "moved_over_bound"));
        assert!(figure(name, "max_over_mean") <= 1.05 + 1e-6, "{name}: {}", figure(name, "max_over_mean"));
    }
    for rule in ["scale-out, consistent_hash ring", "scale-out, rendezvous"] {
        assert!(figure(rule, "max_over_mean") > 1.05, "what knows names only leaves pods uneven");
    }
}
