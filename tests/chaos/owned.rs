//! Reads the gateways' own ownership logs side by side, in the order of the machine's one clock, and lets the invariants'
//! code judge them (OWNERSHIP.md, I1 and I5): nobody acts for a target under an epoch once somebody has acted under a later
//! one, and each owner goes on in the target's journal where the last one ended. A log whose process had its clock turned is turned back first.

use crate::preload::{Piece, real};
use serde::Deserialize;
use shared::{
    Epoch, Mono, PodId, TargetId,
    protocol::invariants::{Bounds, Checker, What},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Lines},
    path::Path,
};

/// A line of an ownership log, as far as it is needed.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    at_ns: u64,
    pod: PodId,
    target: TargetId,
    epoch: Epoch,
    what: String,
    /// The first and the last place in the target's journal.
    seqs: Option<(u64, u64)>,
}

/// One log, line by line, its next line looked at already.
struct Log {
    lines: Lines<BufReader<File>>,
    clocks: Vec<Piece>,
    next: Option<(u64, Line)>,
}

impl Log {
    fn open(path: &Path, clocks: &[Piece]) -> anyhow::Result<Self> {
        let mut log = Self { lines: BufReader::new(File::open(path)?).lines(), clocks: clocks.to_vec(), next: None };
        log.step()?;
        Ok(log)
    }

    fn step(&mut self) -> anyhow::Result<Option<(u64, Line)>> {
        let next = loop {
            let Some(text) = self.lines.next().transpose()? else { break None };
            // The last line before a kill may be cut off, and others may be of kinds that matter to nobody here.
            if let Ok(line) = serde_json::from_str::<Line>(&text) {
                break Some((real(&self.clocks, line.at_ns), line));
            }
        };
        Ok(std::mem::replace(&mut self.next, next))
    }
}

/// What the logs say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    /// How many lines were judged.
    pub(crate) lines: u64,
    /// What is wrong: a sentence each.
    pub(crate) broken: Vec<String>,
    /// How many targets had more than one owner, one after the other.
    pub(crate) changed_hands: usize,
}

/// How far a target's journal is, as its owners say.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    epoch: Epoch,
    written: u64,
    acknowledged: u64,
}

impl Place {
    /// Takes in what an owner wrote; returns the place that it ought to have gone on behind, when it did not. A new owner may
    /// have it from a replica: then it goes on behind what was acknowledged at least.
    fn write(&mut self, epoch: Epoch, (first, last): (u64, u64), replicated: bool) -> Option<u64> {
        let is_new = epoch > std::mem::replace(&mut self.epoch, epoch);
        let before = if replicated && is_new { self.acknowledged } else { self.written };
        self.written = last;
        (first <= before).then_some(before)
    }
}

/// Judges the logs that are there, each with the history of its process's clocks. `replicated`: what was acknowledged is in
/// replicas, and a new owner may begin with one.
pub(crate) fn judge<'a>(
    logs: impl Iterator<Item = (&'a Path, &'a [Piece])>,
    replicated: bool,
) -> anyhow::Result<Owned> {
    let mut open = Vec::new();
    for (path, clocks) in logs.filter(|(path, _)| path.exists()) {
        open.push(Log::open(path, clocks)?);
    }
    let (mut checker, mut found, mut now) = (Checker::new(Bounds::default()), Owned::default(), 0);
    let mut epochs: BTreeMap<TargetId, Epoch> = BTreeMap::new();
    let mut places: BTreeMap<TargetId, Place> = BTreeMap::new();
    loop {
        let earliest = open.iter_mut().filter(|log| log.next.is_some());
        let Some(log) = earliest.min_by_key(|log| log.next.as_ref().map(|(at, _)| *at)) else { break };
        let Some((at, line)) = log.step()? else { break };
        // A log may be a little out of order in itself: its lines come from several threads.
        now = at.max(now);
        let Line { pod, target, epoch, what, seqs, .. } = line;
        let place = places.entry(target.clone()).or_default();
        match (what.as_str(), seqs) {
            ("apply", Some((first, last))) => {
                if let Some(before) = place.write(epoch, (first, last), replicated) {
                    let said =
                        format!("{pod} wrote place {first} of {target}'s journal, which was at {before} already");
                    found.broken.push(said);
                }
            }
            ("ack", Some((_, last))) => place.acknowledged = place.acknowledged.max(last),
            _ => {}
        }
        let before = epochs.insert(target.clone(), epoch);
        found.changed_hands += usize::from(before.is_some_and(|before| before < epoch));
        let what = match what.as_str() {
            "acquire" => What::Acquired { pod, target, epoch },
            "release" => What::Released { pod, target },
            _ => What::Effect { pod, target, epoch },
        };
        found.lines += 1;
        let violations = checker.handle(Mono::from_nanos(now), &what);
        found.broken.extend(violations.iter().map(ToString::to_string));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fmt::Write, path::PathBuf};

    fn log(folder: &Path, pod: &str, acts: &[(u64, u64, &str)]) -> PathBuf {
        let path = folder.join(pod);
        let mut text = String::new();
        for (at_ns, epoch, what) in acts {
            let target = "webhook:key:shop.k1";
            writeln!(
                text,
                r#"{{"at_ns":{at_ns},"pod":"{pod}","target":"{target}","epoch":{epoch},"what":"{what}","extra":1}}"#
            )
            .expect("a string takes text");
        }
        std::fs::write(&path, text + "{\"at_ns\":12").expect("a file");
        path
    }

    fn judged(first: &[(u64, u64, &str)], second: &[(u64, u64, &str)]) -> Owned {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = [log(folder.path(), "gateway-0", first), log(folder.path(), "gateway-1", second)];
        judge(paths.iter().map(|path| (path.as_path(), [].as_slice())), false).expect("readable logs")
    }

    #[test]
    fn an_heir_goes_on_behind_what_was_acknowledged() {
        let mut place = Place { epoch: Epoch(1), written: 9, acknowledged: 7 };
        assert_eq!(place.write(Epoch(2), (8, 8), true), None, "two were never acknowledged");
        assert_eq!(place.write(Epoch(2), (8, 8), true), Some(8), "an owner goes on behind itself");
        let mut place = Place { epoch: Epoch(1), written: 9, acknowledged: 7 };
        assert_eq!(place.write(Epoch(2), (7, 7), true), Some(7), "that one was");
        let mut place = Place { epoch: Epoch(1), written: 9, acknowledged: 7 };
        assert_eq!(place.write(Epoch(2), (8, 8), false), Some(9), "there are no replicas");
    }

    #[test]
    fn one_owner_after_the_other_is_as_it_should_be() {
        let found =
            judged(&[(1, 1, "acquire"), (5, 1, "apply"), (6, 1, "ack")], &[(9, 2, "acquire"), (12, 2, "apply")]);
        assert_eq!((found.lines, found.changed_hands, found.broken.len()), (5, 1, 0), "{found:?}");
    }

    #[test]
    fn an_owner_that_acts_on_after_the_next_one_began_is_found() {
        let found = judged(&[(1, 1, "apply"), (11, 1, "ack")], &[(9, 2, "acquire"), (10, 2, "apply")]);
        assert_eq!(found.broken.len(), 1, "{found:?}");
    }

    #[test]
    fn an_owner_that_writes_a_place_again_is_found() {
        let found = judged(&[(1, 1, r#"apply","seqs":[4,5],"x":""#)], &[(2, 2, r#"apply","seqs":[5,5],"x":""#)]);
        assert_eq!(found.broken.len(), 1, "{found:?}");
        let found = judged(&[(1, 1, r#"apply","seqs":[4,5],"x":""#)], &[(2, 2, r#"apply","seqs":[6,6],"x":""#)]);
        assert_eq!(found.broken.len(), 0, "{found:?}");
    }

    #[test]
    fn two_owners_under_one_epoch_are_found() {
        let found = judged(&[(1, 1, "acquire"), (2, 1, "apply")], &[(3, 1, "apply")]);
        assert_eq!(found.broken.len(), 1, "{found:?}");
    }
}
