use super::*;

/// A pod with `count` witnesses that was granted lease 1 for a heartbeat of `at(10)` and hears nothing of config-service
/// since: its lease is valid until `at(5_950)`.
fn cut_off(count: usize) -> Holder {
    let (mut pod, nonce) = tenant(1);
    let grant = Grant { witnesses: witnesses(1, count), ..grant(1, nonce) };
    assert_eq!(step(&mut pod, at(20), Input::Granted(grant)), [hold(1, at(10))]);
    pod
}

fn extended(lease: u64, until: Mono) -> Output {
    Output::Hold { lease: Lease { id: LeaseId(lease), valid_until: until }, not_before: None }
}

fn questions(outputs: &[Output]) -> Vec<(PodId, u64)> {
    let question = |output: &Output| match output {
        Output::Extend { to, question } => Some((to.pod.clone(), question.nonce)),
        _ => None,
    };
    outputs.iter().filter_map(question).collect()
}

fn promised((by, nonce): &(PodId, u64)) -> Input {
    Input::Answered { by: by.clone(), answer: Extended::Promised { nonce: *nonce } }
}

fn after(at: Mono, ms: u64) -> Mono {
    at.after(Duration::from_millis(ms))
}

#[test]
fn half_of_the_witnesses_extend_a_lease_from_when_they_were_asked() {
    for (count, needed) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
        let mut pod = cut_off(count);
        assert_eq!(questions(&pod.handle(at(2_450), Input::Tick)), [], "more than 3.5 s remain");
        let asked = questions(&pod.handle(at(2_451), Input::Tick));
        assert_eq!(asked.len(), count);
        for (number, question) in asked.iter().enumerate() {
            let outputs = step(&mut pod, at(2_700), promised(question));
            // With QE promises it is extended; a promise more changes nothing, all were asked for at the same time.
            let enough = number + 1 == needed;
            assert_eq!(outputs, enough.then(|| extended(1, at(6_451))).into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_extension_counts_from_the_oldest_question_that_it_needs() {
    let mut pod = cut_off(4);
    let first = questions(&pod.handle(at(2_500), Input::Tick));
    assert_eq!(step(&mut pod, at(2_600), promised(&first[0])), []);
    // A heartbeat later those without an answer are asked again, and the one that has promised as well.
    let second = questions(&pod.handle(at(3_500), Input::Tick));
    assert_eq!(second.len(), 4);
    assert_eq!(step(&mut pod, at(3_600), promised(&second[1])), [extended(1, at(6_500))]);
    assert_eq!(step(&mut pod, at(3_700), promised(&second[2])), [extended(1, at(7_500))]);
    // An answer to a question that was asked again is worth nothing.
    assert_eq!(step(&mut pod, at(3_800), promised(&first[3])), []);
}

#[test]
fn a_pod_lives_on_promises_for_as_long_as_they_come() {
    let mut pod = cut_off(3);
    let (mut now, mut until, mut asked) = (at(20), at(5_950), 0);
    while now < at(600_000) {
        now = pod.wake_at().unwrap_or(after(now, 100)).max(now);
        let mut inputs = vec![Input::Tick];
        while let Some(input) = inputs.pop() {
            for output in pod.handle(now, input) {
                match output {
                    Output::Extend { to, question } => {
                        asked += 1;
                        inputs.push(promised(&(to.pod, question.nonce)));
                    }
                    Output::Beat { nonce, .. } => {
                        inputs.push(not_granted(nonce, Failure::Unreachable("gone".into())));
                    }
                    Output::Hold { lease, not_before } => {
                        assert_eq!(not_before, None);
                        assert!(lease.valid_until > until && lease.valid_until <= now.after(Duration::from_secs(4)));
                        until = lease.valid_until;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(until.since(now) >= Duration::from_millis(2_400), "{now:?}");
    }
    assert!(asked <= 3 * 620, "every witness is asked about once per heartbeat, not {asked} times");
}

#[test]
fn one_pod_alone_serves_for_ever() {
    let mut pod = cut_off(0);
    assert_eq!(step(&mut pod, at(2_500), Input::Tick)[1..], [extended(1, at(6_500))]);
    let outputs = pod.handle(at(90_000), Input::Tick);
    assert!(outputs.contains(&extended(1, at(94_000))), "{outputs:?}");
}

#[test]
fn a_lease_that_was_never_granted_is_not_extended() {
    let (mut pod, first) = tenant(1);
    step(&mut pod, at(1_600), not_granted(first, Failure::Unreachable("cut".into())));
    assert_eq!(questions(&pod.handle(at(9_000), Input::Tick)), []);
}

#[test]
fn a_witness_that_is_not_in_the_config_does_not_count() {
    let mut pod = cut_off(2);
    let asked = questions(&pod.handle(at(2_500), Input::Tick));
    assert_eq!(step(&mut pod, at(2_600), promised(&(name(7), asked[0].1))), []);
    for answer in [
        Extended::NotReady { nonce: asked[0].1 },
        Extended::Fenced { nonce: asked[0].1, lease_id: LeaseId(1) },
        Extended::Promised { nonce: asked[0].1 },
    ] {
        // Only the first answer to a question counts, and this one was no promise.
        assert_eq!(step(&mut pod, at(2_700), Input::Answered { by: asked[0].0.clone(), answer }), []);
    }
}

#[test]
fn a_witness_relays_heartbeats_and_goes_on_with_it_until_it_fails() {
    let mut pod = cut_off(2);
    let outputs = pod.handle(at(2_500), Input::Tick);
    let (direct, asked) = (nonce(&outputs), questions(&outputs));
    let relay = Input::Answered { by: asked[0].0.clone(), answer: Extended::Relay { nonce: asked[0].1 } };
    let outputs = pod.handle(at(2_600), relay);
    let Output::Beat { nonce: relayed, via: Some(via), .. } = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!(via, &name(1));
    // One at a time: another offer is not needed.
    let other = Input::Answered { by: asked[1].0.clone(), answer: Extended::Relay { nonce: asked[1].1 } };
    assert_eq!(pod.handle(at(2_610), other), []);
    // It counts from when the pod sent it.
    let grant = |nonce| Input::Granted(Grant { witnesses: witnesses(1, 2), ..grant(1, nonce) });
    assert_eq!(pod.handle(at(2_900), grant(*relayed)), [hold(1, at(2_600))]);
    let outputs = pod.handle(at(3_600), Input::Tick);
    let Output::Beat { nonce: relayed, via: Some(_), .. } = outputs[0] else { panic!("{outputs:?}") };
    // What a witness says of the lease does not count; only config-service takes it away.
    assert_eq!(pod.handle(at(3_650), not_granted(relayed, refused(404))), []);
    assert_eq!(questions(&pod.handle(at(4_700), Input::Tick)), []);
    assert!(matches!(step(&mut pod, at(4_800), not_granted(direct, refused(409)))[..], [Output::Drop(_)]));
}

#[test]
fn a_new_lease_is_held_only_once_it_is_on_disk() {
    let (mut pod, first) = tenant(4);
    let outputs = pod.handle(at(20), Input::Granted(grant(4, first)));
    let remembered = Remembered { lease_id: LeaseId(4), incarnation: incarnation(1), witnesses: witnesses(1, 2) };
    assert_eq!(outputs, [Output::Keep(remembered)]);
    assert_eq!(pod.handle(at(25), Input::Kept(7)), []);
    assert_eq!(pod.handle(at(30), Input::Kept(1)), [hold(4, at(10))]);
}

#[test]
fn a_heartbeat_acknowledges_only_the_config_that_is_on_disk_and_only_that_one_is_asked() {
    let mut pod = cut_off(2);
    let version = |outputs: &[Output]| match outputs {
        [Output::Beat { witnesses, nonce, .. }] => (*witnesses, *nonce),
        other => panic!("{other:?}"),
    };
    let (kept, nonce) = version(&pod.handle(at(1_010), Input::Tick));
    assert_eq!(kept, 1);
    let grant =
        |nonce, version, count| Input::Granted(Grant { witnesses: witnesses(version, count), ..grant(1, nonce) });
    let outputs = pod.handle(at(1_020), grant(nonce, 2, 3));
    assert!(matches!(&outputs[..], [Output::Hold { .. }, Output::Keep(keep)] if keep.witnesses == witnesses(2, 3)));
    let (kept, nonce) = version(&pod.handle(at(2_010), Input::Tick));
    assert_eq!(kept, 1);
    // Nothing else is kept while the disk is at work; what came meanwhile follows.
    assert!(matches!(pod.handle(at(2_020), grant(nonce, 3, 4))[..], [Output::Hold { .. }]));
    assert!(matches!(&pod.handle(at(2_030), Input::Kept(2))[..], [Output::Keep(keep)] if keep.witnesses.version == 3));
    let (kept, nonce) = version(&pod.handle(at(3_010), Input::Tick));
    assert_eq!(kept, 2);
    pod.handle(at(3_020), not_granted(nonce, Failure::Unreachable("gone".into())));
    let outputs = pod.handle(at(6_000), Input::Tick);
    assert_eq!(questions(&outputs).len(), 3);
    // An older config never comes back.
    pod.handle(at(6_010), Input::Kept(3));
    let late = super::nonce(&outputs);
    assert!(matches!(pod.handle(at(6_100), grant(late, 2, 3))[..], [Output::Hold { .. }]));
}

fn restarted(pods: usize) -> Holder {
    let remembered = Remembered { lease_id: LeaseId(3), incarnation: incarnation(1), witnesses: witnesses(5, pods) };
    Holder::new(name(0), incarnation(1), LeaseTerms::default(), 8, Some(remembered))
}

#[test]
fn a_restart_in_place_goes_on_under_its_lease_once_it_is_promised_or_granted() {
    let mut pod = restarted(3);
    let outputs = pod.handle(at(0), Input::Tick);
    assert!(matches!(outputs[0], Output::Beat { lease_id: LeaseId(3), witnesses: 5, .. }), "{outputs:?}");
    let asked = questions(&outputs);
    assert_eq!(asked.len(), 3);
    assert_eq!(pod.handle(at(10), promised(&asked[0])), []);
    assert_eq!(pod.handle(at(20), promised(&asked[1])), [extended(3, at(4_000))]);

    let mut pod = restarted(3);
    let first = nonce(&pod.handle(at(0), Input::Tick));
    let grant = Grant { witnesses: witnesses(5, 3), ..grant(3, first) };
    assert_eq!(pod.handle(at(10), Input::Granted(grant)), [hold(3, at(0))]);

    let mut pod = restarted(3);
    let first = nonce(&pod.handle(at(0), Input::Tick));
    assert!(matches!(pod.handle(at(10), not_granted(first, refused(409)))[..], [Output::Drop(_)]));
}

#[test]
fn another_life_of_the_folder_does_not_go_on_under_the_lease() {
    let remembered = Remembered { lease_id: LeaseId(3), incarnation: incarnation(2), witnesses: witnesses(5, 3) };
    let mut pod = Holder::new(name(0), incarnation(1), LeaseTerms::default(), 8, Some(remembered));
    assert_eq!(pod.handle(at(0), Input::Tick), [Output::Register]);
}

#[test]
fn two_processes_have_two_chains_and_one_counts_its_heartbeats() {
    let chain = |outputs: &[Output]| match outputs[0] {
        Output::Beat { chain, nonce, .. } => (chain, nonce),
        ref other => panic!("{other:?}"),
    };
    let (mut one, mut other) = (restarted(1), stranger());
    let (first, nonce) = chain(&one.handle(at(0), Input::Tick));
    one.handle(at(0), not_granted(nonce, Failure::Unreachable("gone".into())));
    let mut copy = one.clone();
    let ((second, _), (copied, _)) =
        (chain(&one.handle(at(2_000), Input::Tick)), chain(&copy.handle(at(2_000), Input::Tick)));
    assert_eq!((first.seq, second.seq, first.id), (1, 2, second.id));
    assert_eq!(copied, second);
    // A machine that was copied while it ran goes on at another instant, and so with another nonce.
    let ((_, here), (_, there)) =
        (chain(&restarted(1).handle(at(1), Input::Tick)), chain(&restarted(1).handle(at(2), Input::Tick)));
    assert_ne!(here, there);
    other.handle(at(0), Input::Tick);
    assert_ne!(chain(&other.handle(at(0), registered(1))).0.id, first.id);
}
