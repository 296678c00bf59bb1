use super::*;
use clap::Parser as _;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn lived(more: &[&str]) -> String {
    let small = ["simulate", "--targets", "400", "--time", "6h", "--rolling", "4h"];
    let line = Line::parse_from(small.iter().chain(more));
    Day::new(&line.args).live()
}

fn figure<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find(|line| line.starts_with(name)).expect("a line for each figure");
    line[name.len()..].trim()
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let first = lived(&["--seed", "3"]);
    assert_eq!(first, lived(&["--seed", "3"]));
    assert_ne!(first, lived(&["--seed", "4"]));
}

#[test]
fn no_plan_of_a_day_with_crashes_and_an_update_breaks_a_rule() {
    for seed in ["1", "2", "3"] {
        let text = lived(&["--seed", seed, "--crashes", "3"]);
        assert_eq!(figure(&text, "faults in plans"), "0", "{text}");
        assert!(!figure(&text, "moves").starts_with("0 forced"), "{text}");
    }
}
