//! `berth gateway replicate` where there is nothing to replicate: what it was to run beside Litestream runs all the same.

use berth_tests::supervised::run;
use tempfile::TempDir;

#[test]
fn without_replicas_the_command_runs_and_its_exit_status_is_passed_on() {
    let folder = TempDir::with_prefix("berth-replicate-").expect("a folder");
    let data = folder.path().to_str().expect("a path");
    let line = ["gateway", "replicate", "--replication", "off", "--pod", "gateway-0", "--data", data];
    let said = run(&[&line[..], &["--exec", "sh -c 'echo \"it runs\"; exit 7'"]].concat());
    assert_eq!((said.status.code(), said.stdout.as_slice()), (Some(7), &b"it runs\n"[..]), "{said:?}");
    let said = run(&line);
    assert!(said.status.success() && said.stdout.is_empty(), "nothing is to be run: {said:?}");
}
