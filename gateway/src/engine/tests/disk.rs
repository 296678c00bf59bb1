use super::*;

#[test]
fn on_a_full_disk_nothing_is_acknowledged_and_all_is_well_when_there_is_room_again() {
    let mut bench = Bench::new(Bot(|event: &Event, target: &mut Target<'_>| {
        target.kv().set(&event.id, body(event))?;
        Ok(Reply::none())
    }));
    let text = "x".repeat(100_000);
    let mut kept = vec![say(&bench, A, &text)];
    assert!(matches!(bench.send(kept[0].clone()), Outcome::Committed { .. }));
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA max_page_count = 200")));
    let refused = loop {
        let event = say(&bench, A, &text);
        match bench.send(event.clone()) {
            Outcome::Committed { .. } => kept.push(event),
            Outcome::NotCommitted { .. } => break event,
            other => panic!("{other:?}"),
        }
        assert!(kept.len() < 100);
    };
    bench.until("the pod says that it cannot write", |bench| !bench.engine().writable());
    assert!(matches!(bench.send(say(&bench, B, &text)), Outcome::NotCommitted { .. }));
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA max_page_count = 1000000")));
    bench.until("it can be written again", |bench| {
        bench.advance(SECOND);
        bench.engine().writable()
    });
    assert!(!committed(&bench.send(refused.clone())).1);
    bench.crash();
    assert_eq!(bench.state(&refused.target).applied, kept.len() as u64 + 1);
    for event in kept {
        assert!(committed(&bench.send(event)).1);
    }
}

#[test]
fn a_database_that_cannot_be_written_keeps_what_was_accepted() {
    let gate = Arc::new(AtomicU32::new(0));
    let open = Arc::clone(&gate);
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        if body(event) == "late" && open.load(Ordering::SeqCst) == 0 { retry("closed") } else { log(event, target) }
    }));
    bench.own(B, 1);
    let late = say(&bench, A, "late");
    let sent = bench.post(late.clone());
    bench.advance(2 * SECOND);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA query_only = ON")));
    gate.store(1, Ordering::SeqCst);
    bench.advance(60 * SECOND);
    assert!(matches!(bench.send(say(&bench, B, "one")), Outcome::NotCommitted { .. }));
    assert_eq!(bench.state(&late.target).applied, 0);
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA query_only = OFF")));
    bench.until("it is applied", |bench| {
        bench.advance(SECOND);
        bench.state(&late.target).applied == 1
    });
    assert!(bench.engine().writable());
}

/// A small file system of its own, gone with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Needs the right to mount; `None` without it.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_is_really_full_is_survived() {
    let Some(disk) = SmallDisk::mount("3m") else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).expect("room for the ballast");
    let data = disk.0.path().join("pod");
    let bench = Bench::with(Bot(|_: &Event, _: &mut Target<'_>| Ok(Reply::none())), |options| options.data = data);
    let text = "x".repeat(50_000);
    let mut kept = Vec::new();
    let refused = loop {
        let event = say(&bench, A, &text);
        match bench.send(event.clone()) {
            Outcome::Committed { .. } => kept.push(event),
            Outcome::NotCommitted { .. } => break event,
            other => panic!("{other:?}"),
        }
        assert!(kept.len() < 100);
    };
    bench.until("the pod says that it cannot write", |bench| !bench.engine().writable());
    std::fs::remove_file(&ballast).expect("removed");
    bench.until("it can be written again", |bench| {
        bench.advance(SECOND);
        bench.engine().writable()
    });
    assert!(!committed(&bench.send(refused.clone())).1);
    for event in &kept {
        assert!(committed(&bench.send(event.clone())).1);
    }
    assert_eq!(bench.state(&refused.target).applied, kept.len() as u64 + 1);
}
