//! Flags about acknowledgements that wait for the replica, and about what happens when it does not keep up.

use crate::replication::{AcknowledgeList, Rules};
use clap::Args;
use shared::settings::duration;
use std::time::Duration;

/// How old a commit may get that nobody waits for before it is asked about: so precise is the lag that is shown.
const UNASKED: Duration = Duration::from_secs(5);

/// Flags about acknowledgements and the replica.
#[derive(Debug, Clone, Args)]
pub struct ReplicationArgs {
    /// When events of a source are acknowledged: committed on this disk (local), or uploaded to the replica too
    /// (replicated), as SOURCE=local|replicated with commas between them. A source is discord, discord-events, discord-gateway, telegram,
    /// telegram/BOT, slack, standard, standard/SOURCE, github, timer, or a kind of event such as discord_command; the
    /// nearest word counts. All are replicated that are not named; those for which a person waits only while an upload is
    /// fast enough for that. Without a replica all are local
    #[arg(long, env = "BERTH_ACKNOWLEDGE", value_name = "MODES", help_heading = "Replication")]
    pub acknowledge: Option<AcknowledgeList>,
    /// An upload that takes no longer than this is waited for also where a person waits for the answer; 0s never
    #[arg(long, env = "BERTH_ACKNOWLEDGE_INTERACTIVE_WITHIN", default_value = "400ms", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub acknowledge_interactive_within: Duration,
    /// How long uploads may fail before events whose acknowledgement waits for them are refused
    #[arg(long, env = "BERTH_REPLICATION_PATIENCE", default_value = "10s", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub replication_patience: Duration,
    /// Acknowledge all sources locally then, instead of refusing them: a disk that is lost meanwhile loses acknowledged
    /// events
    #[arg(long, env = "BERTH_REPLICATION_DEGRADE", help_heading = "Replication")]
    pub replication_degrade: bool,
    /// Most uploads per second, on average, that acknowledgements ask for; each is a PUT that the store charges for
    #[arg(long, env = "BERTH_REPLICATION_RATE", default_value_t = 2.0, value_name = "N", help_heading = "Replication")]
    pub replication_rate: f64,
    /// Most uploads at once that they ask for after a quiet time
    #[arg(long, env = "BERTH_REPLICATION_BURST", default_value_t = 20, value_name = "N", help_heading = "Replication")]
    pub replication_burst: u32,
    /// How long one upload may take before it counts as failed
    #[arg(long, env = "BERTH_REPLICATION_TIMEOUT", default_value = "15s", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub replication_timeout: Duration,
    /// Size of the WAL at which the pod moves it into the database itself when Litestream, which does that, is gone
    #[arg(long, env = "BERTH_REPLICATION_WAL", default_value_t = 128 << 20, value_name = "BYTES", help_heading = "Replication")]
    pub replication_wal: u64,
}

impl ReplicationArgs {
    /// Returns what the agent goes by.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            burst: self.replication_burst,
            per_second: self.replication_rate,
            unasked: UNASKED,
            patience: self.replication_patience,
            degrade: self.replication_degrade,
        }
    }
}
