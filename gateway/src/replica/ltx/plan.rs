//! Which files make the newest state: the same that Litestream's `CalcRestorePlan` takes. Pure.
//!
//! ```text
//! level 9   [1 ──────────── 40]                                the newest whole copy
//! level 2             [31 ────────── 55]                       then always the file that goes furthest
//! level 1                         [51 ──── 60]                 of those that leave no transaction out,
//! level 0                                [59][60][61][62]      until none goes further
//! ```

use super::LtxError;
use crate::replica::store::{LtxFile, SNAPSHOTS};
use std::cmp::Reverse;

/// Returns the files to apply, oldest first. Together they have all transactions from the first to the last that there is.
///
/// # Errors
/// When there is none, or a transaction is in none of them.
pub(super) fn plan(files: Vec<LtxFile>) -> Result<Vec<LtxFile>, LtxError> {
    let (copies, mut changes): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.level == SNAPSHOTS);
    let copy = copies.into_iter().max_by_key(|file| (file.first, file.last));
    changes.sort_by_key(|file| (file.first, file.last, file.level));
    let mut plan: Vec<LtxFile> = copy.into_iter().collect();
    let mut changes = changes.into_iter().peekable();
    let mut best: Option<LtxFile> = None;
    loop {
        let reached = plan.last().map_or(0, |file| file.last);
        while let Some(file) = changes.next_if(|file| file.first <= reached.saturating_add(1)) {
            if best.as_ref().is_none_or(|best| further(&file) > further(best)) {
                best = Some(file);
            }
        }
        match best.take() {
            Some(file) if file.last > reached => plan.push(file),
            _ => break,
        }
    }
    let (Some(first), Some(last)) = (plan.first(), plan.last()) else {
        return Err(if changes.peek().is_some() { LtxError::Hole(1) } else { LtxError::Empty });
    };
    if first.first != 1 {
        return Err(LtxError::Hole(1));
    }
    if changes.peek().is_some() {
        return Err(LtxError::Hole(last.last.saturating_add(1)));
    }
    Ok(plan)
}

/// What makes one file better than another.
const fn further(file: &LtxFile) -> (u64, Reverse<u64>, u8) {
    (file.last, Reverse(file.first), file.level)
}

#[cfg(test)]
mod tests;
