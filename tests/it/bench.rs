//! The measurement measures: its numbers are nobody's promise, that it comes to its end is.

use berth_tests::supervised::run;
use serde_json::Value;

#[test]
fn a_small_measurement_of_a_cluster_of_its_own_comes_to_its_end() {
    let size = ["--pods", "2", "--targets", "5", "--events", "60", "--concurrency", "4"];
    let output = run(&[&["bench", "smoke", "-o", "json"], &size[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let roles = report["roles"].as_array().expect("roles");
    let names: Vec<_> = roles.iter().map(|role| (role["role"].as_str(), role["processes"].as_u64())).collect();
    let expected = [("config-service", 1), ("gateway", 2), ("http-service", 1), ("berth up", 1)];
    assert_eq!(names, expected.map(|(name, n)| (Some(name), Some(n))));
    for role in roles {
        for memory in ["rest", "loaded"] {
            assert!(role[memory]["pss_bytes"].as_u64() > Some(1_000_000), "{role}");
        }
    }
    assert!(report["first_answer_seconds"].as_f64() > Some(0.0), "{report}");
    assert!(report["load"]["events_per_second"].as_f64() > Some(0.0), "{report}");
    assert_eq!(report["build"] == "debug", said.contains("debug build"), "{said}");
}

#[test]
fn targets_of_each_size_are_moved_as_often_as_asked() {
    let size = ["--bytes", "10000,300000", "--times", "2"];
    let output = run(&[&["bench", "move", "-o", "json"], &size[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let sizes = report["sizes"].as_array().expect("sizes");
    assert_eq!(sizes.len(), 2, "{report}");
    for (moved, least) in sizes.iter().zip([10_000, 300_000]) {
        assert_eq!(moved["moves"], 2);
        assert!(moved["bytes"].as_u64() >= Some(least), "{moved}");
        assert!(moved["pause_max_ms"].as_f64() >= moved["pause_p50_ms"].as_f64(), "{moved}");
    }
}
