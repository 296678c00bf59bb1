//! Ports for roles that are told theirs and bind them later, and again after a kill. Stories run side by side: a port belongs to
//! the one test process that was given it, also while nobody listens there.

use std::{
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Below the range from which the kernel takes the ports of outgoing connections: a role that is started again in place
/// finds its port free.
const PORTS: Range<u16> = 10_240..32_000;

/// So many ports in a row belong to one test process, which listens on the first of them for as long as it runs.
const BLOCK: u16 = 64;

/// What this process has.
static OWN: Mutex<Own> = Mutex::new(Own { held: Vec::new(), left: 0..0 });

struct Own {
    /// The first port of each block that is its own.
    held: Vec<TcpListener>,
    /// What is left of the newest block.
    left: Range<u16>,
}

impl Own {
    /// Takes a block that no other process has.
    fn take(&mut self) {
        let (random, blocks) = (RandomState::new(), u64::from((PORTS.end - PORTS.start) / BLOCK));
        let candidates = (0..10_000_u32).map(|i| PORTS.start + BLOCK * (random.hash_one(i) % blocks) as u16);
        let bound = candidates.into_iter().find_map(|first| Some((first, bind(first)?)));
        let (first, listener) = bound.expect("a machine has free ports");
        self.held.push(listener);
        self.left = first + 1..first + BLOCK;
    }
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).ok()
}

/// Returns a port that is free, and that nobody else is given.
///
/// # Panics
/// When none is found.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// Returns the first of `n` ports in a row that are free, and that nobody else is given.
///
/// # Panics
/// When there are none.
pub fn free_ports(n: u16) -> u16 {
    assert!(n < BLOCK, "{n} ports in a row are more than there are in a block");
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if own.left.len() < usize::from(n) {
            own.take();
        }
        let first = own.left.start;
        // A program that is none of ours may listen on one of them.
        match (first..first + n).rev().find(|port| bind(*port).is_none()) {
            Some(taken) => own.left.start = taken + 1,
            None => {
                own.left.start = first + n;
                return first;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_and_rows_do_not_overlap() {
        let mut given = Vec::new();
        for _ in 0..40 {
            given.push(free_port());
            given.extend((0..7).map({
                let first = free_ports(7);
                move |n| first + n
            }));
        }
        assert!(given.iter().all(|port| PORTS.contains(port)), "{given:?}");
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), count, "each once");
    }

    #[test]
    fn what_somebody_listens_on_is_passed_over_and_another_process_finds_the_block_taken() {
        let first = free_port();
        let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let block = first - (first - PORTS.start) % BLOCK;
        assert!(bind(block).is_none(), "the block of {first} is held");
        drop(own);
        let row = free_ports(3);
        let _somebody = bind(row + 4);
        let next = free_ports(3);
        assert!(!(next..next + 3).contains(&(row + 4)), "{next} begins a row over {}", row + 4);
    }
}
