//! `berth simulate` tells a day of a made-up fleet, and tells it the same way every time: a change of what the planner does shows
//! as a change of `simulate/day.txt`.

use berth_tests::supervised::run;
use std::{fs, path::PathBuf};

const DAY: [&str; 11] =
    ["simulate", "--seed", "3", "--targets", "400", "--time", "6h", "--rolling", "4h", "--crashes", "3"];

fn told(seed: &str) -> String {
    let mut line = DAY;
    line[2] = seed;
    let output = run(&line);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("it/simulate/day.txt")
}

#[test]
fn a_day_is_told_as_it_was_told_before_and_another_seed_is_another_day() {
    let (before, now) = (fs::read_to_string(golden()).expect("it is there"), told("3"));
    let rewrite = format!("berth {} > {}", DAY.join(" "), golden().display());
    assert!(before == now, "is it meant? {rewrite}\nit was\n{before}\nand is\n{now}");
    assert_ne!(before, told("4"));
}
