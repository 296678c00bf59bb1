use crate::{
    handlers::{Event, EventKind, Handler, HandlerError, Reply, Target, TargetId},
    testing::{Bench, text_of},
};
use shared::wire::link::Outcome;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

const A: &str = "slack:guild:TA";

/// Counts in memory, by target. A restart begins with an empty memory: `forget` plays the process that is gone.
#[derive(Debug, Clone, Default)]
struct Counts(Arc<Mutex<HashMap<TargetId, u64>>>);

impl Counts {
    fn forget(&self) {
        self.0.lock().expect("not poisoned").clear();
    }
}

impl Handler for Counts {
    fn handle(&self, _: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        let mut counts = self.0.lock().expect("not poisoned");
        let count = counts.entry(target.id().clone()).or_default();
        *count += 1;
        Ok(Reply::text(count.to_string()))
    }

    fn export_volatile(&self, target: &TargetId) -> Option<Vec<u8>> {
        Some(self.0.lock().expect("not poisoned").remove(target)?.to_string().into_bytes())
    }

    fn import_volatile(&self, target: &TargetId, state: &[u8]) {
        let count = String::from_utf8_lossy(state).parse().expect("a number");
        self.0.lock().expect("not poisoned").insert(target.clone(), count);
    }
}

fn count(bench: &Bench) -> String {
    match bench.send(bench.event(A, EventKind::SlackCommand, "")) {
        Outcome::Committed { answer, .. } => text_of(&answer),
        other => panic!("not committed: {other:?}"),
    }
}

#[test]
fn what_a_handler_keeps_in_memory_survives_an_orderly_restart_and_not_a_crash() {
    let counts = Counts::default();
    let mut bench = Bench::new(counts.clone());
    assert_eq!([count(&bench), count(&bench)], ["1", "2"]);
    for expected in ["3", "4"] {
        bench.restart();
        assert_eq!(count(&bench), expected);
    }
    counts.forget();
    bench.crash();
    assert_eq!(count(&bench), "1", "what was given back once is not given back again");
}

#[test]
fn a_target_that_is_let_go_of_takes_its_memory_along() {
    let bench = Bench::new(Counts::default());
    let target = bench.own(A, 1);
    count(&bench);
    bench.let_go(&target);
    bench.give_back(&target, 1);
    assert_eq!(count(&bench), "2");
}

#[test]
fn memory_that_is_too_large_or_comes_without_a_lease_is_not_kept() {
    let mut bench = Bench::with(Counts::default(), |options| options.volatile_max = 0);
    count(&bench);
    bench.restart();
    assert_eq!(count(&bench), "1");
    let mut bench = Bench::new(Counts::default());
    count(&bench);
    bench.ownership().drop_lease();
    bench.restart();
    bench.renew_lease();
    assert_eq!(count(&bench), "1");
}
