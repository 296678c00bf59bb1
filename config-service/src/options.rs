//! The flags of `berth config-service`.

use clap::Args;
use shared::{
    http::ServeLimits,
    settings::duration,
    telemetry::{LogArgs, trace::TraceArgs},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Flags of the control plane.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address to listen on
    #[arg(long, env = "BERTH_CONFIG_LISTEN", default_value = "0.0.0.0:3001", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where assignments are kept: `sqlite:PATH` or `postgres://…`
    #[arg(long, env = "BERTH_CONFIG_STORE", hide_env_values = true, value_name = "URL")]
    pub store: String,
    /// Tokens the services present to each other, the current one first
    #[arg(long, env = "BERTH_SERVICE_TOKENS", hide_env_values = true, value_name = "TOKENS")]
    pub service_tokens: Option<String>,
    /// File with the services' tokens
    #[arg(long, env = "BERTH_SERVICE_TOKENS_FILE", value_name = "PATH")]
    pub service_tokens_file: Option<PathBuf>,
    /// Tokens that may change things through the admin API
    #[arg(long, env = "BERTH_ADMIN_TOKENS", hide_env_values = true, value_name = "TOKENS")]
    pub admin_tokens: Option<String>,
    /// File with the admin tokens
    #[arg(long, env = "BERTH_ADMIN_TOKENS_FILE", value_name = "PATH")]
    pub admin_tokens_file: Option<PathBuf>,
    /// Let everybody who reaches the port read the admin API; writes always take a token
    #[arg(long, env = "BERTH_OPEN_READS")]
    pub open_reads: bool,
    /// Most connections to PostgreSQL, at least 4; each of the config-services has as many
    #[arg(long, env = "BERTH_STORE_CONNECTIONS", default_value_t = 8, value_name = "N", help_heading = "Limits")]
    pub store_connections: u32,
    /// How many config-services share the database: at start their connections together are held against its
    /// max_connections
    #[arg(long, env = "BERTH_CONFIG_REPLICAS", default_value_t = 3, value_name = "N", help_heading = "Limits")]
    pub replicas: u32,
    /// How long a statement of the store may take
    #[arg(long, env = "BERTH_STORE_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub store_timeout: Duration,
    /// D: how long a pod's lease lasts
    #[arg(long, env = "BERTH_LEASE", default_value = "6s", value_parser = duration, value_name = "TIME")]
    pub lease: Duration,
    /// M: how long the leader waits beyond D before it takes a lease for over, at least a twentieth of D: two clocks may differ
    /// by so much, and by how late a process notices the time
    #[arg(long, env = "BERTH_LEASE_MARGIN", default_value = "1s", value_parser = duration, value_name = "TIME")]
    pub lease_margin: Duration,
    /// How often pods renew it
    #[arg(long, env = "BERTH_HEARTBEAT", default_value = "1s", value_parser = duration, value_name = "TIME")]
    pub heartbeat: Duration,
    /// How long a pod is silent before the leader asks its witnesses to fence it
    #[arg(long, env = "BERTH_FENCE_AFTER", default_value = "3s", value_parser = duration, value_name = "TIME")]
    pub fence_after: Duration,
    /// How long a pod that said goodbye may be away before it is fenced like a silent one
    #[arg(long, env = "BERTH_RESTART_PATIENCE", default_value = "60s", value_parser = duration, value_name = "TIME")]
    pub restart_patience: Duration,
    /// Least time between two checks of the leader's term while heartbeats wait
    #[arg(long, env = "BERTH_TERM_CHECK", default_value = "100ms", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub term_check: Duration,
    /// How long a witness may take to answer when it is asked to fence a pod
    #[arg(long, env = "BERTH_FENCE_TIMEOUT", default_value = "1s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub fence_timeout: Duration,
    /// Most witnesses that are asked at once
    #[arg(long, env = "BERTH_FENCE_CALLS", default_value_t = 256, value_name = "N", help_heading = "Limits")]
    pub fence_calls: usize,
    /// How long the leader's term lasts without being renewed; another takes over when it has ended
    #[arg(long, env = "BERTH_LEADER_LEASE", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub leader_lease: Duration,
    /// Most targets placed in one transaction
    #[arg(long, env = "BERTH_PLACE_BATCH", default_value_t = 5_000, value_name = "N", help_heading = "Limits")]
    pub place_batch: usize,
    /// Most first contacts that may wait; more are told to come back
    #[arg(long, env = "BERTH_PLACE_QUEUE", default_value_t = 100_000, value_name = "N", help_heading = "Limits")]
    pub place_queue: usize,
    /// How long a target may stay frozen before its move is aborted: for so long it accepts no event at worst
    #[arg(long, env = "BERTH_MOVE_FREEZE", default_value = "2s", value_parser = duration, value_name = "TIME", help_heading = "Moves")]
    pub move_freeze: Duration,
    /// How long the copy of a target may make no progress before its move is aborted
    #[arg(long, env = "BERTH_MOVE_STALL", default_value = "60s", value_parser = duration, value_name = "TIME", help_heading = "Moves")]
    pub move_stall: Duration,
    /// Most moves under way at once; an operator's own moves may exceed it
    #[arg(long, env = "BERTH_MOVES_IN_FLIGHT", default_value_t = 512, value_name = "N", help_heading = "Moves")]
    pub moves_in_flight: usize,
    /// Most moves away from one pod at once
    #[arg(long, env = "BERTH_MOVES_PER_SOURCE", default_value_t = 256, value_name = "N", help_heading = "Moves")]
    pub moves_per_source: usize,
    /// Most moves to one pod at once
    #[arg(long, env = "BERTH_MOVES_PER_DESTINATION", default_value_t = 256, value_name = "N", help_heading = "Moves")]
    pub moves_per_destination: usize,
    /// Targets an ordinary pod (capacity 1) is meant to carry; makes the dimensions of load comparable
    #[arg(long, env = "BERTH_POD_TARGETS", default_value_t = 20_000.0, value_name = "N", help_heading = "Placement")]
    pub pod_targets: f64,
    /// Events per second an ordinary pod is meant to carry
    #[arg(long, env = "BERTH_POD_EVENTS", default_value_t = 2_000.0, value_name = "N", help_heading = "Placement")]
    pub pod_events: f64,
    /// Bytes an ordinary pod is meant to store
    #[arg(long, env = "BERTH_POD_BYTES", default_value_t = 10 << 30, value_name = "BYTES", help_heading = "Placement")]
    pub pod_bytes: u64,
    /// Largest request body; larger ones get 413
    #[arg(long, env = "BERTH_CONFIG_MAX_BODY_BYTES", default_value_t = 4 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub max_body_bytes: usize,
    /// How long a request body may take, and how long a pod may take to answer for one of its targets
    #[arg(long, env = "BERTH_CONFIG_BODY_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub body_timeout: Duration,
    /// How long the end of an erasure is waited for; it goes on when it takes longer
    #[arg(long, env = "BERTH_ERASE_WAIT", default_value = "60s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub erase_wait: Duration,
    /// Changes kept in the log for watchers that resume
    #[arg(long, env = "BERTH_CHANGE_KEEP", default_value_t = 200_000, value_name = "N", help_heading = "Limits")]
    pub change_keep: u64,
    /// Most tokens of the admin API beside those of the settings
    #[arg(long, env = "BERTH_MAX_TOKENS", default_value_t = 1_000, value_name = "N", help_heading = "Limits")]
    pub max_tokens: usize,
    /// Most targets that one pod may report to hold
    #[arg(long, env = "BERTH_MAX_HOLDINGS", default_value_t = 1_000_000, value_name = "N", help_heading = "Limits")]
    pub max_holdings: usize,
    /// Where the other config-services reach this one; the listening address when it is not set
    #[arg(long, env = "BERTH_CONFIG_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// How often a config-service that follows looks for what was committed; notifications make it quicker
    #[arg(long, env = "BERTH_FOLLOWER_POLL", default_value = "250ms", value_parser = duration, value_name = "TIME")]
    pub follower_poll: Duration,
    /// How old what a follower knows may be; what is older is not served
    #[arg(long, env = "BERTH_FOLLOWER_AGE", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub follower_age: Duration,
    /// Most requests that a follower passes on to the leader at once; more get 503
    #[arg(long, env = "BERTH_PASS_ON", default_value_t = 1_024, value_name = "N", help_heading = "Limits")]
    pub pass_on: usize,
    /// Most watchers at once
    #[arg(long, env = "BERTH_MAX_WATCHERS", default_value_t = 1_000, value_name = "N", help_heading = "Limits")]
    pub max_watchers: usize,
    /// Deltas a watcher may be behind before it is told to resync
    #[arg(long, env = "BERTH_WATCH_BACKLOG", default_value_t = 10_000, value_name = "N", help_heading = "Limits")]
    pub watch_backlog: usize,
    /// How often a quiet watch gets a bookmark
    #[arg(long, env = "BERTH_WATCH_BOOKMARK", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub watch_bookmark: Duration,
    /// The bounds of the listener.
    #[command(flatten)]
    pub limits: ServeLimits,
    /// The traces.
    #[command(flatten)]
    pub traces: TraceArgs,
    /// The logs.
    #[command(flatten)]
    pub log: LogArgs,
}
