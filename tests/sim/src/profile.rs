//! What one run is like: the options are drawn from its seed, so that a thousand seeds are a thousand different bad days.

use crate::agenda::{MS, Ns, SECOND};
use crate::draw::Draw;
use crate::network::Weather;
use crate::world::TARGETS;
use config_service::domain::RestoreWhen;
use std::time::Duration;

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A gateway's process is killed and started again in place.
    PodKilled,
    /// A gateway's machine loses power and boots anew: what was not synced is gone.
    PodRebooted,
    /// A gateway stays away for longer than its lease, or for good until the end.
    PodAway,
    /// A gateway's disk is lost with all it held.
    PodDiskLost,
    /// A gateway's file of marks is lost.
    MarksLost,
    /// A gateway's process is stopped and goes on, its clock too.
    PodStopped,
    /// A gateway's virtual machine is paused: no clock on it shows a gap.
    MachinePaused,
    /// A clock jumps ahead.
    ClockJumps,
    /// A wall clock is stepped.
    WallStepped,
    /// A gateway's disk is slow.
    DiskSlow,
    /// A gateway's disk refuses to sync.
    DiskFails,
    /// A config-service is killed and started again.
    PlaneKilled,
    /// A config-service's process is stopped and goes on.
    PlaneStopped,
    /// The way between two nodes is cut in both directions.
    Cut,
    /// The way between two nodes is cut in one direction.
    CutOneWay,
    /// A node is cut off from all others.
    Isolated,
    /// The database is away.
    DatabaseDown,
    /// Answers of the database are lost after the work was done.
    DatabaseUncertain,
    /// All config-services and the database are away.
    PlaneGone,
    /// Most gateways cannot be reached by the control plane.
    MassSilence,
    /// A gateway is cut off from the control plane and from all but some of its witnesses, which hear no grants: they
    /// promise, and it goes on by what they promise. They come back one after another.
    Apart,
    /// A router is killed and started again, with an empty table.
    RouterKilled,
    /// A target is moved.
    Move,
    /// Many targets are moved at once.
    ManyMoves,
    /// A move is called off.
    CancelMove,
    /// A pod is drained.
    Drain,
    /// A pod is cordoned.
    Cordon,
    /// The leader steps down.
    StepDown,
    /// A gateway's machine comes back with the disk that it had some time ago.
    DiskOlder,
    /// A gateway's Litestream is gone, or stands still, and comes back.
    LitestreamGone,
    /// The object store is away.
    StoreAway,
    /// The object store is slow.
    StoreSlow,
    /// Answers of the object store are lost after the work was done.
    StoreLoses,
    /// The way from a gateway to the object store is cut.
    StoreCut,
    /// A gateway's virtual machine is paused until its heirs have its replica, goes on as if nothing had been, and is gone
    /// with its disk before anybody could ask it for what it did meanwhile.
    PausedThenLost,
}

const KINDS: &[Kind] = &[
    Kind::PodKilled,
    Kind::PodRebooted,
    Kind::PodAway,
    Kind::MarksLost,
    Kind::PodStopped,
    Kind::WallStepped,
    Kind::DiskSlow,
    Kind::DiskFails,
    Kind::PlaneKilled,
    Kind::PlaneStopped,
    Kind::Cut,
    Kind::CutOneWay,
    Kind::Isolated,
    Kind::DatabaseDown,
    Kind::DatabaseUncertain,
    Kind::PlaneGone,
    Kind::MassSilence,
    Kind::RouterKilled,
    Kind::Move,
    Kind::Drain,
    Kind::StepDown,
];

/// What operators do.
const ORDERS: &[Kind] = &[Kind::ManyMoves, Kind::CancelMove, Kind::Cordon];

/// Faults of clocks that break the promise which leases rest on: only data is safe then.
const WILD: &[Kind] = &[Kind::MachinePaused, Kind::ClockJumps];

/// What wears the rules of witnesses.
const APART: &[Kind] = &[
    Kind::PodKilled,
    Kind::PodRebooted,
    Kind::PodAway,
    Kind::PodStopped,
    Kind::MarksLost,
    Kind::PlaneKilled,
    Kind::StepDown,
    Kind::DiskSlow,
    Kind::CutOneWay,
];

/// What replicas are there for.
const REPLICATED: &[Kind] = &[
    Kind::DiskOlder,
    Kind::LitestreamGone,
    Kind::StoreAway,
    Kind::StoreSlow,
    Kind::StoreLoses,
    Kind::StoreCut,
    Kind::PodKilled,
    Kind::PodRebooted,
    Kind::PodAway,
    Kind::PodStopped,
    Kind::Isolated,
    Kind::CutOneWay,
    Kind::DiskSlow,
    Kind::PlaneKilled,
    Kind::DatabaseDown,
    Kind::PlaneGone,
    Kind::StepDown,
    Kind::Move,
    Kind::ManyMoves,
    Kind::Drain,
];

/// What kind of day a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Day {
    /// Any faults, of everything, as they are drawn.
    #[default]
    Ordinary,
    /// Pods are cut off from the control plane and live by what others promise; the losses of those that are failed over
    /// are accepted, so that another owner really serves.
    Apart,
    /// Every gateway has a replica and acknowledges what is in it; disks are lost, and what they had comes back from there.
    Replicated,
    /// The control plane is gone for an hour, with its database, while gateways are killed and started again.
    Alone,
}

/// What replicas and their store are like.
#[derive(Debug, Clone)]
pub(crate) struct Replicas {
    /// The mean time of an upload.
    pub(crate) put: Ns,
    /// The mean time of a list.
    pub(crate) list: Ns,
    /// Uploads that are very late, per mille.
    pub(crate) late: u64,
    /// When a dead pod's replica is restored.
    pub(crate) when: RestoreWhen,
}

/// What one run is like.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// How bad the network is.
    pub(crate) weather: Weather,
    /// How far clocks run from true time at most, in millionths.
    pub(crate) ppm: u64,
    /// Clocks may do anything: I1 and what rests on it says nothing.
    pub(crate) wild: bool,
    /// The mean time between two faults.
    pub(crate) every: Ns,
    /// The mean time that a fault lasts.
    pub(crate) lasts: Ns,
    /// Which faults occur.
    pub(crate) kinds: Vec<Kind>,
    /// Operators accept the losses of every pod that is failed over.
    pub(crate) generous: bool,
    /// The mean time between two events of the platforms.
    pub(crate) events: Ns,
    /// How many targets get most of the events.
    pub(crate) hot: usize,
    /// How many targets get events at all.
    pub(crate) targets: usize,
    /// When the control plane goes until the faults end; none: only as faults have it.
    pub(crate) alone_from: Option<Ns>,
    /// The mean time that a handler takes.
    pub(crate) handler: Ns,
    /// The mean time that a commit takes.
    pub(crate) sync: Ns,
    /// When the faults end.
    pub(crate) heal_at: Ns,
    /// When the run ends.
    pub(crate) end_at: Ns,
    /// What replicas are like; none when there are none.
    pub(crate) replicas: Option<Replicas>,
}

impl Profile {
    /// Draws the options of a seed.
    pub(crate) fn draw(seed: u64, day: Day) -> Self {
        let profile = Self::ordinary(seed);
        match day {
            Day::Ordinary => profile,
            Day::Apart => profile.apart(seed),
            Day::Replicated => profile.replicated(seed),
            Day::Alone => profile.alone(),
        }
    }

    /// Makes it a day on which pods are apart.
    fn apart(self, seed: u64) -> Self {
        let mut draw = Draw::new(seed, 7);
        let mut kinds: Vec<_> = APART.iter().copied().filter(|_| draw.chance(400)).collect();
        kinds.extend([Kind::Apart; 4]);
        let day = Self {
            wild: false,
            generous: draw.chance(700),
            every: draw.one_of(&[4, 8, 15]) * SECOND,
            lasts: draw.one_of(&[4, 8]) * SECOND,
            handler: draw.one_of(&[5, 50, 500]) * MS,
            kinds,
            ..self
        };
        // What has waited for a pod that was away is to be done before the end: a busy target's handler works for a third of
        // the time at most, by what `platform_acts` sends.
        let least = 3 * day.handler * 8 / (10 * day.hot as u64);
        Self { events: day.events.max(least), ..day }
    }

    /// Makes it a day on which disks are lost and replicas are there.
    fn replicated(self, seed: u64) -> Self {
        let mut draw = Draw::new(seed, 8);
        let wild = draw.chance(300);
        let mut kinds: Vec<_> = REPLICATED.iter().copied().filter(|_| draw.chance(500)).collect();
        kinds.extend([Kind::PodDiskLost; 2]);
        if wild {
            kinds.extend(WILD);
            kinds.push(Kind::PausedThenLost);
        }
        let when = draw.one_of(&[RestoreWhen::AtOnce, RestoreWhen::AtOnce, RestoreWhen::After(Duration::from_secs(3))]);
        Self {
            wild,
            every: draw.one_of(&[8, 15, 30]) * SECOND,
            lasts: draw.one_of(&[1, 4, 8]) * SECOND,
            kinds,
            replicas: Some(Replicas {
                put: draw.one_of(&[5, 40, 400]) * MS,
                list: draw.one_of(&[20, 400, 2_000]) * MS,
                late: draw.one_of(&[0, 5, 50]),
                when,
            }),
            ..self
        }
    }

    /// Makes it a day without a control plane: two minutes to get known to each other, an hour alone.
    fn alone(self) -> Self {
        Self {
            wild: false,
            every: 100 * SECOND,
            kinds: vec![Kind::PodKilled, Kind::PodStopped],
            targets: 60,
            events: 500 * MS,
            hot: 60,
            alone_from: Some(120 * SECOND),
            heal_at: (120 + 3_600) * SECOND,
            end_at: (120 + 3_600 + 120) * SECOND,
            ..self
        }
    }

    fn ordinary(seed: u64) -> Self {
        let mut draw = Draw::new(seed, 1);
        let draw = &mut draw;
        let weather = Weather {
            loss: draw.one_of(&[0, 0, 1, 10, 50]),
            doubled: draw.one_of(&[0, 1, 20]),
            late: draw.one_of(&[0, 0, 1, 5]),
            delay: draw.one_of(&[MS / 5, MS, 5 * MS, 20 * MS]),
        };
        let wild = draw.chance(100);
        let mut kinds: Vec<_> = KINDS.iter().copied().filter(|_| draw.chance(400)).collect();
        if wild {
            kinds.extend(WILD);
        }
        if draw.chance(50) {
            kinds.push(Kind::PodDiskLost);
        }
        let mut orders = Draw::new(seed, 6);
        kinds.extend(ORDERS.iter().copied().filter(|_| orders.chance(300)));
        Self {
            weather,
            ppm: draw.one_of(&[0, 50, 4_900]),
            wild,
            every: draw.one_of(&[4, 8, 15, 30]) * SECOND,
            lasts: draw.one_of(&[1, 4, 8, 20]) * SECOND,
            kinds,
            generous: false,
            events: draw.one_of(&[200, 400, 1_000]) * MS,
            hot: draw.one_of(&[3, 20, 200]),
            targets: TARGETS,
            alone_from: None,
            handler: draw.one_of(&[1, 5, 50]) * MS,
            sync: draw.one_of(&[1, 3, 20]) * MS,
            heal_at: 480 * SECOND,
            end_at: 600 * SECOND,
            replicas: None,
        }
    }
}
