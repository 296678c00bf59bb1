//! The flags of `berth gateway`, and of every bot that runs its handler with [`crate::run()`].

mod discord;
mod handler;
mod replication;

pub use discord::{DiscordArgs, IntentList, NoIntent};
pub use handler::HandlerArgs;
pub use replication::ReplicationArgs;

use crate::{replica::ReplicaArgs, retention, web::Application};
use clap::Args;
use shared::{
    PodId,
    http::ServeLimits,
    settings::duration,
    telemetry::{LogArgs, trace::TraceArgs},
    wire::control::Track,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

fn lineage_retention(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < retention::SHORTEST {
        return Err("a lineage is kept for 7 days at least: until then whoever comes back late may need it".to_owned());
    }
    Ok(time)
}

/// Flags of a gateway pod.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address to listen on: probes, local API and the routers' link
    #[arg(long, env = "BERTH_GATEWAY_LISTEN", default_value = "0.0.0.0:3002", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where others reach this pod; the listening address when it is not set
    #[arg(long, env = "BERTH_GATEWAY_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// The pod's name
    #[arg(long, env = "BERTH_POD", value_name = "NAME")]
    pub pod: PodId,
    /// The UID that the orchestrator has given this pod: a pod with another one is another owner, and goes on with nothing
    #[arg(long, env = "BERTH_POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,
    /// The zone the pod runs in
    #[arg(long, env = "BERTH_ZONE", value_name = "NAME")]
    pub zone: Option<String>,
    /// Its track: `stable`, or `canary` for a pod on which a new version is tried; such a pod has only the targets of the canary
    #[arg(long, env = "BERTH_TRACK", default_value_t, value_name = "TRACK")]
    pub track: Track,
    /// Its capacity relative to other pods
    #[arg(long, env = "BERTH_CAPACITY", default_value_t = 1.0, value_name = "X")]
    pub capacity: f64,
    /// config-service; replicas with commas between them, the next one is asked when one does not answer
    #[arg(long, env = "BERTH_CONFIG_URL", default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub config_url: String,
    /// The folder that holds the pod's database; one process at a time
    #[arg(long, env = "BERTH_GATEWAY_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Prepare the data folder first, as `prepare` does: for an orchestrator that starts a process that has ended again, and
    /// nothing before it
    #[arg(long, env = "BERTH_PREPARE")]
    pub prepare: bool,
    /// Tokens the services present to each other, the current one first
    #[arg(long, env = "BERTH_SERVICE_TOKENS", hide_env_values = true, value_name = "TOKENS")]
    pub service_tokens: Option<String>,
    /// File with the services' tokens
    #[arg(long, env = "BERTH_SERVICE_TOKENS_FILE", value_name = "PATH")]
    pub service_tokens_file: Option<PathBuf>,
    /// How long a Rust handler may hold the writer
    #[arg(long, env = "BERTH_HANDLER_TIMEOUT", default_value = "50ms", value_parser = duration, value_name = "TIME")]
    pub handler_timeout: Duration,
    /// Attempts before an accepted event is put aside as dead
    #[arg(long, env = "BERTH_HANDLER_ATTEMPTS", default_value_t = 8, value_name = "N")]
    pub handler_attempts: u32,
    /// Wait before the first retry of a failed event; doubles up to 60 times this
    #[arg(long, env = "BERTH_HANDLER_RETRY", default_value = "1s", value_parser = duration, value_name = "TIME")]
    pub handler_retry: Duration,
    /// The handler.
    #[command(flatten)]
    pub handler: HandlerArgs,
    /// The connections to Discord's gateway.
    #[command(flatten)]
    pub discord: DiscordArgs,
    /// Most events waiting for one target
    #[arg(long, env = "BERTH_MAILBOX", default_value_t = 1_000, value_name = "N", help_heading = "Limits")]
    pub mailbox: usize,
    /// Most events waiting on the pod
    #[arg(long, env = "BERTH_MAILBOX_TOTAL", default_value_t = 50_000, value_name = "N", help_heading = "Limits")]
    pub mailbox_total: usize,
    /// Most bytes of events waiting on the pod
    #[arg(long, env = "BERTH_MAILBOX_BYTES", default_value_t = 256 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub mailbox_bytes: usize,
    /// Most events committed together
    #[arg(long, env = "BERTH_GROUP_COMMIT", default_value_t = 256, value_name = "N", help_heading = "Limits")]
    pub group_commit: usize,
    /// Largest reply of a handler; a larger one fails its event for good. Never more than fits a frame
    #[arg(long, env = "BERTH_MAX_REPLY", default_value_t = 1 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub max_reply: usize,
    /// Largest stored reply; of a larger one only the status is kept for duplicates
    #[arg(long, env = "BERTH_MAX_STORED_REPLY", default_value_t = 64 << 10, value_name = "BYTES", help_heading = "Limits")]
    pub max_stored_reply: usize,
    /// Largest frame on a link
    #[arg(long, env = "BERTH_MAX_FRAME", default_value_t = 32 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub max_frame: usize,
    /// Most unanswered requests per link
    #[arg(long, env = "BERTH_LINK_REQUESTS", default_value_t = 4_096, value_name = "N", help_heading = "Limits")]
    pub link_requests: u32,
    /// Most unanswered bytes per link
    #[arg(long, env = "BERTH_LINK_BYTES", default_value_t = 64 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub link_bytes: u32,
    /// Most links of routers at once
    #[arg(long, env = "BERTH_LINKS", default_value_t = 1_024, value_name = "N", help_heading = "Limits")]
    pub links: usize,
    /// Most questions of other pods, and of config-service about them, that are answered at once
    #[arg(long, env = "BERTH_PEER_REQUESTS", default_value_t = 256, value_name = "N", help_heading = "Limits")]
    pub peer_requests: usize,
    /// How long a router may be silent on its link, or take nothing from it, before the link is cut
    #[arg(long, env = "BERTH_LINK_SILENCE", default_value = "10s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub link_silence: Duration,
    /// How long config-service's assignment stream may be silent before it is opened again; three bookmarks
    #[arg(long, env = "BERTH_WATCH_SILENCE", default_value = "6s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub watch_silence: Duration,
    /// Most rows of a query's answer
    #[arg(long, env = "BERTH_SQL_ROWS", default_value_t = 10_000, value_name = "N", help_heading = "Limits")]
    pub sql_rows: usize,
    /// Most bytes of a query's answer, and of any value that a query beside the writer makes on its way, there at least 1 MiB
    #[arg(long, env = "BERTH_SQL_BYTES", default_value_t = 4 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub sql_bytes: usize,
    /// Longest SQL statement of a handler
    #[arg(long, env = "BERTH_SQL_STATEMENT", default_value_t = 64 << 10, value_name = "BYTES", help_heading = "Limits")]
    pub sql_statement: usize,
    /// Most parameters of an SQL statement
    #[arg(long, env = "BERTH_SQL_PARAMS", default_value_t = 1_000, value_name = "N", help_heading = "Limits")]
    pub sql_params: usize,
    /// How long a query beside the writer may run
    #[arg(long, env = "BERTH_SQL_READ_TIMEOUT", default_value = "1s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub sql_read_timeout: Duration,
    /// Folder with the migrations of the bot's own tables: 0001_name.sql and so on
    #[arg(long, env = "BERTH_MIGRATIONS", value_name = "DIR")]
    pub migrations: Option<PathBuf>,
    /// File that says whose the rows of the bot's own tables are; schema.toml beside the migrations when it is not set
    #[arg(long, env = "BERTH_SCHEMA", value_name = "FILE", requires = "migrations")]
    pub schema: Option<PathBuf>,
    /// Most bytes of what a handler keeps in memory for a target that are kept over a restart
    #[arg(long, env = "BERTH_VOLATILE_MAX", default_value_t = 1 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub volatile_max: usize,
    /// How long a session lives after its last use, unless the handler says otherwise
    #[arg(long, env = "BERTH_SESSION_TTL", default_value = "1h", value_parser = duration, value_name = "TIME")]
    pub session_ttl: Duration,
    /// How long events are remembered, so that none is applied twice
    #[arg(long, env = "BERTH_INBOX_RETENTION", default_value = "7days", value_parser = duration, value_name = "TIME")]
    pub inbox_retention: Duration,
    /// How long the payloads of applied events are kept
    #[arg(long, env = "BERTH_JOURNAL_RETENTION", default_value = "1day", value_parser = duration, value_name = "TIME")]
    pub journal_retention: Duration,
    /// How long rows that were put aside are kept at least, when another pod was given their target
    #[arg(long, env = "BERTH_QUARANTINE_RETENTION", default_value = "7days", value_parser = duration, value_name = "TIME")]
    pub quarantine_retention: Duration,
    /// How often a pod that was failed over looks who serves the targets that it lost, and sends what it had acknowledged
    #[arg(long, env = "BERTH_RECONCILE_EVERY", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub reconcile_every: Duration,
    /// Most events that it sends at once
    #[arg(long, env = "BERTH_RECONCILE_BATCH", default_value_t = 100, value_name = "N", help_heading = "Limits")]
    pub reconcile_batch: usize,
    /// Most bytes of payload that it sends at once; a larger event goes alone
    #[arg(long, env = "BERTH_RECONCILE_BYTES", default_value_t = 1 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub reconcile_bytes: usize,
    /// Largest database that is written anew after an erasure, so that not even traces of deleted rows stay in its file; it
    /// takes about a second for each 200 MB, during which nothing is committed
    #[arg(long, env = "BERTH_ERASE_COMPACT", default_value_t = 128 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub erase_compact: u64,
    /// How long a handler or a call that runs when its target is frozen for a move may go on before it is cut off
    #[arg(long, env = "BERTH_FREEZE_GRACE", default_value = "200ms", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub freeze_grace: Duration,
    /// Most targets of this pod that are frozen at once for moves, small ones not counted
    #[arg(long, env = "BERTH_MOVES_FROZEN", default_value_t = 8, value_name = "N", help_heading = "Limits")]
    pub moves_frozen: usize,
    /// Most targets of this pod that are copied to other pods at once
    #[arg(long, env = "BERTH_MOVES_COPYING", default_value_t = 4, value_name = "N", help_heading = "Limits")]
    pub moves_copying: usize,
    /// Most parcels of moved rows that are taken in at once; each holds about a megabyte
    #[arg(long, env = "BERTH_MOVES_TAKING", default_value_t = 16, value_name = "N", help_heading = "Limits")]
    pub moves_taking: usize,
    /// Targets with at most so many bytes are small: not copied while they are served, all of it follows the freeze
    #[arg(long, env = "BERTH_MOVES_SMALL", default_value_t = 256 << 10, value_name = "BYTES", help_heading = "Limits")]
    pub moves_small: usize,
    /// Most small targets of this pod that are frozen at once for moves, and travel together
    #[arg(long, env = "BERTH_MOVES_TOGETHER", default_value_t = 64, value_name = "N", help_heading = "Limits")]
    pub moves_together: usize,
    /// How long a pod that targets are to move to is asked whether it is ready, before their moves are given up
    #[arg(long, env = "BERTH_MOVES_REACH", default_value = "5s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub moves_reach: Duration,
    /// Most exports at once
    #[arg(long, env = "BERTH_EXPORTS", default_value_t = 2, value_name = "N", help_heading = "Limits")]
    pub exports: usize,
    /// How long whoever reads an export may take nothing of it before it is cut
    #[arg(long, env = "BERTH_EXPORT_STALL", default_value = "10s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub export_stall: Duration,
    /// How long an export may take; while it runs, the WAL grows
    #[arg(long, env = "BERTH_EXPORT_TIMEOUT", default_value = "10m", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub export_timeout: Duration,
    /// Hosts that handlers' outgoing calls may reach, with their ports where not 443
    #[arg(
        long,
        env = "BERTH_OUTBOX_HOSTS",
        default_value = "discord.com,hooks.slack.com,slack.com,api.telegram.org,api.github.com",
        value_name = "HOSTS"
    )]
    pub outbox_hosts: String,
    /// Let outgoing calls reach private and loopback addresses, and plain http
    #[arg(long, env = "BERTH_OUTBOX_PRIVATE")]
    pub outbox_private: bool,
    /// How long an outgoing call may take
    #[arg(long, env = "BERTH_OUTBOX_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub outbox_timeout: Duration,
    /// How long an outgoing call is retried before it is put aside as dead
    #[arg(long, env = "BERTH_OUTBOX_GIVE_UP", default_value = "1day", value_parser = duration, value_name = "TIME")]
    pub outbox_give_up: Duration,
    /// Most outgoing calls at once
    #[arg(long, env = "BERTH_OUTBOX_CONCURRENCY", default_value_t = 64, value_name = "N", help_heading = "Limits")]
    pub outbox_concurrency: usize,
    /// Discord's REST API, for late replies
    #[arg(long, env = "BERTH_DISCORD_API", default_value = shared::platform::DISCORD_API, value_name = "URL")]
    pub discord_api: String,
    /// The bot's own web application, `http://HOST:PORT`: web traffic of this pod's targets is handed to it
    #[arg(long, env = "BERTH_WEB", value_name = "URL")]
    pub web: Option<Application>,
    /// Most web requests and tunnels at once
    #[arg(long, env = "BERTH_WEB_CONNECTIONS", default_value_t = 1_024, value_name = "N", help_heading = "Limits")]
    pub web_connections: usize,
    /// Most of them for one target; a quarter of --web-connections when it is not set
    #[arg(long, env = "BERTH_WEB_TARGET_CONNECTIONS", value_name = "N", help_heading = "Limits")]
    pub web_target_connections: Option<usize>,
    /// Longest body of a web request
    #[arg(long, env = "BERTH_WEB_MAX_BODY", default_value_t = 256 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub web_max_body: u64,
    /// How long nothing may move, either way, in a web request or tunnel before it is cut
    #[arg(long, env = "BERTH_WEB_IDLE", default_value = "60s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub web_idle: Duration,
    /// Slowest that a request's body may arrive, in bytes per second; who waits longer for it than --web-idle in all is
    /// cut. 0 lets it be as slow as it likes
    #[arg(long, env = "BERTH_WEB_MIN_RATE", default_value_t = 512, value_name = "BYTES", help_heading = "Limits")]
    pub web_min_rate: u32,
    /// How long the pod may serve on after SIGTERM when it leaves for good, until its targets have moved away; the platform's
    /// own patience before SIGKILL has to be longer by a stop and a last upload
    #[arg(long, env = "BERTH_DRAIN_DEADLINE", default_value = "4m", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub drain_deadline: Duration,
    /// How much of that the pod may use up to hear at all whether it leaves for good, while config-service is stalled or has no
    /// leader; after that, it stops as one that comes back
    #[arg(long, env = "BERTH_LEAVING_PATIENCE", default_value = "15s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub leaving_patience: Duration,
    /// How much memory the pod may occupy, in bytes, for the autoscaler; the container's limit when it is not set
    #[arg(long, env = "BERTH_MEMORY_LIMIT", value_name = "BYTES", help_heading = "Limits")]
    pub memory_limit: Option<u64>,
    /// How often the pod restores its own replica to a scratch file and compares it with its database; 0 for never
    #[arg(long, env = "BERTH_DRILL_EVERY", default_value = "24h", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub drill_every: Duration,
    /// How long such a drill waits until what it compares is replicated
    #[arg(long, env = "BERTH_DRILL_WAIT", default_value = "5m", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub drill_wait: Duration,
    /// How long such a drill may look through the database, or the copy, at a time; meanwhile the WAL grows
    #[arg(long, env = "BERTH_DRILL_LOOK", default_value = "10m", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub drill_look: Duration,
    /// How long a lineage is kept at least after its last file was written; never less than 7 days
    #[arg(long, env = "BERTH_LINEAGE_RETENTION", default_value = "7days", value_parser = lineage_retention, value_name = "TIME", help_heading = "Replication")]
    pub lineage_retention: Duration,
    /// How often the pod takes lineages away whose time is over, its own and those of pods that are gone; 0 for never
    #[arg(long, env = "BERTH_LINEAGE_GC_EVERY", default_value = "24h", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub lineage_gc_every: Duration,
    /// Most dead pods' replicas that are restored at once
    #[arg(long, env = "BERTH_RESTORES", default_value_t = 1, value_name = "N", help_heading = "Replication")]
    pub restores: usize,
    /// Free space that a restore needs in the data folder, in multiples of what the replica's files have
    #[arg(long, env = "BERTH_RESTORE_SPACE", default_value_t = 2, value_name = "N", help_heading = "Replication")]
    pub restore_space: u64,
    /// The replica.
    #[command(flatten)]
    pub replica: ReplicaArgs,
    /// Acknowledgements and the replica.
    #[command(flatten)]
    pub replication: ReplicationArgs,
    /// The bounds of the listener.
    #[command(flatten)]
    pub limits: ServeLimits,
    /// File to which a line of JSON is added for every target and group that is committed, acknowledged, acquired or
    /// released, and every outgoing call, with the epoch and the boot clock: for proofs that a target has one owner
    #[arg(long, env = "BERTH_OWNERSHIP_LOG", value_name = "FILE")]
    pub ownership_log: Option<PathBuf>,
    /// Tell the hosts of outgoing calls which trace a call belongs to, in the header `traceparent`
    #[arg(long, env = "BERTH_OUTBOX_TRACE", help_heading = "Traces")]
    pub outbox_trace: bool,
    /// The traces.
    #[command(flatten)]
    pub traces: TraceArgs,
    /// The logs.
    #[command(flatten)]
    pub log: LogArgs,
}
