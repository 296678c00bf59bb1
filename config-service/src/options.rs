//! The flags of `berth config-service`.

mod discord;

pub(crate) use discord::{DiscordOptions, ShardCount};

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
    /// How often the leader looks whether pods have an even share, and moves what they have too much; 0s for never
    #[arg(long, env = "BERTH_REBALANCE_INTERVAL", default_value = "60s", value_parser = duration, value_name = "TIME", help_heading = "Moves")]
    pub rebalance_interval: Duration,
    /// How far from its share a pod's load may be before anything moves for that, as a part of it
    #[arg(long, env = "BERTH_REBALANCE_BAND", default_value_t = 0.05, value_name = "PART", help_heading = "Moves")]
    pub rebalance_band: f64,
    /// How long a target stays where it was moved to before it moves again for an even share; doubles each time in a row
    #[arg(long, env = "BERTH_MOVE_COOLDOWN", default_value = "10m", value_parser = duration, value_name = "TIME", help_heading = "Moves")]
    pub move_cooldown: Duration,
    /// Most moves under way at once with which plans begin another
    #[arg(long, env = "BERTH_PLAN_MOVES_IN_FLIGHT", default_value_t = 128, value_name = "N", help_heading = "Moves")]
    pub plan_moves_in_flight: usize,
    /// Most moves away from one pod at once with which plans begin another
    #[arg(long, env = "BERTH_PLAN_MOVES_PER_SOURCE", default_value_t = 8, value_name = "N", help_heading = "Moves")]
    pub plan_moves_per_source: usize,
    /// Most moves to one pod at once with which plans begin another
    #[arg(
        long,
        env = "BERTH_PLAN_MOVES_PER_DESTINATION",
        default_value_t = 8,
        value_name = "N",
        help_heading = "Moves"
    )]
    pub plan_moves_per_destination: usize,
    /// The part of a plan's moves that may be aborted before it stops, 0 to 1; a drain goes on
    #[arg(long, env = "BERTH_PLAN_ABORT_BUDGET", default_value_t = 0.1, value_name = "PART", help_heading = "Moves")]
    pub plan_abort_budget: f64,
    /// What 99 of 100 pauses of a plan's moves may be before it stops; a drain goes on
    #[arg(long, env = "BERTH_PLAN_PAUSE_BUDGET", default_value = "2s", value_parser = duration, value_name = "TIME", help_heading = "Moves")]
    pub plan_pause_budget: Duration,
    /// While fewer than a hundred of a plan's moves have ended, what the longest of their pauses may be before it stops; a drain
    /// goes on
    #[arg(long, env = "BERTH_PLAN_LONGEST_PAUSE", default_value = "30s", value_parser = duration, value_name = "TIME", help_heading = "Moves")]
    pub plan_longest_pause: Duration,
    /// Targets an ordinary pod (capacity 1) is meant to carry; makes the dimensions of load comparable
    #[arg(long, env = "BERTH_POD_TARGETS", default_value_t = 20_000.0, value_name = "N", help_heading = "Placement")]
    pub pod_targets: f64,
    /// Events per second an ordinary pod is meant to carry
    #[arg(long, env = "BERTH_POD_EVENTS", default_value_t = 2_000.0, value_name = "N", help_heading = "Placement")]
    pub pod_events: f64,
    /// Bytes an ordinary pod is meant to store
    #[arg(long, env = "BERTH_POD_BYTES", default_value_t = 10 << 30, value_name = "BYTES", help_heading = "Placement")]
    pub pod_bytes: u64,
    /// Open sockets an ordinary pod is meant to carry
    #[arg(long, env = "BERTH_POD_SOCKETS", default_value_t = 10_000.0, value_name = "N", help_heading = "Placement")]
    pub pod_sockets: f64,
    /// After how many moves in a row a target stays until it is moved by hand
    #[arg(long, env = "BERTH_PLAN_FREEZE_AFTER", default_value_t = 10, value_name = "N", help_heading = "Placement")]
    pub plan_freeze_after: u8,
    /// After what time a new rate of events counts as much as all before it
    #[arg(long, env = "BERTH_PLAN_HALF_LIFE", default_value = "5m", value_parser = duration, value_name = "TIME", help_heading = "Placement")]
    pub plan_half_life: Duration,
    /// The part of all weight that one plan may move for what is only wished for; 0 leaves wishes out of account
    #[arg(long, env = "BERTH_PLAN_POLISH", default_value_t = 0.01, value_name = "SHARE", help_heading = "Placement")]
    pub plan_polish: f64,
    /// How many moves and swaps one plan looks at for that
    #[arg(
        long,
        env = "BERTH_PLAN_EVALUATIONS",
        default_value_t = 200_000,
        value_name = "N",
        help_heading = "Placement"
    )]
    pub plan_evaluations: u32,
    /// The StatefulSet whose pods the gateways are: pods whose number is not to run any more are drained, and orders to scale
    /// set its replicas. Needs permission to get, list and watch it and the pods, and to patch its scale
    #[arg(long, env = "BERTH_STATEFULSET", value_name = "NAME", help_heading = "Kubernetes")]
    pub statefulset: Option<String>,
    /// Its namespace; that of this process, or of the kubeconfig, when it is not set
    #[arg(long, env = "BERTH_NAMESPACE", value_name = "NAME", help_heading = "Kubernetes", requires = "statefulset")]
    pub namespace: Option<String>,
    /// How the API of Kubernetes is reached from outside the cluster
    #[arg(long, env = "BERTH_KUBECONFIG", value_name = "FILE", help_heading = "Kubernetes", requires = "statefulset")]
    pub kubeconfig: Option<PathBuf>,
    /// The share of its processors that a pod is meant to use; 0 leaves it out of account
    #[arg(
        long,
        env = "BERTH_AUTOSCALER_CPU",
        default_value_t = 0.7,
        value_name = "SHARE",
        help_heading = "Autoscaler"
    )]
    pub autoscaler_cpu: f64,
    /// The share of its memory that a pod is meant to use; 0 leaves it out of account
    #[arg(
        long,
        env = "BERTH_AUTOSCALER_MEMORY",
        default_value_t = 0.8,
        value_name = "SHARE",
        help_heading = "Autoscaler"
    )]
    pub autoscaler_memory: f64,
    /// Events per second that a pod is meant to apply; 0 leaves them out of account
    #[arg(
        long,
        env = "BERTH_AUTOSCALER_EVENTS",
        default_value_t = 1_000.0,
        value_name = "N",
        help_heading = "Autoscaler"
    )]
    pub autoscaler_events: f64,
    /// Connections of web users that a pod is meant to hold; 0 leaves them out of account
    #[arg(
        long,
        env = "BERTH_AUTOSCALER_SOCKETS",
        default_value_t = 5_000.0,
        value_name = "N",
        help_heading = "Autoscaler"
    )]
    pub autoscaler_sockets: f64,
    /// From which share of one of these on there should be one pod more
    #[arg(long, env = "BERTH_AUTOSCALER_UP", default_value_t = 0.8, value_name = "SHARE", help_heading = "Autoscaler")]
    pub autoscaler_up: f64,
    /// Up to which share of all of these there should be one pod fewer
    #[arg(
        long,
        env = "BERTH_AUTOSCALER_DOWN",
        default_value_t = 0.3,
        value_name = "SHARE",
        help_heading = "Autoscaler"
    )]
    pub autoscaler_down: f64,
    /// How long the autoscaler waits after the number of pods has changed
    #[arg(long, env = "BERTH_AUTOSCALER_COOLDOWN", default_value = "300s", value_parser = duration, value_name = "TIME", help_heading = "Autoscaler")]
    pub autoscaler_cooldown: Duration,
    /// How often the autoscaler looks
    #[arg(long, env = "BERTH_AUTOSCALER_INTERVAL", default_value = "30s", value_parser = duration, value_name = "TIME", help_heading = "Autoscaler")]
    pub autoscaler_interval: Duration,
    /// How long it may take until as many pods run as were ordered, drains included; then the order has failed, and pods
    /// that were to leave stay
    #[arg(long, env = "BERTH_SCALE_DEADLINE", default_value = "1h", value_parser = duration, value_name = "TIME", help_heading = "Autoscaler")]
    pub scale_deadline: Duration,
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
    /// The IDENTIFY budget of a bot on Discord.
    #[command(flatten)]
    pub discord: DiscordOptions,
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
