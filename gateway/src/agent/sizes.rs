//! What targets of this pod keep: bytes stored, and open connections. Looked at a few targets at a time, in turn, so that no
//! reader waits for it; told when it has changed by much. Whoever keeps little is not told of. Decides nothing about moving.

use crate::{Engine, web::Web};
use shared::shutdown::Shutdown;
use shared::wire::control::{MAX_WEIGHTS, TargetSize};
use shared::{TargetId, wire::control::Measured};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often some targets are looked at.
const EVERY: Duration = Duration::from_secs(10);
/// How many.
const AT_ONCE: usize = 64;
/// From how many bytes on a target is told of.
const WORTH: u64 = 65_536;
/// Most targets of which it is remembered what was told.
const REMEMBERED: usize = 100_000;

/// What is to be told. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    engine: Engine,
    book: Arc<Mutex<Book>>,
}

/// What was told, and what is new.
#[derive(Debug, Default)]
struct Book {
    told: HashMap<TargetId, (u64, u64)>,
    news: HashMap<TargetId, (u64, u64)>,
}

impl Sizes {
    /// Starts to look.
    pub(super) fn start(engine: Engine, web: Web, stop: Shutdown) -> Self {
        let sizes = Self { engine, book: Arc::default() };
        let looking = sizes.clone();
        shared::shutdown::spawn(async move {
            let look = async {
                let mut after = None;
                loop {
                    tokio::time::sleep(EVERY).await;
                    after = looking.look(&web, after).await;
                }
            };
            stop.run_until_cancelled(look).await
        });
        sizes
    }

    /// Looks at the next targets; returns the last of them, none when all were looked at.
    async fn look(&self, web: &Web, after: Option<TargetId>) -> Option<TargetId> {
        let stored = match self.engine.stored(after, AT_ONCE).await {
            Ok(stored) => stored,
            Err(why) => {
                tracing::debug!(error = %why, "cannot read what targets store");
                return None;
            }
        };
        let last = stored.last().filter(|_| stored.len() == AT_ONCE).map(|(target, _)| target.clone());
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        stored.into_iter().for_each(|(target, bytes)| book.stores(target, bytes));
        book.holds_open(&web.of_targets());
        last
    }

    /// Returns what a heartbeat tells of targets, beside what the busiest do.
    pub(super) fn tell(&self) -> Measured {
        let sizes = self.book.lock().unwrap_or_else(PoisonError::into_inner).tell();
        Measured { windows: Some(self.engine.windows()), sizes }
    }
}

impl Book {
    /// A target stores so many bytes.
    fn stores(&mut self, target: TargetId, bytes: u64) {
        let (_, sockets) = self.known(&target);
        self.note(target, (bytes, sockets));
    }

    /// So many connections are open; of whom nothing is said here, none are.
    fn holds_open(&mut self, open: &HashMap<TargetId, u64>) {
        let closed = self.told.iter().filter(|(target, (_, sockets))| *sockets > 0 && !open.contains_key(*target));
        let closed: Vec<_> = closed.map(|(target, _)| (target.clone(), 0)).collect();
        let open = open.iter().map(|(target, sockets)| (target.clone(), *sockets));
        for (target, sockets) in open.chain(closed) {
            let (bytes, _) = self.known(&target);
            self.note(target, (bytes, sockets));
        }
    }

    fn known(&self, target: &TargetId) -> (u64, u64) {
        self.news.get(target).or_else(|| self.told.get(target)).copied().unwrap_or_default()
    }

    fn note(&mut self, target: TargetId, now: (u64, u64)) {
        let before = self.told.get(&target).copied();
        let room = self.told.len() + self.news.len() < REMEMBERED;
        if is_news(before.unwrap_or_default(), now) && (before.is_some() || room) {
            self.news.insert(target, now);
        } else {
            self.news.remove(&target);
        }
    }

    /// Takes out what a heartbeat has room for.
    fn tell(&mut self) -> Vec<TargetSize> {
        let targets: Vec<_> = self.news.keys().take(MAX_WEIGHTS).cloned().collect();
        let mut sizes = Vec::with_capacity(targets.len());
        for target in targets {
            let Some((bytes, sockets)) = self.news.remove(&target) else { continue };
            if (bytes, sockets) == (0, 0) {
                self.told.remove(&target);
            } else {
                self.told.insert(target.clone(), (bytes, sockets));
            }
            sizes.push(TargetSize { target, bytes, sockets });
        }
        sizes
    }
}

/// Whether something is worth telling after what was told: a quarter more or less, and not when it is little anyway.
fn is_news((bytes, sockets): (u64, u64), now: (u64, u64)) -> bool {
    let differs = |before: u64, now: u64| before.abs_diff(now) > before.max(now) / 4;
    (bytes.max(now.0) >= WORTH && differs(bytes, now.0)) || differs(sockets, now.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: u64) -> TargetId {
        format!("discord:guild:{n}").parse().expect("valid")
    }

    fn told(book: &mut Book) -> Vec<(TargetId, u64, u64)> {
        let mut told: Vec<_> = book.tell().into_iter().map(|of| (of.target, of.bytes, of.sockets)).collect();
        told.sort();
        told
    }

    #[test]
    fn what_is_large_is_told_once_and_again_when_it_has_changed_by_much() {
        let mut book = Book::default();
        book.stores(target(1), WORTH - 1);
        book.stores(target(2), 4 * WORTH);
        assert_eq!(told(&mut book), [(target(2), 4 * WORTH, 0)]);
        book.stores(target(2), 5 * WORTH);
        assert_eq!(told(&mut book), []);
        book.stores(target(2), 6 * WORTH);
        assert_eq!(told(&mut book), [(target(2), 6 * WORTH, 0)]);
        book.stores(target(2), 0);
        assert_eq!(told(&mut book), [(target(2), 0, 0)]);
        assert!(book.told.is_empty());
    }

    #[test]
    fn connections_are_told_while_they_are_open_and_once_more() {
        let mut book = Book::default();
        book.stores(target(1), 2 * WORTH);
        book.holds_open(&HashMap::from([(target(1), 8), (target(2), 1)]));
        assert_eq!(told(&mut book), [(target(1), 2 * WORTH, 8), (target(2), 0, 1)]);
        book.holds_open(&HashMap::from([(target(1), 9)]));
        assert_eq!(told(&mut book), [(target(2), 0, 0)]);
        book.holds_open(&HashMap::new());
        assert_eq!(told(&mut book), [(target(1), 2 * WORTH, 0)]);
    }

    #[test]
    fn no_more_is_told_than_a_heartbeat_holds() {
        let mut book = Book::default();
        (0..1_000).for_each(|n| book.stores(target(n), WORTH));
        let counts: Vec<_> = (0..5).map(|_| book.tell().len()).collect();
        assert_eq!(counts, [256, 256, 256, 232, 0]);
    }
}
