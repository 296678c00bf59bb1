use super::*;
use crate::{
    handlers::sql::Params,
    schema::Tables,
    store::{LocalId, Store, StoreError, export::export},
};
use proptest::prelude::*;
use shared::{Epoch, MoveId, TargetId, wire::data::ExportHead};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

mod restored;

const MIGRATION: &str = "
    CREATE TABLE warnings (target_id INTEGER NOT NULL, id TEXT NOT NULL, about TEXT, at INTEGER UNIQUE,
                           twice INTEGER AS (at * 2), PRIMARY KEY (target_id, id), UNIQUE (target_id, about)) WITHOUT ROWID;
    CREATE TABLE notes (target_id INTEGER NOT NULL, id TEXT NOT NULL, warning TEXT, up TEXT,
                        PRIMARY KEY (target_id, id),
                        FOREIGN KEY (target_id, warning) REFERENCES warnings (target_id, id)
                          ON DELETE CASCADE ON UPDATE CASCADE,
                        FOREIGN KEY (target_id, up) REFERENCES notes (target_id, id) ON DELETE CASCADE);
    CREATE TABLE escalations (id TEXT PRIMARY KEY COLLATE NOCASE, guild_id TEXT NOT NULL, about BLOB);
    CREATE TABLE votes (id TEXT PRIMARY KEY, escalation_id TEXT NOT NULL REFERENCES escalations (id) ON DELETE CASCADE,
                        vote REAL);
    CREATE TABLE guilds (guild_id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE words (word TEXT PRIMARY KEY);";
const MAP: &str = "
    [tables.warnings]
    column = 'target_id'
    [tables.notes]
    column = 'target_id'
    [tables.escalations]
    column = 'guild_id'
    [tables.votes]
    via = 'escalations.id'
    [tables.guilds]
    column = 'guild_id'
    [tables.words]
    global = true";

/// A pod's database.
struct Pod {
    store: Store,
    importer: Importer,
    snapshots: Snapshots,
    folder: TempDir,
}

fn target() -> TargetId {
    "discord:guild:10".parse().expect("valid")
}

fn other() -> TargetId {
    "discord:guild:20".parse().expect("valid")
}

fn tables() -> Tables {
    Tables::embedded(&[("0001_begin.sql", &MIGRATION.replace("at INTEGER UNIQUE", "at INTEGER"))], MAP)
}

impl Pod {
    fn new() -> Self {
        Self::with(&tables())
    }

    fn with(tables: &Tables) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open_for_tests(folder.path(), tables).expect("opened");
        let importer = Importer::open(folder.path(), Arc::clone(store.plan())).expect("opened");
        let snapshots = Snapshots::new(folder.path().to_owned());
        Self { store, importer, snapshots, folder }
    }

    fn open(&self, target: &TargetId) -> LocalId {
        self.store.open_target(target, Epoch(7), None).expect("opened").expect("fit").local
    }

    fn run(&self, target: &TargetId, sql: &str) -> bool {
        let local = self.open(target);
        self.store.sql_execute(local, target, sql, &Params::default()).is_ok()
    }

    fn must(&self, target: &TargetId, sql: &str) {
        let local = self.open(target);
        self.store.sql_execute(local, target, sql, &Params::default()).unwrap_or_else(|why| panic!("{sql}: {why}"));
    }

    /// What an export says of a target, without what an epoch changes, in order.
    fn all_of(&self, target: &TargetId) -> Vec<String> {
        let mut text = Vec::new();
        let head = |tables| ExportHead {
            berth: ExportHead::WORD.to_owned(),
            version: ExportHead::VERSION,
            target: target.clone(),
            epoch: Epoch(0),
            pod: "gateway-0".parse().expect("valid"),
            at_ms: 0,
            tables,
        };
        let mut sink = |part: Vec<u8>| {
            text.extend(part);
            Ok(())
        };
        export(self.folder.path(), self.store.map(), target, target.as_str(), head, &mut sink).expect("exported");
        let text = String::from_utf8(text).expect("text");
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| line.contains("\"row\""))
            .map(|line| line.replace("\"epoch\":8", "\"epoch\":7"))
            .collect();
        lines.sort();
        lines
    }

    /// Takes a parcel in, as the writer does.
    fn take(&mut self, parcel: &[u8]) -> Result<Taken, NotTaken> {
        let parcel = Parcel::read(parcel).expect("a parcel");
        self.importer.begin(Outlives::Power).expect("begun");
        let taken = self.importer.take(MoveId(3), &parcel, Summed::Rows, 0);
        match &taken {
            Err(NotTaken::Store(why)) => panic!("{why}"),
            _ => self.importer.commit().expect("committed"),
        }
        taken
    }

    fn clear_leaving(&mut self) {
        while let Some((local, _)) = self.importer.next_leaving().expect("read") {
            self.importer.begin(Outlives::Power).expect("begun");
            if self.importer.clear(local, 2).expect("cleared") == 0 {
                self.importer.import_gone(local).expect("written");
            }
            self.importer.commit().expect("committed");
        }
    }

    fn switch(&self) -> bool {
        self.store.switch(MoveId(3), &target(), Epoch(8)).expect("written")
    }
}

/// A copy from one pod to another.
struct Copy {
    from: Pod,
    to: Pod,
    sender: Sender,
    snapshot: Snapshot,
    last: Option<Taken>,
}

impl Copy {
    fn begin(from: Pod, to: Pod) -> Self {
        let local = from.open(&target());
        let sender = Sender::new(Arc::clone(from.store.plan()), target(), Epoch(7), 1);
        let snapshot = from.snapshots.take().expect("opened");
        from.store.follow(local).expect("followed");
        snapshot.pin().expect("pinned");
        let mut copy = Self { from, to, sender, snapshot, last: None };
        copy.send(|sender, snapshot, sink| sender.all(snapshot, true, || 0, sink));
        copy
    }

    fn send(
        &mut self,
        read: impl FnOnce(&mut Sender, &Snapshot, &mut dyn FnMut(Parcel) -> Result<(), NotSent>) -> Result<(), NotSent>,
    ) {
        let (to, last) = (&mut self.to, &mut self.last);
        let mut sink = |parcel: Parcel| {
            let written = parcel.write()?;
            *last = Some(to.take(&written).expect("taken"));
            // What is sent again changes nothing.
            assert_eq!(to.take(&written).expect("taken"), last.expect("just set"));
            Ok(())
        };
        read(&mut self.sender, &self.snapshot, &mut sink).expect("sent");
    }

    fn round(&mut self, end: bool) {
        let local = self.from.open(&target());
        let changed = self.from.store.changed(local).expect("read").expect("followed");
        self.snapshot.pin().expect("pinned");
        self.send(|sender, snapshot, sink| sender.changed(snapshot, changed, end.then_some(5), sink));
    }

    fn end(mut self) -> (Pod, Pod) {
        self.round(true);
        let whole = self.last.and_then(|last| last.whole).expect("everything is there");
        assert_eq!(whole.epoch, Epoch(7));
        self.from.store.leave(self.from.open(&target()));
        (self.from, self.to)
    }
}

fn filled(pod: &Pod, target: &TargetId, rows: usize) {
    for i in 0..rows {
        pod.must(
            target,
            &format!("INSERT INTO warnings (target_id, id, about, at) VALUES (:target, 'w{i}', 'a{i}', {i})"),
        );
        pod.must(target, &format!("INSERT INTO notes VALUES (:target, 'n{i}', 'w{i}', 'n{i}')"));
        let key = target.id();
        pod.must(
            target,
            &format!("INSERT INTO escalations (id, guild_id, about) VALUES ('E{key}-{i}', :target_key, x'00ff{i:04}')"),
        );
        pod.must(
            target,
            &format!("INSERT INTO votes (id, escalation_id, vote) VALUES ('v{key}-{i}', 'E{key}-{i}', {i}.5)"),
        );
        let local = pod.open(target);
        pod.store.kv_set(local, &format!("k{i}"), "1", None).expect("set");
        pod.store.session_set(local, &format!("s{i}"), "2", None, 1_000, 5).expect("set");
    }
    pod.must(target, "INSERT INTO guilds (guild_id, name) VALUES (:target_key, 'x')");
}

#[test]
fn a_small_target_arrives_whole_in_one_parcel() {
    let (from, mut to) = (Pod::new(), Pod::new());
    filled(&from, &target(), 5);
    filled(&to, &other(), 5);
    let before = to.all_of(&other());
    let mut sender = Sender::new(Arc::clone(from.store.plan()), target(), Epoch(7), 1);
    let snapshot = from.snapshots.take().expect("opened");
    assert!(sender.is_small(&snapshot, 100_000).expect("read"));
    assert!(!sender.is_small(&snapshot, 100).expect("read"));
    let mut parcels = Vec::new();
    let mut sink = |parcel: Parcel| {
        parcels.push(parcel.write()?);
        Ok(())
    };
    sender.all(&snapshot, false, || 4, &mut sink).expect("sent");
    assert_eq!(parcels.len(), 1);
    assert_eq!(Parcel::read(&parcels[0]).expect("a parcel").frozen(), Duration::from_millis(4));
    let taken = to.take(&parcels[0]).expect("taken");
    assert!(taken.whole.is_some());
    assert!(to.all_of(&target()).is_empty(), "nothing of it is the target's before the switch");
    assert!(to.switch());
    assert_eq!(to.all_of(&target()), from.all_of(&target()));
    assert_eq!(to.all_of(&other()), before);
    assert!(!to.switch(), "once");
}

#[test]
fn what_changes_while_it_is_copied_arrives_as_it_is_last() {
    let (from, to) = (Pod::new(), Pod::new());
    filled(&from, &target(), 20);
    filled(&from, &other(), 3);
    filled(&to, &other(), 20);
    let mut copy = Copy::begin(from, to);
    for sql in [
        "UPDATE warnings SET about = 'swap' WHERE target_id = :target AND id = 'w1'",
        "UPDATE warnings SET about = 'a1' WHERE target_id = :target AND id = 'w2'",
        "UPDATE warnings SET about = 'a2' WHERE target_id = :target AND id = 'w1'",
        "UPDATE warnings SET id = 'renamed' WHERE target_id = :target AND id = 'w3'",
        "DELETE FROM warnings WHERE target_id = :target AND id = 'w4'",
        "DELETE FROM escalations WHERE id = 'e10-5'",
        "UPDATE escalations SET id = 'e10-6' WHERE id = 'E10-6' AND 0",
        "REPLACE INTO warnings (target_id, id, about, at) VALUES (:target, 'w7', 'a8', 1)",
        "INSERT OR IGNORE INTO warnings (target_id, id, about, at) VALUES (:target, 'w9', 'zz', 1)",
        "INSERT INTO warnings (target_id, id, about) VALUES (:target, 'w10', 'y') ON CONFLICT DO UPDATE SET about = 'up'",
        "INSERT INTO escalations (id, guild_id) VALUES ('fresh', :target_key)",
        "INSERT INTO votes (id, escalation_id, vote) VALUES ('fresh', 'fresh', 1.0)",
        "UPDATE guilds SET name = 'y' WHERE guild_id = :target_key",
    ] {
        copy.from.must(&target(), sql);
    }
    copy.round(false);
    copy.from.must(&target(), "DELETE FROM escalations WHERE id = 'fresh'");
    copy.from.must(&target(), "INSERT INTO escalations (id, guild_id) VALUES ('FRESH', :target_key)");
    copy.from.must(&other(), "DELETE FROM warnings WHERE target_id = :target");
    let local = copy.from.open(&target());
    copy.from.store.kv_delete(local, "k1").expect("deleted");
    copy.from.store.kv_set(local, "k2", "other", None).expect("set");
    let (from, to) = copy.end();
    assert!(to.switch());
    assert_eq!(to.all_of(&target()), from.all_of(&target()));
}

#[test]
fn what_is_undone_was_no_change_and_nothing_is_noted_afterwards() {
    let from = Pod::new();
    filled(&from, &target(), 3);
    let local = from.open(&target());
    from.store.follow(local).expect("followed");
    from.store.begin().expect("begun");
    from.store.savepoint().expect("begun");
    from.must(&target(), "DELETE FROM warnings");
    from.store.undo().expect("undone");
    from.store.commit().expect("committed");
    assert_eq!(from.store.changed(local).expect("read").expect("followed").len(), 0);
    from.store.leave(local);
    assert!(from.store.changed(local).expect("read").is_none());
    from.must(&target(), "DELETE FROM warnings");
}

#[test]
fn a_bots_statement_cannot_touch_the_notes() {
    let from = Pod::new();
    filled(&from, &target(), 1);
    from.store.follow(from.open(&target())).expect("followed");
    assert!(!from.run(&target(), "SELECT * FROM sqlite_temp_schema"));
    assert!(!from.run(&target(), "SELECT name FROM pragma_table_list"));
}

#[test]
fn rows_that_do_not_add_up_are_refused() {
    let (from, mut to) = (Pod::new(), Pod::new());
    filled(&from, &target(), 3);
    let mut sender = Sender::new(Arc::clone(from.store.plan()), target(), Epoch(7), 1);
    let snapshot = from.snapshots.take().expect("opened");
    let mut sink = |parcel: Parcel| {
        let mut spoiled = parcel;
        for part in &mut spoiled.parts {
            if let parcel::Part::Rows { rows, .. } = part {
                rows.pop();
            }
        }
        let spoiled = spoiled.write().expect("written");
        assert!(matches!(to.take(&spoiled), Err(NotTaken::Spoiled(_))));
        Ok(())
    };
    sender.all(&snapshot, false, || 0, &mut sink).expect("sent");
    assert!(!to.switch());
}

#[test]
fn an_attempt_that_broke_off_leaves_nothing_beside_the_next() {
    let (from, mut to) = (Pod::new(), Pod::new());
    filled(&from, &target(), 5);
    let snapshot = from.snapshots.take().expect("opened");
    let mut first = Vec::new();
    let mut sender = Sender::new(Arc::clone(from.store.plan()), target(), Epoch(7), 1);
    sender
        .all(&snapshot, true, || 0, &mut |parcel: Parcel| {
            first.push(parcel.write()?);
            Ok(())
        })
        .expect("sent");
    for parcel in &first {
        to.take(parcel).expect("taken");
    }
    let mut second = Vec::new();
    let mut sender = Sender::new(Arc::clone(from.store.plan()), target(), Epoch(7), 2);
    sender
        .all(&snapshot, false, || 0, &mut |parcel: Parcel| {
            second.push(parcel.write()?);
            Ok(())
        })
        .expect("sent");
    assert!(matches!(to.take(&second[0]), Err(NotTaken::Busy)), "what was there goes first");
    to.clear_leaving();
    assert!(to.take(&second[0]).expect("taken").whole.is_some());
    assert!(matches!(to.take(&first[0]), Err(NotTaken::Older)));
    assert!(to.switch());
    assert_eq!(to.all_of(&target()), from.all_of(&target()));
}

#[test]
fn a_target_that_comes_back_meets_only_its_fence() {
    let (from, mut to) = (Pod::new(), Pod::new());
    filled(&from, &target(), 3);
    // It was here, and was moved away and dropped.
    filled(&to, &target(), 2);
    let local = to.open(&target());
    to.store.freeze(MoveId(1), local, &target(), Epoch(5), 0).expect("frozen");
    to.store.let_go(MoveId(1)).expect("let go");
    assert_eq!(to.store.drop_begin(MoveId(1)).expect("begun"), Some(local));
    to.importer.begin(Outlives::Power).expect("begun");
    while to.importer.clear(local, 3).expect("cleared") > 0 {}
    to.importer.drop_end(local).expect("written");
    to.importer.commit().expect("committed");
    let copy = Copy::begin(from, to);
    let (from, to) = copy.end();
    assert!(to.switch());
    assert_eq!(to.all_of(&target()), from.all_of(&target()));
    assert_eq!(to.store.remembered().expect("read").owned, [(target(), Epoch(8))]);
}

#[test]
fn an_older_schema_takes_nothing_and_a_newer_one_fills_in() -> Result<(), StoreError> {
    let newer = Tables::embedded(
        &[
            ("0001_begin.sql", &MIGRATION.replace("at INTEGER UNIQUE", "at INTEGER")),
            ("0002_more.sql", "ALTER TABLE guilds ADD COLUMN lang TEXT DEFAULT 'en'"),
        ],
        MAP,
    );
    let (old, new) = (Pod::new(), Pod::with(&newer));
    filled(&old, &target(), 2);
    filled(&new, &other(), 2);
    let mut sender = Sender::new(Arc::clone(new.store.plan()), other(), Epoch(7), 1);
    let snapshot = new.snapshots.take()?;
    let mut old = old;
    let mut sink = |parcel: Parcel| {
        assert!(matches!(old.take(&parcel.write()?), Err(NotTaken::Spoiled(_))));
        Err(NotSent::Cut)
    };
    assert!(matches!(sender.all(&snapshot, false, || 0, &mut sink), Err(NotSent::Cut)));
    let (_, to) = Copy::begin(old, new).end();
    assert!(to.switch());
    assert!(to.all_of(&target()).iter().any(|line| line.contains("\"lang\":\"en\"")));
    Ok(())
}

#[test]
fn a_target_of_which_only_the_fence_is_left_may_begin_anew_and_one_that_waits_for_a_move_may_not() {
    let (from, mut to) = (Pod::new(), Pod::new());
    filled(&from, &target(), 2);
    filled(&to, &target(), 2);
    let local = to.open(&target());
    to.store.freeze(MoveId(1), local, &target(), Epoch(7), 0).expect("frozen");
    to.store.let_go(MoveId(1)).expect("let go");
    to.store.take_fence_down(&target()).expect("written");
    assert!(to.store.open_target(&target(), Epoch(9), None).expect("read").is_none(), "its rows are kept");
    to.store.drop_begin(MoveId(1)).expect("begun");
    while to.importer.clear(local, 3).expect("cleared") > 0 {}
    to.importer.drop_end(local).expect("written");
    assert!(to.store.open_target(&target(), Epoch(9), None).expect("read").is_none());
    to.store.take_fence_down(&target()).expect("written");
    assert!(to.store.open_target(&target(), Epoch(9), None).expect("read").is_some());
    assert!(!to.store.is_unsettled(&target()).expect("read"));
    let mut sender = Sender::new(Arc::clone(from.store.plan()), target(), Epoch(7), 1);
    let snapshot = from.snapshots.take().expect("opened");
    let mut sink = |parcel: Parcel| {
        to.take(&parcel.write()?).expect("taken");
        Ok(())
    };
    sender.all(&snapshot, false, || 0, &mut sink).expect("sent");
    assert!(to.store.is_unsettled(&target()).expect("read"), "it came, and its move is not over");
    to.store.import_leaves(MoveId(3)).expect("written");
    assert!(!to.store.is_unsettled(&target()).expect("read"));
}

#[test]
fn a_bundle_gives_back_what_was_put_in_and_is_refused_when_it_is_cut() {
    let parcel = |number| parcel::Parcel { attempt: 3, number, parts: Vec::new() };
    let mut bundle = Bundle::default();
    for (id, number) in [(7, 0), (7, 1), (9, 0)] {
        bundle.add(MoveId(id), &parcel(number).write().expect("written"));
    }
    bundle.stamp(|id| Duration::from_millis(id.0 * 10));
    let bytes = bundle.into_bytes();
    let pieces = Bundle::read(&bytes).expect("a bundle");
    let pieces: Vec<_> = pieces.into_iter().map(|piece| (piece.id.0, piece.frozen.as_millis(), piece.parcel)).collect();
    assert_eq!(pieces, [(7, 70, parcel(0)), (7, 70, parcel(1)), (9, 90, parcel(0))]);
    for end in [1, 15, 16, bytes.len() - 1] {
        assert!(Bundle::read(&bytes[..end]).is_err(), "cut at {end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is done while it is copied, and between which rounds, the copy ends as the original.
    #[test]
    fn a_copy_ends_as_its_original(ops in prop::collection::vec((0_usize..12, 0_u32..8, 0_u32..8, prop::bool::weighted(0.2)), 1..60)) {
        let (from, to) = (Pod::new(), Pod::new());
        filled(&from, &target(), 6);
        filled(&to, &other(), 6);
        let mut copy = Copy::begin(from, to);
        for (op, a, b, round) in ops {
            let sql = match op {
                0 => format!("INSERT INTO warnings (target_id, id, about) VALUES (:target, 'w{a}', 'a{b}')"),
                1 => format!("DELETE FROM warnings WHERE id = 'w{a}'"),
                2 => format!("UPDATE warnings SET id = 'w{b}' WHERE id = 'w{a}'"),
                3 => format!("UPDATE OR REPLACE warnings SET about = 'a{b}' WHERE id = 'w{a}'"),
                4 => format!("REPLACE INTO warnings (target_id, id, about) VALUES (:target, 'w{a}', 'a{b}')"),
                5 => format!("INSERT INTO notes VALUES (:target, 'n{a}', 'w{b}', NULL)"),
                6 => format!("DELETE FROM notes WHERE id = 'n{a}'"),
                7 => format!("UPDATE notes SET up = 'n{b}' WHERE id = 'n{a}'"),
                8 => format!("INSERT OR REPLACE INTO escalations (id, guild_id) VALUES ('e10-{a}', :target_key)"),
                9 => format!("UPDATE escalations SET id = 'E10-{b}' WHERE id = 'e10-{a}'"),
                10 => format!("INSERT OR REPLACE INTO votes (id, escalation_id, vote) VALUES ('v10-{a}', 'E10-{b}', 0.5)"),
                _ => format!("DELETE FROM escalations WHERE id = 'e10-{a}'"),
            };
            // What the rows do not allow changes nothing.
            copy.from.run(&target(), &sql);
            if round {
                copy.round(false);
            }
        }
        let (from, to) = copy.end();
        prop_assert!(to.switch());
        prop_assert_eq!(to.all_of(&target()), from.all_of(&target()));
    }
}
