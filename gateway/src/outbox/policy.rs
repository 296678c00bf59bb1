//! Where calls may go: an allow-list of hosts, https, and no address inside somebody's network. Pure.

use reqwest::Url;
use shared::{event::OutboxCall, settings};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that say which host is meant, where the body ends and which call it is: not the handler's to set.
const OURS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "idempotency-key",
];

/// Why a call may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the URL of the call is not an absolute http(s) URL without user name")]
    Url,
    #[error("the method of the call is none of GET, HEAD, POST, PUT, PATCH, DELETE")]
    Method,
    #[error("the call sets the header {0}, which Berth sets itself")]
    Header(String),
    #[error("calls go over https; --outbox-private (BERTH_OUTBOX_PRIVATE) allows http")]
    Plain,
    #[error("{0} is not a host that calls may reach; add it to --outbox-hosts (BERTH_OUTBOX_HOSTS)")]
    Host(String),
    #[error("the host has a private address; --outbox-private (BERTH_OUTBOX_PRIVATE) allows that")]
    Address,
}

/// A host with its port: the unit in which calls keep their order.
pub(crate) type Host = String;

/// What the settings allow.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    hosts: Vec<Host>,
    private: bool,
}

impl Allowed {
    /// Makes the list from the settings. The API that late replies go to is always on it.
    pub(crate) fn new(hosts: &str, discord_api: &str, private: bool) -> Self {
        let mut hosts: Vec<Host> = settings::list(hosts).map(with_port).collect();
        hosts.extend(Url::parse(discord_api).ok().as_ref().and_then(host_of));
        Self { hosts, private }
    }

    /// Checks a call and returns its URL.
    pub(crate) fn check_call(&self, call: &OutboxCall) -> Result<Url, Refused> {
        if !METHODS.iter().any(|method| call.method.eq_ignore_ascii_case(method)) {
            return Err(Refused::Method);
        }
        if let Some((name, _)) =
            call.headers.iter().find(|(name, _)| OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)))
        {
            return Err(Refused::Header(name.clone()));
        }
        let url = Url::parse(&call.url).map_err(|_| Refused::Url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Url);
        }
        match url.scheme() {
            "https" => {}
            "http" if self.private => {}
            "http" => return Err(Refused::Plain),
            _ => return Err(Refused::Url),
        }
        let host = host_of(&url).ok_or(Refused::Url)?;
        if !self.hosts.contains(&host) {
            return Err(Refused::Host(host));
        }
        // An address written out never meets the resolver.
        let bare = url.host_str().map(|host| host.trim_matches(['[', ']'])).unwrap_or_default();
        if let Ok(address) = bare.parse() {
            self.check_address(address)?;
        }
        Ok(url)
    }

    /// Checks an address that a host's name resolved to.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), Refused> {
        if self.private || is_public(address) { Ok(()) } else { Err(Refused::Address) }
    }
}

/// Returns the host of a URL with its port, as the allow-list writes it.
pub(crate) fn host_of(url: &Url) -> Option<Host> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn with_port(host: &str) -> Host {
    let host = host.to_ascii_lowercase();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok() && !host.ends_with(']'));
    if has_port { host } else { format!("{host}:443") }
}

/// Returns whether an address belongs to the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // Mapped, compatible, translated and tunnelled addresses lead to the IPv4 address inside them.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        // Only 2000::/3 is global unicast; of that, not the documentation's and the tunnels' part.
        [first, second, ..] => (first & 0xe000) == 0x2000 && !(first == 0x2001 && (second == 0xdb8 || second < 0x200)),
    }
}

#[cfg(test)]
mod tests;
