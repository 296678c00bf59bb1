//! Flags about the bot's handler: where it is when it is another program, how long it may take, how much it may say.

use clap::Args;
use shared::settings::duration;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Flags about the handler.
#[derive(Debug, Clone, Args)]
pub struct HandlerArgs {
    /// The bot's handler, an HTTP server in any language, for example http://127.0.0.1:8080; instead of this program's own
    #[arg(long, env = "BERTH_HANDLER", value_name = "URL")]
    pub handler: Option<String>,
    /// Token that the handler is shown as Authorization: Bearer
    #[arg(long, env = "BERTH_HANDLER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub handler_token: Option<String>,
    /// File with the handler's token
    #[arg(long, env = "BERTH_HANDLER_TOKEN_FILE", value_name = "PATH")]
    pub handler_token_file: Option<PathBuf>,
    /// How long a call of an HTTP or asynchronous handler may take for events whose platform waits 3 s
    #[arg(long, env = "BERTH_HANDLER_TIMEOUT_FAST", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub handler_timeout_fast: Duration,
    /// How long such a call may take for all other events
    #[arg(long, env = "BERTH_HANDLER_TIMEOUT_SLOW", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub handler_timeout_slow: Duration,
    /// How often an HTTP handler is asked what it is; so long may it be gone unnoticed
    #[arg(long, env = "BERTH_HANDLER_PROBE", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub handler_probe: Duration,
    /// Address on which an HTTP handler may read its target while it works; loopback
    #[arg(long, env = "BERTH_LOCAL_LISTEN", default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub local_listen: SocketAddr,
    /// Most calls of an HTTP or asynchronous handler at once
    #[arg(long, env = "BERTH_HANDLER_CONCURRENCY", default_value_t = 64, value_name = "N", help_heading = "Limits")]
    pub handler_concurrency: usize,
    /// Most reads of such calls at once; one call has four of them
    #[arg(long, env = "BERTH_HANDLER_READS", default_value_t = 32, value_name = "N", help_heading = "Limits")]
    pub handler_reads: usize,
    /// Largest answer of an HTTP handler; a larger one is a failure
    #[arg(
        long,
        env = "BERTH_HANDLER_MAX_ANSWER",
        default_value_t = 1 << 20,
        value_name = "BYTES",
        help_heading = "Limits"
    )]
    pub handler_max_answer: usize,
    /// Most bytes of keys and values sent along with a call; a target that has more of what is asked for fails the event
    #[arg(
        long,
        env = "BERTH_HANDLER_MAX_STATE",
        default_value_t = 1 << 20,
        value_name = "BYTES",
        help_heading = "Limits"
    )]
    pub handler_max_state: usize,
}
