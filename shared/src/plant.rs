//! Bugs that a simulation plants to see that it would find them. Exists only with the feature `plant`, which no service is
//! released with; off until a test switches one on, on its own thread. Each call site is where the rule is kept: it asks
//! [`on`], and then does not keep it.

use std::cell::Cell;

/// A rule that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// A pod counts a lease from when the grant arrived, not from before the heartbeat was sent (Leases 1).
    ValidityFromReceipt,
    /// A leader grants without a check of its term that began after the heartbeat arrived (Leases 2).
    GrantWithoutTermCheck,
    /// A new leader does not wait until what the old one granted is over (Leases 2, 5).
    NewLeaderDoesNotWait,
    /// A witness does not remember what it promised (Leases 4).
    PromiseNotRemembered,
    /// A witness promises for a lease that is fenced (Leases 4).
    FencedIsPromised,
    /// A witness that restarted says that it has promised nothing (Leases 4).
    RestartForgetsPromises,
    /// A witness whose marks are lost begins anew without reading them back (Leases 4).
    MarksForgotten,
    /// Acknowledgements of an earlier round count (Leases 5).
    OldRoundCounts,
    /// A leader buries before the promises that witnesses told of are over (Leases 5).
    PromisesNotWaitedOut,
    /// Only the newest witness config is fenced (Leases 5, 7).
    NewestConfigOnly,
    /// A pod is buried with one acknowledgement fewer than a quorum (Leases 3, 5).
    QuorumTooSmall,
    /// A pod that is back while it is fenced is granted its old lease (Leases 6).
    FencedIsGranted,
    /// A restart in place goes on under its old lease without promises or a grant (Leases 12).
    RestartWithoutPromises,
    /// A commit does not look at the leader's term (Epochs, Leases 2).
    ZombieLeader,
    /// A new owner gets the epoch of the old one (Leases 5, Epochs).
    EpochNotIncreased,
    /// A pod goes on serving what its assignment stream took away (Epochs).
    LostTargetServed,
    /// The lease is not looked at in the transaction, nor before the acknowledgement (Clocks, Epochs).
    LeaseNotChecked,
    /// The epoch is not looked at in the transaction (Epochs).
    EpochNotChecked,
    /// A router believes older routes (Epochs).
    RouterBelievesOlder,
    /// A grant counts from the heartbeat under way, whichever it answers (Leases 1).
    NonceNotChecked,
    /// An extension counts from the newest promise, not from the oldest that is needed (Leases 3).
    ExtensionFromNewest,
    /// A source serves on by itself after a while, without having heard that the move was aborted (Moves).
    UnfreezesByItself,
    /// A source sends the rest before its freeze is on disk (Moves).
    SendsBeforeFrozen,
    /// A target that is frozen takes events (Moves).
    FrozenAccepts,
    /// A move is committed when its source has frozen, before the destination has the rows (Moves).
    CommitsBeforeImport,
    /// A move that was frozen for too long is committed, not aborted (Leases 8, Moves).
    CommitsByTimeout,
    /// A move goes on although its source does not own the target any more (Moves).
    ReassignedGoesOn,
    /// What is committed is acknowledged at once, uploaded or not (Data 3).
    AcknowledgesBeforeUpload,
    /// A pod whose lineage is sealed goes on acknowledging (Data 3).
    SealNotChecked,
    /// A replica is listed and restored without having been sealed (Data 4).
    RestoresUnsealed,
    /// An older data folder is kept although the store has more (LITESTREAM.md, Boot).
    OlderFolderKept,
    /// What was imported from a replica is imported again by a job that is repeated (Data 4). Planted in the simulation, whose
    /// jobs are a stand-in.
    ImportsTwice,
    /// The inbox is not asked about late events (Data 5). Planted in the simulation, whose rows are a stand-in.
    LateNotCompared,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug on this thread, or takes it away.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Returns whether a bug is planted on this thread.
pub fn on(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
