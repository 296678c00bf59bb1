//! Which ports the cluster listens on. All are looked at before anything is started, so that a taken one is an error
//! that names it and the flag to change it.

use crate::exit::{Code, Failure};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

/// Where any free port is looked for: below the range from which systems take the ports of outgoing connections, so that a
/// role that is started, or started again, finds its own still free.
const ANY: Range<u16> = 10_240..32_000;

/// How many of these are tried before the system is asked for one.
const TRIES: u32 = 100;

/// The flags that choose ports. Unset means the default; 0 means any free port.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[command(next_help_heading = "Ports")]
pub(crate) struct PortArgs {
    /// Port of http-service [default: 3000]; 0 for any free one
    #[arg(long, env = "BERTH_UP_HTTP_PORT", value_name = "PORT")]
    http_port: Option<u16>,
    /// Port of config-service [default: 3001]; 0 for any free one
    #[arg(long, env = "BERTH_UP_CONFIG_PORT", value_name = "PORT")]
    config_port: Option<u16>,
    /// Port of the first gateway [default: 3010], the others follow; 0 for any free ones
    #[arg(long, env = "BERTH_UP_GATEWAY_PORT_BASE", value_name = "PORT")]
    gateway_port_base: Option<u16>,
}

/// The ports of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ports {
    /// http-service.
    pub(super) http: u16,
    /// config-service.
    pub(super) config: u16,
    /// The gateways, in order.
    pub(super) gateways: Vec<u16>,
}

/// One port that is wanted: for whom, and which flag says so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    port: u16,
    who: String,
    flag: &'static str,
    /// The user named it, so nothing else will do.
    named: bool,
}

impl PortArgs {
    /// Chooses the ports and checks that they are free on loopback. With `yielding`, a taken default gives way to any
    /// free port; a port the user named never does.
    ///
    /// # Errors
    /// When one is taken, out of range or wanted twice: names the port, who wants it and the flag.
    pub(super) fn choose(&self, pods: u16, yielding: bool) -> Result<Ports, Failure> {
        let wishes = self.wishes(pods)?;
        // All stay bound until all are chosen, so that no free port is handed out twice.
        let mut bound = Vec::with_capacity(wishes.len());
        for wish in &wishes {
            bound.push(bind(wish, yielding)?);
        }
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port()).map_err(Failure::error);
        let mut chosen = bound.iter().map(port).collect::<Result<Vec<_>, _>>()?.into_iter();
        let mut next = || chosen.next().unwrap_or_default();
        Ok(Ports { http: next(), config: next(), gateways: (0..pods).map(|_| next()).collect() })
    }

    /// Chooses the port of one gateway more, while the others run.
    ///
    /// # Errors
    /// When it is taken or out of range.
    pub(super) fn another(&self, number: u16, yielding: bool) -> Result<u16, Failure> {
        let wish = self.wishes(number + 1)?.pop().ok_or_else(|| Failure::error("there is no such gateway"))?;
        bind(&wish, yielding)?.local_addr().map(|address| address.port()).map_err(Failure::error)
    }

    fn wishes(&self, pods: u16) -> Result<Vec<Wish>, Failure> {
        let wish = |said: Option<u16>, default: u16, who: &str, flag| Wish {
            port: said.unwrap_or(default),
            who: who.to_owned(),
            flag,
            named: said.is_some(),
        };
        let mut wishes = vec![
            wish(self.http_port, 3000, "http-service", "--http-port"),
            wish(self.config_port, 3001, "config-service", "--config-port"),
        ];
        let base = wish(self.gateway_port_base, 3010, "", "--gateway-port-base");
        for n in 0..pods {
            let port = if base.port == 0 { Some(0) } else { base.port.checked_add(n) };
            let port = port.ok_or_else(|| {
                Failure::new(
                    Code::Usage,
                    format!("{pods} gateways do not fit behind port {}; choose a lower --gateway-port-base", base.port),
                )
            })?;
            wishes.push(Wish { port, who: format!("gateway-{n}"), ..base.clone() });
        }
        for (n, wish) in wishes.iter().enumerate().filter(|(_, wish)| wish.port != 0) {
            if let Some(other) = wishes[..n].iter().find(|other| other.port == wish.port) {
                let text = format!(
                    "port {} is wanted by {} and {}; change {} or {}",
                    wish.port, other.who, wish.who, other.flag, wish.flag
                );
                return Err(Failure::new(Code::Usage, text));
            }
        }
        Ok(wishes)
    }
}

/// Binds the port of something beside the cluster: `said`, or else `default`.
///
/// # Errors
/// When it is taken.
pub(super) fn one(
    said: Option<u16>,
    default: u16,
    who: &str,
    flag: &'static str,
    yielding: bool,
) -> Result<TcpListener, Failure> {
    bind(&Wish { port: said.unwrap_or(default), who: who.to_owned(), flag, named: said.is_some() }, yielding)
}

/// Binds any free port.
fn any() -> io::Result<TcpListener> {
    let (random, span) = (RandomState::new(), u64::from(ANY.end - ANY.start));
    let candidates = (0..TRIES).map(|n| ANY.start + (random.hash_one(n) % span) as u16);
    let free = candidates.into_iter().find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    free.map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)
}

fn bind(wish: &Wish, yielding: bool) -> Result<TcpListener, Failure> {
    let bound = if wish.port == 0 { any() } else { TcpListener::bind((Ipv4Addr::LOCALHOST, wish.port)) };
    match bound {
        Ok(listener) => Ok(listener),
        Err(why) if why.kind() == io::ErrorKind::AddrInUse && yielding && !wish.named => any().map_err(Failure::error),
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => {
            let Wish { port, who, flag, .. } = wish;
            Err(Failure::new(
                Code::Conflict,
                format!("port {port} for {who} is taken; free it or choose another with {flag}"),
            ))
        }
        Err(why) => {
            let Wish { port, who, flag, .. } = wish;
            Err(Failure::error(format!("cannot listen on port {port} for {who}: {why}; choose another with {flag}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_flag() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let args = PortArgs { http_port: Some(port), config_port: Some(0), gateway_port_base: Some(0) };
        for yielding in [false, true] {
            let failure = args.choose(3, yielding).expect_err("taken");
            assert_eq!(failure.code, Code::Conflict);
            let text = failure.to_string();
            assert!(text.contains(&port.to_string()) && text.contains("--http-port"), "{text}");
        }
    }

    #[test]
    fn a_taken_default_gives_way_where_it_may() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let wish = Wish { port, who: "http-service".into(), flag: "--http-port", named: false };
        assert_ne!(bind(&wish, true).expect("another").local_addr().expect("bound").port(), port);
        assert!(bind(&wish, false).is_err());
    }

    #[test]
    fn free_ports_are_all_different() {
        let args = PortArgs { http_port: Some(0), config_port: Some(0), gateway_port_base: Some(0) };
        let ports = args.choose(5, false).expect("free ones");
        let mut all = ports.gateways.clone();
        all.extend([ports.http, ports.config]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 7);
        assert!(all.iter().all(|port| ANY.contains(port)), "no outgoing connection takes one of them: {all:?}");
    }

    #[test]
    fn a_port_wanted_twice_is_refused() {
        let args = PortArgs { http_port: Some(3011), ..PortArgs::default() };
        let text = args.wishes(3).expect_err("gateway-1 wants it too").to_string();
        assert!(text.contains("3011") && text.contains("gateway-1") && text.contains("--http-port"), "{text}");
        assert!(PortArgs { gateway_port_base: Some(65_534), ..PortArgs::default() }.wishes(3).is_err());
    }
}
