//! The rules that can be taken away.

/// Which rules are in force. One that is not is broken around the cores, by what goes in or comes out of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A mark is on disk before the leader is told (Leases 4).
    pub marks_are_kept: bool,
    /// A witness remembers what it promised (Leases 4).
    pub promises_are_remembered: bool,
    /// A restarted witness reports what the process before it may have promised (Leases 4).
    pub restarts_are_reported: bool,
    /// The leader waits out the largest remaining promise (Leases 5).
    pub promises_are_waited_for: bool,
    /// The leader waits out its own grants (Leases 5).
    pub grants_are_waited_for: bool,
    /// Answers of an earlier round do not count (Leases 5).
    pub rounds_are_told_apart: bool,
    /// Every config the pod may hold is fenced (Leases 5).
    pub every_config_is_fenced: bool,
    /// It takes QF answers (Leases 3).
    pub answers_are_counted: bool,
    /// A new leader waits D+M (Leases 2).
    pub leaders_wait: bool,
    /// A heartbeat waits for a check of the term that began after it arrived (Leases 2).
    pub terms_are_checked: bool,
    /// A commit names the leader's term (Leases 5).
    pub commits_are_fenced: bool,
    /// Validity counts from before the heartbeat or the question was sent (Leases 1 and 3).
    pub validity_counts_from_the_send: bool,
    /// A restart in place waits for promises or a grant (Leases 12).
    pub restarts_wait: bool,
    /// A fenced witness does not promise (Leases 4).
    pub marks_are_obeyed: bool,
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self {
        marks_are_kept: true,
        promises_are_remembered: true,
        restarts_are_reported: true,
        promises_are_waited_for: true,
        grants_are_waited_for: true,
        rounds_are_told_apart: true,
        every_config_is_fenced: true,
        answers_are_counted: true,
        leaders_wait: true,
        terms_are_checked: true,
        commits_are_fenced: true,
        validity_counts_from_the_send: true,
        restarts_wait: true,
        marks_are_obeyed: true,
    };
}
