use super::*;
use shared::wire::lineages::PodLives;

fn pod(n: u8) -> PodId {
    format!("gateway-{n}").parse().expect("a pod")
}

fn lives(n: u8, buried: bool, replica: &str) -> PodLives {
    let current = "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("an incarnation");
    PodLives { pod: pod(n), current, served: None, buried, targets: 0, replica: Some(replica.to_owned()) }
}

#[test]
fn every_pod_cleans_up_after_itself_and_the_first_that_lives_after_the_dead() {
    let pods = vec![
        lives(0, true, "s3://a"),
        lives(1, false, "s3://b"),
        lives(2, false, "s3://a"),
        lives(3, false, "s3://a"),
        lives(4, true, "s3://a"),
    ];
    let needs = LineageNeeds { now_ms: 0, generation: 1, settled: true, pods, lives: Vec::new() };
    let mine = |n| mine(&needs, &pod(n), "s3://a");
    assert_eq!(mine(2), [pod(0), pod(2), pod(4)]);
    assert_eq!(mine(3), [pod(3)]);
    assert!(mine(1).is_empty(), "its copies are elsewhere");
}
