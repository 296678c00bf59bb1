//! What passing somebody's HTTP on has in common, at both hops of a guild's web traffic (router to pod, pod to the bot's
//! application): which URLs are passed on, what is taken off the headers, bodies that flow within bounds, tunnels. Decides
//! nothing about who owns what.

mod body;
mod exchange;
mod headers;
mod hop;
mod path;
mod places;
mod sender;
mod tunnel;

pub use body::{Broken, Flow, Watched, quiet};
pub use exchange::{Exchange, FlowBounds, Passed};
pub use headers::{EPOCH, OWNER, REFUSED, SERVICE_TOKEN, TARGET, clean, upgrade_asked};
pub use path::{PathError, WebPath};
pub use places::{TargetPlace, TargetPlaces};
pub use sender::{Sender, SenderBounds, Unanswered};
pub use tunnel::{Tunnel, TunnelEnd};

/// What a guild's web traffic is called in traces. Its paths are the application's, and may hold secrets.
pub const WEB_ROUTE: &str = "/g/{target}/{*rest}";

#[cfg(test)]
mod tests;
