use super::*;
use shared::{
    Incarnation,
    wire::{control::Life, lineages::LifeNeeded},
};

const NOW: u64 = 1_800_000_000_000;
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn life(n: u8) -> Incarnation {
    format!("0190163d-8694-739b-aea5-966c26f8ad{n:02}").parse().expect("an incarnation")
}

fn pod(n: u8) -> PodId {
    format!("gateway-{n}").parse().expect("a pod")
}

/// The pod's `n`-th life: begun 100 days ago and a day later for each, ended ten days ago, good.
fn stock(n: u8) -> Stock {
    Stock {
        lineage: Lineage { generation: 1, pod: pod(0), incarnation: life(n) },
        files: 10,
        bytes: 1_000,
        last_ms: Some(NOW - 10 * DAY_MS),
        begun_ms: Some(NOW - (100 - u64::from(n)) * DAY_MS),
        previous: n.checked_sub(1).map(life),
        good: true,
        removing: false,
        unread: None,
    }
}

/// A pod that owns targets and lives its third life, of three.
struct World {
    stocks: Vec<Stock>,
    needs: LineageNeeds,
    clocks: Clocks,
    judge: PodId,
    owes: bool,
}

impl World {
    fn new() -> Self {
        let lives = PodLives {
            pod: pod(0),
            current: life(2),
            served: None,
            buried: false,
            targets: 5,
            replica: Some("s3://copies".to_owned()),
        };
        let other = PodLives { pod: pod(1), current: life(9), ..lives.clone() };
        Self {
            stocks: vec![stock(0), stock(1), stock(2)],
            needs: LineageNeeds {
                now_ms: NOW,
                generation: 1,
                settled: true,
                pods: vec![lives, other],
                lives: Vec::new(),
            },
            clocks: Clocks { store_ms: NOW, here_ms: NOW, stepped: false },
            judge: pod(0),
            owes: false,
        }
    }

    fn dead() -> Self {
        let mut world = Self::new();
        (world.needs.pods[0].buried, world.needs.pods[0].targets, world.judge) = (true, 0, pod(1));
        world
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let by = Judge { pod: &self.judge, writes: None, owes: self.owes, base: "s3://copies", kept: WEEK };
        judge(by, &pod(0), &self.stocks, &self.needs, self.clocks)
    }

    fn goes(&self) -> Vec<bool> {
        self.verdicts().into_iter().map(|verdict| verdict.goes).collect()
    }

    fn need(&mut self, n: u8, need: Need) {
        let life = Life { pod: pod(0), incarnation: life(n) };
        self.needs.lives.push(LifeNeeded { life, need, targets: 3 });
    }

    /// Asserts that nothing goes, and that the first lineage says why.
    fn keeps_all(&self, why: &str) {
        let verdicts = self.verdicts();
        assert!(verdicts.iter().all(|verdict| !verdict.goes), "{verdicts:?}");
        assert!(verdicts[0].why.contains(why), "{verdicts:?}");
    }
}

#[test]
fn what_ended_long_ago_goes_once_a_later_one_was_restored() {
    let world = World::new();
    assert_eq!(world.goes(), [true, true, false]);
    let verdicts = world.verdicts();
    assert!(verdicts[0].why.contains("found good"), "{verdicts:?}");
    assert!(verdicts[2].why.contains("current"), "{verdicts:?}");
}

#[test]
fn the_current_lineage_stays_however_old_and_whoever_names_it() {
    let mut world = World::new();
    (world.needs.pods[0].current, world.stocks[2].previous) = (life(0), None);
    assert_eq!(world.goes(), [false, true, false], "what config-service knows, and what was begun last");
    let (writes, judge) = (stock(1).lineage, pod(0));
    let by = Judge { pod: &judge, writes: Some(&writes), owes: false, base: "s3://copies", kept: WEEK };
    let world = World::new();
    let verdicts = super::judge(by, &pod(0), &world.stocks, &world.needs, world.clocks);
    assert!(!verdicts[1].goes, "what this very process writes: {verdicts:?}");
}

#[test]
fn what_a_boot_that_is_not_finished_may_go_back_to_stays() {
    // The third life was begun, and config-service has not heard of it.
    let mut world = World::new();
    world.needs.pods[0].current = life(0);
    world.stocks.push(stock(3));
    assert_eq!(world.goes(), [false, true, false, false], "the newest and the one before it");
    // It has registered and not said what it holds.
    let mut world = World::new();
    world.needs.pods[0].served = Some(life(1));
    assert_eq!(world.goes(), [true, false, false]);
    // Nothing is uploaded to it yet: whoever restores goes back to the one before.
    let mut world = World::new();
    (world.stocks[2].files, world.stocks[2].good) = (0, false);
    assert_eq!(world.goes(), [true, false, false]);
}

#[test]
fn nothing_goes_that_a_target_waits_for_or_was_restored_from_lately() {
    for need in [Need::Waiting, Need::NotReplicatedYet] {
        let mut world = World::new();
        world.need(0, need);
        assert_eq!(world.goes(), [false, true, false], "{need:?}");
        assert!(world.verdicts()[0].why.starts_with("3 targets"), "{:?}", world.verdicts()[0]);
        let mut world = World::dead();
        world.need(1, need);
        assert_eq!(world.goes(), [true, false, false], "{need:?}");
    }
}

#[test]
fn nothing_of_a_pod_goes_that_owes_the_end_of_a_journal() {
    let mut world = World::new();
    world.owes = true;
    world.keeps_all("has not reached");
    // What this pod owes is not the dead one's.
    let mut world = World::dead();
    world.owes = true;
    assert_eq!(world.goes(), [true, true, false]);
}

#[test]
fn nothing_goes_before_its_time_by_the_stores_clock() {
    let mut world = World::new();
    world.stocks[0].last_ms = Some(NOW - 7 * DAY_MS + 1);
    assert_eq!(world.goes(), [false, true, false]);
    world.stocks[0].last_ms = Some(NOW - 7 * DAY_MS);
    assert_eq!(world.goes(), [true, true, false]);
    // Written in the store's future: the clock went back.
    world.stocks[0].last_ms = Some(NOW + DAY_MS);
    world.stocks[1].last_ms = None;
    assert_eq!(world.goes(), [false, false, false]);
}

#[test]
fn a_clock_that_jumps_deletes_nothing() {
    let jumps: [fn(&mut World); 4] = [
        |world| world.clocks.store_ms += 30 * DAY_MS,
        |world| world.clocks.here_ms -= 6 * 60 * 1_000,
        |world| world.needs.now_ms += 30 * DAY_MS,
        |world| world.clocks.stepped = true,
    ];
    for (n, jump) in jumps.into_iter().enumerate() {
        let mut world = World::new();
        jump(&mut world);
        assert_eq!(world.goes(), [false, false, false], "jump {n}");
    }
}

#[test]
fn the_last_good_one_of_a_pod_never_goes() {
    // Only the first was ever restored.
    let mut world = World::new();
    (world.stocks[1].good, world.stocks[2].good) = (false, false);
    assert_eq!(world.goes(), [false, false, false]);
    assert!(world.verdicts()[0].why.contains("relied on"), "{:?}", world.verdicts());
    assert!(world.verdicts()[1].why.contains("drill"), "{:?}", world.verdicts());
    // A drill of a lineage that has no files left, cannot be read or is going says nothing.
    let spoils: [fn(&mut Stock); 3] =
        [|stock| stock.files = 0, |stock| stock.unread = Some("away".to_owned()), |stock| stock.removing = true];
    for spoil in spoils {
        let mut world = World::new();
        world.stocks[1].good = false;
        spoil(&mut world.stocks[2]);
        assert!(!world.goes()[0], "{:?}", world.verdicts());
    }
    // A pod that is gone for good keeps one too: the last that is good, or the last that there is.
    let mut world = World::dead();
    world.needs.pods[0].current = life(3);
    world.stocks.push(stock(3));
    (world.stocks[2].good, world.stocks[3].good) = (false, false);
    assert_eq!(world.goes(), [true, false, true, false], "{:?}", world.verdicts());
    world.stocks.iter_mut().for_each(|stock| stock.good = false);
    assert_eq!(world.goes(), [true, true, true, false], "{:?}", world.verdicts());
    // While it has targets nobody knows whether they are elsewhere.
    world.needs.pods[0].targets = 1;
    assert_eq!(world.goes(), [false, false, false, false]);
}

#[test]
fn what_is_not_known_keeps_everything() {
    type Spoil = fn(&mut World);
    let unknown: [(Spoil, &str); 5] = [
        (|world| world.needs.settled = false, "generation is new"),
        (|world| drop(world.needs.pods.remove(0)), "does not know the pod"),
        (|world| world.needs.pods[0].replica = Some("s3://others".to_owned()), "not known to be replicated"),
        (|world| world.needs.pods[0].replica = None, "not known to be replicated"),
        (|world| world.judge = pod(1), "decides itself"),
    ];
    for (spoil, why) in unknown {
        let mut world = World::new();
        spoil(&mut world);
        world.keeps_all(why);
    }
    let mut world = World::new();
    world.stocks[0].lineage.generation = 2;
    world.stocks[1].begun_ms = None;
    assert_eq!(world.goes(), [false, false, false], "{:?}", world.verdicts());
    let mut world = World::new();
    world.stocks[0] = Stock::unread(stock(0).lineage, "damaged".to_owned());
    assert_eq!(world.goes(), [false, true, false]);
}

#[test]
fn what_was_begun_to_be_removed_goes_on_being_removed() {
    let mut world = World::new();
    world.stocks[0].removing = true;
    world.needs.settled = false;
    assert_eq!(world.goes(), [true, false, false]);
}
