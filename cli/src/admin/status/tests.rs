use super::*;
use shared::{
    Revision, Term,
    wire::{
        admin::PodStatus,
        control::{Load, PodInfo},
    },
};

fn status(status: &str, pod: PodState, http_ready: bool) -> Status {
    let info = PodInfo {
        pod: "gateway-0".parse().expect("valid"),
        address: "127.0.0.1:3010".into(),
        incarnation: "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("valid"),
        zone: None,
        capacity: 1.0,
        revision: Revision(1),
    };
    let pod = PodStatus {
        info,
        state: pod,
        state_age_ms: None,
        lease_id: shared::LeaseId(1),
        lease_age_ms: Some(250),
        lease_remaining_ms: 5_000,
        targets: 4,
        quarantined: 0,
        restoring: 0,
        replica: None,
        load: Load::default(),
        seen_revision: Revision(2),
        version: "0.1.0".into(),
        schema: 1,
        bot: None,
        not_ready: None,
        track: Default::default(),
        cordoned: false,
        drain: None,
    };
    let ready_pods = u64::from(pod.state == PodState::Ready);
    Status {
        health: Health {
            status: status.into(),
            leader: true,
            leader_address: None,
            term: Term(2),
            revision: Revision(9),
            pods: 1,
            ready_pods,
            targets: 4,
            quarantined: 0,
            stopped: None,
        },
        pods: PodList { revision: Revision(9), pods: vec![pod] },
        http_service: Some(Probe {
            url: "http://127.0.0.1:3000".into(),
            ready: http_ready,
            detail: "table: none".into(),
        }),
    }
}

#[test]
fn a_well_cluster_is_one_sentence_and_a_table() {
    let well = status("ok", PodState::Ready, true);
    assert!(problems(&well).is_empty());
    let text = screen(&well);
    assert!(text.starts_with("ok: 1 of 1 pods ready, 4 targets, term 2, revision 9\n"), "{text}");
    assert!(text.contains("gateway-0     ready  4        -        250ms old  127.0.0.1:3010\n"), "{text}");
}

#[test]
fn a_pod_that_holds_its_lease_and_cannot_work_is_a_problem() {
    let mut unwell = status("ok", PodState::Ready, true);
    unwell.pods.pods[0].not_ready = Some("the handler at http://127.0.0.1:9/ cannot be reached".into());
    assert_eq!(problems(&unwell), ["gateway-0: the handler at http://127.0.0.1:9/ cannot be reached"]);
    let text = screen(&unwell);
    assert!(text.starts_with("degraded: 0 of 1 pods ready, "), "{text}");
    assert!(text.contains("gateway-0     not ready  4"), "{text}");
}

#[test]
fn everything_that_is_not_well_is_said() {
    let unwell = problems(&status("degraded", PodState::Suspect, false));
    assert_eq!(
        unwell,
        ["config-service is degraded", "gateway-0 is suspect", "http-service is not ready: table: none"]
    );
}

#[test]
fn a_replica_that_does_not_keep_up_is_a_problem_of_a_pod_that_is_ready() {
    use shared::wire::replication::{Lag, Standing};
    let mut status = status("ok", PodState::Ready, true);
    let stands =
        |status: &mut Status, state| status.pods.pods[0].load.replication = Some(Lag { state, ms: 12_000, bytes: 9 });
    for state in [Standing::Behind, Standing::Closed, Standing::Degraded, Standing::Sealed] {
        stands(&mut status, state);
        let found = problems(&status);
        assert!(
            found.len() == 1 && found[0].starts_with("gateway-0: its replica is ") && found[0].contains("12 s"),
            "{found:?}"
        );
        assert!(screen(&status).contains(&format!("{state}, 12")), "{}", screen(&status));
    }
    for state in [Standing::Starting, Standing::Replicating] {
        stands(&mut status, state);
        assert!(problems(&status).is_empty(), "{state}");
    }
    stands(&mut status, Standing::Behind);
    status.pods.pods[0].state = PodState::Expired;
    assert!(!problems(&status).iter().any(|why| why.contains("replica")), "what it said last says nothing any more");
}
