use super::*;
use crate::replica::Lineage;
use shared::LeaseId;

const HERE: &str = "00000000-0000-0000-0000-00000000000a";
const BEFORE: &str = "00000000-0000-0000-0000-000000000009";
const OTHER: &str = "00000000-0000-0000-0000-00000000000f";

fn incarnation(text: &str) -> Incarnation {
    text.parse().expect("valid")
}

fn identity(uid: &str) -> Identity {
    Identity { pod: "gateway-0".parse().expect("valid"), uid: Some(uid.to_owned()), boot_id: "boot".to_owned() }
}

type Change = fn(&mut World);

/// A folder as the process before this one left it; the test changes what it is about.
struct World {
    now: Identity,
    base: &'static str,
    note: Option<LineageNote>,
    db: Option<Found>,
    txid: Option<u64>,
    life: Option<LastLife>,
    copies: Option<Copies>,
}

impl World {
    fn new() -> Self {
        let lineage = Lineage { generation: 1, pod: identity("a").pod, incarnation: incarnation(HERE) };
        let base = "s3://bucket";
        Self {
            now: identity("a"),
            base,
            note: Some(LineageNote { lineage, previous: None, by: identity("a"), base: base.to_owned(), over: false }),
            db: Some(Found { incarnation: incarnation(HERE), past: vec![incarnation(BEFORE)], commit_seq: 7 }),
            txid: Some(100),
            life: Some(life(HERE)),
            copies: Some(Copies { sealed: false, last_txid: Some(100) }),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            now: &self.now,
            base: self.base,
            note: self.note.as_ref(),
            db: self.db.as_ref(),
            txid: self.txid,
            life: self.life.as_ref(),
            copies: self.copies,
        }
    }

    fn hindrance(&self) -> Option<&'static str> {
        hindrance(&self.facts())
    }

    fn begin(&self, own: Option<Copies>, last: Option<Copies>) -> Begin {
        begin(&self.facts(), self.life.as_ref().expect("asked"), own, last, true)
    }
}

fn life(incarnation_: &str) -> LastLife {
    LastLife {
        generation: 1,
        incarnation: Some(incarnation(incarnation_)),
        lease_id: Some(LeaseId(3)),
        buried: false,
        may_act_ms: 5_000,
        targets: 4,
        loss_accepted: false,
        goodbye: None,
    }
}

fn copies(last_txid: u64) -> Option<Copies> {
    Some(Copies { sealed: true, last_txid: Some(last_txid) })
}

#[test]
fn the_same_owner_goes_on_at_once_whether_anybody_answers_or_not() {
    let mut world = World::new();
    assert_eq!(world.hindrance(), None);
    (world.life, world.copies) = (None, None);
    assert_eq!(world.hindrance(), None);
    world.txid = Some(99);
    assert_eq!(world.hindrance(), None, "nobody says that more was uploaded");
}

#[test]
fn a_life_that_is_over_or_elsewhere_is_not_gone_on_with() {
    let changes: [(&str, Change); 10] = [
        ("no note", |world| world.note = None),
        ("no database", |world| world.db = None),
        ("written down as over", |world| world.note.as_mut().expect("there").over = true),
        ("another bucket", |world| world.base = "s3://other"),
        ("another database", |world| world.db.as_mut().expect("there").incarnation = incarnation(OTHER)),
        ("buried", |world| world.life.as_mut().expect("asked").buried = true),
        ("succeeded elsewhere", |world| world.life = Some(life(OTHER))),
        ("sealed", |world| world.copies.as_mut().expect("asked").sealed = true),
        ("an older folder", |world| world.txid = Some(99)),
        ("Litestream's folder gone", |world| world.txid = None),
    ];
    for (what, change) in changes {
        let mut world = World::new();
        change(&mut world);
        assert!(world.hindrance().is_some(), "{what}");
    }
    let mut world = World::new();
    world.life = Some(LastLife { buried: true, ..life(BEFORE) });
    assert_eq!(world.hindrance(), None, "the life before this one was buried, and this one is not known yet");
}

#[test]
fn another_pod_uid_goes_on_only_with_the_goodbye_of_exactly_this_database() {
    let mut world = World::new();
    world.now = identity("b");
    assert!(world.hindrance().is_some());
    world.life = Some(LastLife { goodbye: Some(7), ..life(HERE) });
    assert_eq!(world.hindrance(), None);
    world.life = Some(LastLife { goodbye: Some(8), ..life(HERE) });
    assert!(world.hindrance().is_some(), "an older copy of the folder");
    world.life = None;
    assert!(world.hindrance().is_some());
    world.now.boot_id.clear();
    world.note.as_mut().expect("there").by = world.now.clone();
    assert!(world.hindrance().is_some(), "where the boot is not known, nothing is the same");
}

#[test]
fn a_life_in_another_folder_is_waited_for_until_it_is_buried() {
    let mut world = World::new();
    let next = |world: &World, life: LastLife| succession(&world.facts(), &life);
    assert_eq!(next(&world, life(HERE)), Succession::Now, "the same owner holds the lock");
    world.now = identity("b");
    assert_eq!(next(&world, life(HERE)), Succession::Wait(Waiting::Lease(5_000)), "a copied volume would be in use");
    assert_eq!(next(&world, LastLife { may_act_ms: 0, ..life(HERE) }), Succession::Now);
    assert_eq!(
        next(&world, LastLife { may_act_ms: 0, ..life(OTHER) }),
        Succession::Wait(Waiting::Burial),
        "an older volume"
    );
    world.db = None;
    assert_eq!(
        next(&world, LastLife { may_act_ms: 0, ..life(HERE) }),
        Succession::Wait(Waiting::Burial),
        "an empty disk"
    );
    assert_eq!(next(&world, LastLife { buried: true, ..life(HERE) }), Succession::Now);
    assert_eq!(next(&world, LastLife { loss_accepted: true, ..life(HERE) }), Succession::Now);
    assert_eq!(next(&world, LastLife { may_act_ms: 0, targets: 0, ..life(HERE) }), Succession::Now);
    assert_eq!(next(&world, LastLife { incarnation: None, ..life(HERE) }), Succession::Now, "never heard of");
}

#[test]
fn the_file_is_kept_only_when_it_is_not_behind_its_copies() {
    let mut world = World::new();
    assert_eq!(world.begin(copies(100), copies(100)), Begin::Keep);
    assert_eq!(world.begin(copies(101), copies(101)), Begin::Restore(Of::Own));
    world.txid = None;
    assert_eq!(world.begin(copies(1), copies(1)), Begin::Restore(Of::Own), "nobody knows where it stands");
    let damaged = begin(&world.facts(), &life(HERE), copies(1), copies(1), false);
    assert_eq!(damaged, Begin::Restore(Of::Own));
}

#[test]
fn an_empty_disk_and_an_older_volume_get_the_copies_of_the_last_life() {
    let mut world = World::new();
    world.life = Some(life(OTHER));
    assert_eq!(world.begin(copies(100), copies(5)), Begin::Restore(Of::Last), "its own copies are of an older life");
    assert_eq!(world.begin(copies(100), None), Begin::Keep, "the last life has left none");
    world.db = None;
    assert_eq!(world.begin(None, copies(5)), Begin::Restore(Of::Last));
    assert_eq!(world.begin(None, Some(Copies::default())), Begin::Empty, "nothing was ever uploaded");
    world.life = Some(LastLife { loss_accepted: true, ..life(OTHER) });
    assert_eq!(world.begin(None, copies(5)), Begin::Empty, "an operator has said so");
}

#[test]
fn a_life_of_which_nothing_was_uploaded_is_taken_up_as_it_is_unless_it_is_over() {
    let mut world = World::new();
    assert_eq!(world.begin(None, None), Begin::Finish, "replication was switched on");
    world.life = Some(life(BEFORE));
    assert_eq!(world.begin(None, copies(500)), Begin::Finish, "a prepare was cut short behind the decision");
    world.life = Some(LastLife { incarnation: None, ..life(HERE) });
    assert_eq!(world.begin(None, None), Begin::Finish, "a new pod");
    world.life = Some(LastLife { buried: true, ..life(HERE) });
    assert_eq!(world.begin(None, None), Begin::Keep);
    world.life = Some(life(HERE));
    assert_eq!(world.begin(Some(Copies { sealed: true, last_txid: None }), None), Begin::Keep);
}
