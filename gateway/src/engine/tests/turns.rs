use super::*;

#[test]
fn a_handler_that_does_not_return_is_seen_and_so_is_its_end() {
    let (running, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (runs, open) = (Arc::clone(&running), Arc::clone(&gate));
    let bench = Bench::new(Bot(move |_: &Event, _: &mut Target<'_>| {
        runs.store(1, Ordering::SeqCst);
        while open.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        Ok(Reply::none())
    }));
    bench.own(A, 1);
    let sent = bench.post(say(&bench, A, "for ever"));
    while running.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let before = bench.engine().stuck();
    // The clock is moved without asking the writer, which could not answer.
    bench.clock().advance(6 * SECOND);
    let after = bench.engine().stuck();
    gate.store(1, Ordering::SeqCst);
    assert_eq!((before, after), (None, Some(6 * SECOND)));
    bench.until("it turns again", |bench| bench.engine().stuck().is_none());
    drop(sent);
}
