//! The kinds of faults: their names, what they are in a sentence, how long and how strong they are. Decides nothing else.

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A gateway is killed and started again at once.
    GatewayKill,
    /// A gateway is killed and stays away for longer than its lease.
    GatewayAway,
    /// A gateway does not run for a while.
    GatewayPause,
    /// A config-service that does not lead is killed.
    ConfigKill,
    /// The leading config-service is killed.
    LeaderKill,
    /// The leading config-service does not run for a while, and wakes up as an old leader.
    LeaderPause,
    /// The leader is told to step down.
    StepDown,
    /// An HTTP tier is killed.
    HttpKill,
    /// An HTTP tier does not run for a while.
    HttpPause,
    /// PostgreSQL crashes and is started again at once.
    PostgresCrash,
    /// PostgreSQL is away for a while.
    PostgresAway,
    /// All config-services and PostgreSQL are away.
    ControlPlaneGone,
    /// A gateway reaches nobody, and nobody reaches it.
    Isolated,
    /// Nothing passes from or to a gateway, in one direction only.
    OneWay,
    /// Two nodes do not reach each other.
    Pair,
    /// All connections of a node are reset.
    Reset,
    /// All that goes to a node is slow.
    Slow,
    /// Bits turn between the senders and an HTTP tier.
    Corrupt,
    /// A gateway's wall clock jumps, and jumps back.
    WallJump,
    /// All clocks of a node run up to 1 % too fast or too slow.
    ClockRate,
    /// Every fsync of a gateway fails.
    FsyncError,
    /// Every fsync of a gateway is slow.
    SlowDisk,
    /// A gateway's disk is full.
    DiskFull,
    /// Targets are moved.
    Moves,
    /// A gateway is drained, and taken back.
    Drain,
    /// A gateway and its Litestream are killed, after that one has stood still, and their disk is thrown away.
    DiskLost,
    /// A gateway's Litestream is killed.
    LitestreamKill,
    /// A gateway's Litestream does not run for a while.
    LitestreamPause,
    /// The store of the replicas takes nothing.
    StoreAway,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::GatewayKill,
        Self::GatewayAway,
        Self::GatewayPause,
        Self::ConfigKill,
        Self::LeaderKill,
        Self::LeaderPause,
        Self::StepDown,
        Self::HttpKill,
        Self::HttpPause,
        Self::PostgresCrash,
        Self::PostgresAway,
        Self::ControlPlaneGone,
        Self::Isolated,
        Self::OneWay,
        Self::Pair,
        Self::Reset,
        Self::Slow,
        Self::Corrupt,
        Self::WallJump,
        Self::ClockRate,
        Self::FsyncError,
        Self::SlowDisk,
        Self::DiskFull,
        Self::Moves,
        Self::Drain,
        Self::DiskLost,
        Self::LitestreamKill,
        Self::LitestreamPause,
        Self::StoreAway,
    ];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        self.row().0
    }

    /// What it does, in a few words.
    pub(crate) const fn about(self) -> &'static str {
        self.row().1
    }

    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The shortest and the longest it lasts, in milliseconds.
    pub(crate) const fn hold_ms(self) -> (u64, u64) {
        self.row().2
    }

    /// The least and the most of it, in its own unit.
    pub(crate) const fn amount(self) -> (u64, u64) {
        self.row().3
    }

    const fn row(self) -> (&'static str, &'static str, (u64, u64), (u64, u64)) {
        match self {
            Self::GatewayKill => ("gateway-kill", "gateway killed, started at once", (0, 500), (0, 1)),
            Self::GatewayAway => {
                ("gateway-away", "gateway killed, away longer than its lease", (9_000, 15_000), (0, 1))
            }
            Self::GatewayPause => ("gateway-pause", "gateway stopped (SIGSTOP)", (500, 12_000), (0, 1)),
            Self::ConfigKill => ("config-kill", "a following config-service killed", (500, 4_000), (0, 1)),
            Self::LeaderKill => ("leader-kill", "the leader killed", (500, 5_000), (0, 1)),
            Self::LeaderPause => ("leader-pause", "the leader stopped (SIGSTOP)", (1_000, 8_000), (0, 1)),
            Self::StepDown => ("step-down", "the leader told to step down", (0, 500), (0, 1)),
            Self::HttpKill => ("http-kill", "http-service killed", (200, 3_000), (0, 1)),
            Self::HttpPause => ("http-pause", "http-service stopped (SIGSTOP)", (500, 4_000), (0, 1)),
            Self::PostgresCrash => ("postgres-crash", "PostgreSQL crashed, started at once", (0, 500), (0, 1)),
            Self::PostgresAway => ("postgres-away", "PostgreSQL away", (3_000, 12_000), (0, 1)),
            Self::ControlPlaneGone => {
                ("control-plane-gone", "all config-services and PostgreSQL away", (8_000, 20_000), (0, 1))
            }
            Self::Isolated => ("isolated", "gateway cut off, both ways", (1_000, 12_000), (0, 1)),
            Self::OneWay => ("one-way", "gateway cut off, one way", (1_000, 10_000), (0, 1)),
            Self::Pair => ("pair", "two nodes cut from each other", (1_000, 10_000), (0, 1)),
            Self::Reset => ("reset", "all connections of a node reset", (0, 100), (0, 1)),
            Self::Slow => ("slow", "all that goes to a node slow (amount: ms per read)", (2_000, 6_000), (20, 300)),
            Self::Corrupt => {
                ("corrupt", "bits turned before http-service (amount: one byte in)", (2_000, 6_000), (500, 5_000))
            }
            Self::WallJump => ("wall-jump", "a gateway's wall clock jumps (amount: s)", (1_000, 5_000), (2, 7_200)),
            Self::ClockRate => {
                ("clock-rate", "clocks too fast or slow (amount: parts per million)", (5_000, 15_000), (2_000, 9_900))
            }
            Self::FsyncError => ("fsync-error", "a gateway's fsync fails", (500, 3_000), (0, 1)),
            Self::SlowDisk => ("slow-disk", "a gateway's fsync slow (amount: ms)", (2_000, 6_000), (20, 400)),
            Self::DiskFull => ("disk-full", "a gateway's disk full", (1_000, 5_000), (0, 1)),
            Self::Moves => ("moves", "targets moved (amount: how many)", (500, 2_000), (5, 25)),
            Self::DiskLost => (
                "disk-lost",
                "a gateway's disk lost (amount: ms its Litestream stood still)",
                (500, 12_000),
                (0, 1_500),
            ),
            Self::LitestreamKill => ("litestream-kill", "a gateway's Litestream killed", (0, 3_000), (0, 1)),
            Self::LitestreamPause => {
                ("litestream-pause", "a gateway's Litestream stopped (SIGSTOP)", (500, 8_000), (0, 1))
            }
            Self::StoreAway => ("store-away", "the replicas' store takes nothing", (1_000, 8_000), (0, 1)),
            Self::Drain => ("drain", "gateway drained and taken back", (3_000, 10_000), (0, 1)),
        }
    }
}
