//! The flags of `berth http-service`.

use clap::Args;
use shared::{
    http::ServeLimits,
    settings::duration,
    telemetry::{LogArgs, trace::TraceArgs},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Flags of the HTTP tier.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address to listen on
    #[arg(long, env = "BERTH_HTTP_LISTEN", default_value = "0.0.0.0:3000", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// config-service; replicas with commas between them, the next one is asked when one does not answer
    #[arg(long, env = "BERTH_CONFIG_URL", default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub config_url: String,
    /// Gateways that are asked what they own while config-service is gone, with commas between them; a name may stand for
    /// many addresses
    #[arg(long, env = "BERTH_GATEWAYS", value_delimiter = ',', value_name = "HOST:PORT")]
    pub gateways: Vec<String>,
    /// File the routing table is kept in, for a start while config-service is gone
    #[arg(long, env = "BERTH_TABLE", value_name = "PATH")]
    pub table: Option<PathBuf>,
    /// How often the table is written there, when it has changed; also at the end
    #[arg(long, env = "BERTH_TABLE_EVERY", default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub table_every: Duration,
    /// How long it serves on, not ready any more, once it is told to stop: until a balancer sends nothing more
    #[arg(long, env = "BERTH_STOP_DELAY", default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub stop_delay: Duration,
    /// Tokens the services present to each other, the current one first
    #[arg(long, env = "BERTH_SERVICE_TOKENS", hide_env_values = true, value_name = "TOKENS")]
    pub service_tokens: Option<String>,
    /// File with the services' tokens
    #[arg(long, env = "BERTH_SERVICE_TOKENS_FILE", value_name = "PATH")]
    pub service_tokens_file: Option<PathBuf>,
    /// The platforms' secrets.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How far a signed timestamp may be from now, either way
    #[arg(long, env = "BERTH_SIGNATURE_WINDOW", default_value = "300s", value_parser = duration, value_name = "TIME")]
    pub signature_window: Duration,
    /// Largest body of a webhook; larger ones get 413
    #[arg(long, env = "BERTH_MAX_BODY", default_value_t = 1 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub max_body: usize,
    /// Largest body of a GitHub delivery
    #[arg(long, env = "BERTH_MAX_BODY_GITHUB", default_value_t = 25 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub max_body_github: usize,
    /// Most bytes that the bodies of all requests hold at once, half of them for GitHub's; more get 503
    #[arg(long, env = "BERTH_BODY_MEMORY", default_value_t = 512 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub body_memory: usize,
    /// How long a body may take to arrive
    #[arg(long, env = "BERTH_BODY_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub body_timeout: Duration,
    /// Most requests parked at once while their owner is not to be reached
    #[arg(long, env = "BERTH_PARK", default_value_t = 10_000, value_name = "N", help_heading = "Limits")]
    pub park: usize,
    /// Most bytes of parked requests
    #[arg(long, env = "BERTH_PARK_BYTES", default_value_t = 128 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub park_bytes: usize,
    /// How long a Telegram update is parked before the bot API is told to come back
    #[arg(long, env = "BERTH_PARK_TELEGRAM", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub park_telegram: Duration,
    /// How long a link to a pod may take to open, and be silent before it counts as dead
    #[arg(long, env = "BERTH_LINK_TIMEOUT", default_value = "3s", value_parser = duration, value_name = "TIME")]
    pub link_timeout: Duration,
    /// How long a call to config-service may take; a first contact that waits longer is asked anew
    #[arg(long, env = "BERTH_CALL_TIMEOUT", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub call_timeout: Duration,
    /// How long the watch of config-service may be silent before it counts as dead; more than its bookmarks' interval
    #[arg(long, env = "BERTH_WATCH_SILENCE", default_value = "6s", value_parser = duration, value_name = "TIME")]
    pub watch_silence: Duration,
    /// Largest frame on a link
    #[arg(long, env = "BERTH_MAX_FRAME", default_value_t = 32 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub max_frame: usize,
    /// How long web traffic of a guild (`/g/…`) waits for an owner that is away, before anything was sent to it
    #[arg(long, env = "BERTH_PARK_WEB", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub park_web: Duration,
    /// Believe the `X-Forwarded-…` headers of web traffic: only behind a proxy of yours that sets them
    #[arg(long, env = "BERTH_WEB_TRUST_PROXY")]
    pub web_trust_proxy: bool,
    /// Most web requests and tunnels at once, per pod
    #[arg(long, env = "BERTH_WEB_CONNECTIONS", default_value_t = 1_024, value_name = "N", help_heading = "Limits")]
    pub web_connections: usize,
    /// Most of them for one target; a quarter of --web-connections when it is not set
    #[arg(long, env = "BERTH_WEB_TARGET_CONNECTIONS", value_name = "N", help_heading = "Limits")]
    pub web_target_connections: Option<usize>,
    /// Longest body of a web request; longer ones get 413
    #[arg(long, env = "BERTH_WEB_MAX_BODY", default_value_t = 256 << 20, value_name = "BYTES", help_heading = "Limits")]
    pub web_max_body: u64,
    /// How long nothing may move, either way, in a web request or tunnel before it is cut
    #[arg(long, env = "BERTH_WEB_IDLE", default_value = "60s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub web_idle: Duration,
    /// Slowest that a request's body may arrive, in bytes per second; who waits longer for it than --web-idle in all is
    /// cut. 0 lets it be as slow as it likes
    #[arg(long, env = "BERTH_WEB_MIN_RATE", default_value_t = 512, value_name = "BYTES", help_heading = "Limits")]
    pub web_min_rate: u32,
    /// The bounds of the listener.
    #[command(flatten)]
    pub limits: ServeLimits,
    /// Let senders of webhooks decide which trace their events belong to, and whether it is recorded; otherwise a trace
    /// begins here and only names theirs
    #[arg(long, env = "BERTH_TRACE_TRUST", help_heading = "Traces")]
    pub trace_trust: bool,
    /// The traces.
    #[command(flatten)]
    pub traces: TraceArgs,
    /// The logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The platforms' secrets. A source without one is off (404), never open. Each may hold several values separated by
/// commas, for rotation, and each may come from a file instead.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sources")]
pub struct SourceArgs {
    /// Discord application's public key, hex
    #[arg(long, env = "BERTH_DISCORD_PUBLIC_KEY", value_name = "HEX")]
    pub discord_public_key: Option<String>,
    /// The same from a file
    #[arg(long, env = "BERTH_DISCORD_PUBLIC_KEY_FILE", value_name = "PATH")]
    pub discord_public_key_file: Option<PathBuf>,
    /// Telegram secret tokens, `bot=secret,…`
    #[arg(long, env = "BERTH_TELEGRAM_SECRETS", hide_env_values = true, value_name = "PAIRS")]
    pub telegram_secrets: Option<String>,
    /// The same from a file
    #[arg(long, env = "BERTH_TELEGRAM_SECRETS_FILE", value_name = "PATH")]
    pub telegram_secrets_file: Option<PathBuf>,
    /// Slack signing secret
    #[arg(long, env = "BERTH_SLACK_SIGNING_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub slack_signing_secret: Option<String>,
    /// The same from a file
    #[arg(long, env = "BERTH_SLACK_SIGNING_SECRET_FILE", value_name = "PATH")]
    pub slack_signing_secret_file: Option<PathBuf>,
    /// Standard Webhooks secrets, `source=whsec_…,…`; a public key `whpk_…` for v1a
    #[arg(long, env = "BERTH_STANDARD_SECRETS", hide_env_values = true, value_name = "PAIRS")]
    pub standard_secrets: Option<String>,
    /// The same from a file
    #[arg(long, env = "BERTH_STANDARD_SECRETS_FILE", value_name = "PATH")]
    pub standard_secrets_file: Option<PathBuf>,
    /// Where a Standard Webhooks body names its target, `source=/json/pointer,…`; `/target` by default
    #[arg(long, env = "BERTH_STANDARD_TARGETS", value_name = "PAIRS")]
    pub standard_targets: Option<String>,
    /// GitHub webhook secret
    #[arg(long, env = "BERTH_GITHUB_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub github_secret: Option<String>,
    /// The same from a file
    #[arg(long, env = "BERTH_GITHUB_SECRET_FILE", value_name = "PATH")]
    pub github_secret_file: Option<PathBuf>,
}
