//! Which lineages may go, and in words why a lineage stays. Pure: what the store says of a pod's lineages, what config-service
//! says of its targets and what the clocks say come in. Whatever is not known keeps a lineage.
//!
//! A lineage goes only when all of these hold:
//! - it is no pod's current one, nor one that a boot which is not finished may go back to;
//! - no target waits for its data, none that was restored from it is without a replica elsewhere, and this pod owes nobody the
//!   end of a journal;
//! - its last file is older than the retention, by the store's own clock;
//! - a later lineage of the pod was restored and found good; or the pod has no targets any more, and this is not the last of
//!   its lineages that can be relied on.

use crate::replica::{Lineage, Stock};
use shared::{
    PodId,
    wire::lineages::{LineageNeeds, Need, PodLives},
};
use std::time::Duration;

/// How far clocks may be apart that are to agree.
const APART_MS: u64 = 5 * 60 * 1_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What the clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// The store's, of what was written just now.
    pub(crate) store_ms: u64,
    /// This pod's.
    pub(crate) here_ms: u64,
    /// Whether this pod's was set since its process began.
    pub(crate) stepped: bool,
}

/// Who judges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judge<'a> {
    /// This pod.
    pub(crate) pod: &'a PodId,
    /// What its database is written to.
    pub(crate) writes: Option<&'a Lineage>,
    /// It has rows aside whose owners do not have everything yet.
    pub(crate) owes: bool,
    /// Where all copies are, in words.
    pub(crate) base: &'a str,
    /// How long a lineage is kept at least, after its last file.
    pub(crate) kept: Duration,
}

/// What becomes of a lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// It may go.
    pub(crate) goes: bool,
    /// Why, or why not.
    pub(crate) why: String,
}

/// Judges the lineages of one pod, all of which are in `stocks`.
pub(crate) fn judge(
    by: Judge<'_>,
    pod: &PodId,
    stocks: &[Stock],
    needs: &LineageNeeds,
    clocks: Clocks,
) -> Vec<Verdict> {
    let known = needs.pods.iter().find(|lives| lives.pod == *pod);
    let all = known.map_or_else(
        || Err("config-service does not know the pod; it may be of another cluster".to_owned()),
        |lives| unsure(by, lives, needs, clocks).map_or(Ok(lives), Err),
    );
    let verdict = |stock: &Stock| match &all {
        // What is left of it is no copy of anything, whatever else is known.
        _ if stock.removing => Ok("its removal was begun".to_owned()),
        Err(why) => Err(why.clone()),
        Ok(lives) => {
            let reason = in_use(by, lives, stock, stocks, needs).or_else(|| young(by, stock, clocks));
            reason.map_or_else(|| superseded(lives, stock, stocks), Err)
        }
    };
    let told =
        |verdict: Result<String, String>| Verdict { goes: verdict.is_ok(), why: verdict.unwrap_or_else(|why| why) };
    stocks.iter().map(|stock| told(verdict(stock))).collect()
}

/// Says why nothing of a pod may go.
fn unsure(by: Judge<'_>, lives: &PodLives, needs: &LineageNeeds, clocks: Clocks) -> Option<String> {
    let Clocks { store_ms, here_ms, stepped } = clocks;
    let (first, last) =
        ([store_ms, here_ms, needs.now_ms].into_iter().min()?, [store_ms, here_ms, needs.now_ms].into_iter().max()?);
    if stepped {
        return Some("this pod's clock was set since it started: no age is trusted until it is restarted".to_owned());
    }
    if last - first > APART_MS {
        return Some(
            "the clocks of the store, of config-service and of this pod are more than 5 minutes apart".to_owned(),
        );
    }
    if !needs.settled {
        return Some("the cluster's generation is new, and not everybody has said what they hold".to_owned());
    }
    if lives.replica.as_deref() != Some(by.base) {
        return Some(format!("the pod is not known to be replicated to {}", by.base));
    }
    if lives.pod != *by.pod && !lives.buried {
        return Some("the pod lives and decides itself".to_owned());
    }
    (lives.pod == *by.pod && by.owes)
        .then(|| "the end of a journal that is put aside here has not reached its target's owner yet".to_owned())
}

/// Says who may still need a lineage.
fn in_use(by: Judge<'_>, lives: &PodLives, stock: &Stock, stocks: &[Stock], needs: &LineageNeeds) -> Option<String> {
    let life = &stock.lineage.incarnation;
    if let Some(why) = &stock.unread {
        return Some(format!("it cannot be read: {why}"));
    }
    if stock.begun_ms.is_none() {
        return Some("nothing says when it began".to_owned());
    }
    if stock.lineage.generation > needs.generation {
        return Some(format!("config-service is of generation {} and may have forgotten it", needs.generation));
    }
    if *life == lives.current || by.writes == Some(&stock.lineage) {
        return Some("it is the pod's current one".to_owned());
    }
    if lives.served.as_ref() == Some(life) {
        return Some("the pod has not said what it holds since".to_owned());
    }
    let newest = stocks.iter().max_by_key(|other| other.begun_ms)?;
    if newest.lineage == stock.lineage {
        return Some("it was begun last, and that boot is not finished".to_owned());
    }
    let is_before = |other: &&Stock| other.previous.as_ref() == Some(life);
    let unfinished = |other: &&Stock| {
        other.files == 0 || (other.lineage == newest.lineage && other.lineage.incarnation != lives.current)
    };
    if stocks.iter().filter(is_before).any(|other| unfinished(&other)) {
        return Some("the one after it has not begun in earnest".to_owned());
    }
    let named =
        needs.lives.iter().find(|named| named.life.pod == stock.lineage.pod && named.life.incarnation == *life)?;
    Some(match named.need {
        Need::Waiting => format!("{} targets wait for their data, which was last there", named.targets),
        Need::NotReplicatedYet => {
            format!("{} targets were restored from it and are not known to be replicated since", named.targets)
        }
    })
}

/// Says that a lineage ended too lately. A file from the future is as good as one of now.
fn young(by: Judge<'_>, stock: &Stock, clocks: Clocks) -> Option<String> {
    let Some(last_ms) = stock.last_ms else { return Some("nothing says when it ended".to_owned()) };
    let age = Duration::from_millis(clocks.store_ms.saturating_sub(last_ms));
    let days = |time: Duration| time.as_millis() / u128::from(DAY_MS);
    (age < by.kept).then(|| format!("it ended {} days ago, and is kept for {}", days(age), days(by.kept)))
}

/// Says by what a lineage is replaced; otherwise why it stays.
fn superseded(lives: &PodLives, stock: &Stock, stocks: &[Stock]) -> Result<String, String> {
    let later = |other: &&Stock| other.begun_ms > stock.begun_ms && is_relied_on(other);
    if let Some(later) = stocks.iter().filter(later).max_by_key(|other| other.begun_ms) {
        return Ok(format!("{} is later, and was restored and found good", later.lineage));
    }
    let with = |held: fn(&Stock) -> bool| stocks.iter().filter(|other| held(other)).max_by_key(|other| other.begun_ms);
    let last_good = with(is_relied_on).or_else(|| with(|other| other.files > 0 && !other.removing));
    if last_good.is_none_or(|last| last.lineage == stock.lineage) {
        return Err("it is the last one of the pod that can be relied on".to_owned());
    }
    if lives.targets == 0 {
        return Ok("the pod has no targets any more, they are replicated elsewhere".to_owned());
    }
    Err("no later one of the pod was restored and found good; a drill does that (berth replication verify)".to_owned())
}

/// Whether somebody has restored it and found it good, and it is still there.
fn is_relied_on(stock: &Stock) -> bool {
    stock.good && stock.files > 0 && !stock.removing && stock.unread.is_none()
}

#[cfg(test)]
mod tests;
