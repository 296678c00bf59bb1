//! The network the cluster runs in: a namespace per node, all on one bridge, and the ways to cut it. The harness itself
//! stands outside, on the bridge's own address. Knows nothing of what runs in the nodes.
//!
//! A cut is silent, as a broken cable is: the sender's neighbour table is told that the other node has a hardware address
//! that nobody has. No packet filter is needed for it, and one direction can be cut alone.

use crate::command::{run, try_run};
use std::net::Ipv4Addr;

/// What the names of all namespaces begin with.
const PREFIX: &str = "bchaos-";
const BRIDGE: &str = "bchaos";
/// A hardware address that nobody has.
const NOBODY: &str = "02:de:ad:00:00:01";

/// A node of the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    name: String,
    number: u8,
}

impl Place {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, 0, self.number)
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Begins a command line that runs inside.
    pub(crate) fn inside<'a>(&self, namespace: &'a str) -> [&'a str; 4] {
        ["ip", "netns", "exec", namespace]
    }
}

/// The network. It goes with the value.
#[derive(Debug)]
pub(crate) struct Net {
    places: Vec<Place>,
}

impl Net {
    /// The address of the harness, as the nodes see it.
    pub(crate) const OUTSIDE: &'static str = "10.213.0.1";

    /// Makes the bridge; removes what an earlier run left behind.
    pub(crate) fn new() -> anyhow::Result<Self> {
        sweep();
        run(&["ip", "link", "add", BRIDGE, "type", "bridge"])?;
        run(&["ip", "addr", "add", &format!("{}/24", Self::OUTSIDE), "dev", BRIDGE])?;
        run(&["ip", "link", "set", BRIDGE, "up"])?;
        Ok(Self { places: Vec::new() })
    }

    /// Adds a node.
    pub(crate) fn add(&mut self, name: &str) -> anyhow::Result<Place> {
        let number = u8::try_from(self.places.len() + 10)?;
        let place = Place { name: name.to_owned(), number };
        let (namespace, cable) = (place.namespace(), format!("bch{number}"));
        run(&["ip", "netns", "add", &namespace])?;
        run(&["ip", "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
        run(&["ip", "link", "set", &cable, "master", BRIDGE, "up"])?;
        let address = format!("{}/24", place.address());
        run(&["ip", "-n", &namespace, "addr", "add", &address, "dev", "eth0"])?;
        run(&["ip", "-n", &namespace, "link", "set", "eth0", "up"])?;
        run(&["ip", "-n", &namespace, "link", "set", "lo", "up"])?;
        self.places.push(place.clone());
        Ok(place)
    }

    /// Lets nothing through from one node to another any more.
    pub(crate) fn cut(&self, from: &Place, to: &Place) {
        let (namespace, address) = (from.namespace(), to.address().to_string());
        let entry = ["neigh", "replace", &address, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
        try_run(&[["ip", "-n", &namespace].as_slice(), &entry].concat());
    }

    /// Lets it through again.
    pub(crate) fn mend(&self, from: &Place, to: &Place) {
        let (namespace, address) = (from.namespace(), to.address().to_string());
        try_run(&["ip", "-n", &namespace, "neigh", "del", &address, "dev", "eth0"]);
    }

    /// Breaks all of a node's connections to others, as a firewall that has lost its memory does.
    pub(crate) fn reset(&self, place: &Place) {
        let namespace = place.namespace();
        let others = ["ss", "-K", "-H", "-t", "dst", "10.213.0.0/24"];
        try_run(&[place.inside(&namespace).as_slice(), &others].concat());
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        sweep();
    }
}

/// Removes all that any run has made: processes in its namespaces, the namespaces, the bridge.
pub(crate) fn sweep() {
    let listed = run(&["ip", "netns", "list"]).unwrap_or_default();
    let ours = listed.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| name.starts_with(PREFIX));
    for namespace in ours {
        let inside = run(&["ip", "netns", "pids", namespace]).unwrap_or_default();
        for id in inside.split_whitespace() {
            try_run(&["kill", "-9", id]);
        }
        try_run(&["ip", "netns", "del", namespace]);
    }
    try_run(&["ip", "link", "del", BRIDGE]);
}
