//! Looking for targets and pods by what an operator types: a whole name, the beginning of one, or a bare id. Asks the model
//! only for ranges, so that it costs the same whether there are ten targets or a million.

use crate::domain::Model;
use shared::wire::control::Assignment;
use shared::{Kind, Platform, PodId, TargetId, id::escape_part};
use std::collections::BTreeMap;

/// The most that is shown of either.
const MOST: usize = 20;

/// The longest question in bytes: a target's longest name, with room to spare.
const LONGEST: usize = 300;

/// What was looked for, and what was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// What was looked for, without the space around it, cut where it is too long for any name.
    pub(crate) asked: String,
    /// Whether it is too long for any name.
    pub(crate) too_long: bool,
    /// Targets whose name, or bare id, is exactly that.
    pub(crate) exact: Vec<Assignment>,
    /// Targets whose name, or bare id, begins with it.
    pub(crate) similar: Vec<Assignment>,
    /// Whether there are more of them.
    pub(crate) more: bool,
    /// Pods whose name begins with it.
    pub(crate) pods: Vec<PodId>,
}

/// Looks for `asked`; none when nothing was asked.
pub(crate) fn find(model: &Model, asked: &str) -> Option<Found> {
    let asked = asked.trim();
    if asked.is_empty() {
        return None;
    }
    if asked.len() > LONGEST {
        let cut = asked.floor_char_boundary(LONGEST);
        let asked = format!("{}…", &asked[..cut]);
        return Some(Found { asked, too_long: true, ..nothing() });
    }
    let (prefixes, mut hits) = (prefixes(asked), BTreeMap::new());
    for prefix in &prefixes {
        // One more than is shown tells that there are more; one that is exact comes first in its range.
        let range = model.starting_with(prefix).take(MOST + 1);
        hits.extend(range.map(|assignment| (assignment.target.clone(), assignment)));
    }
    let is_exact =
        |target: &TargetId| target.as_str() == asked || target.id() == asked || target.id() == escaped(asked);
    let (exact, similar): (Vec<_>, Vec<_>) = hits.into_values().partition(|hit| is_exact(&hit.target));
    let more = similar.len() > MOST;
    let similar = similar.into_iter().take(MOST).collect();
    let pods = model.pods().map(|record| &record.info.pod);
    let pods = pods.filter(|pod| pod.as_str().starts_with(asked)).take(MOST).cloned().collect();
    Some(Found { asked: asked.to_owned(), too_long: false, exact, similar, more, pods })
}

const fn nothing() -> Found {
    let asked = String::new();
    Found { asked, too_long: false, exact: Vec::new(), similar: Vec::new(), more: false, pods: Vec::new() }
}

/// Returns how names may begin that are meant: with the text itself, or with it behind each platform and kind.
fn prefixes(asked: &str) -> Vec<String> {
    let mut prefixes = vec![asked.to_owned()];
    if !asked.contains(':') {
        let id = escaped(asked);
        for platform in Platform::ALL {
            prefixes.extend(Kind::ALL.iter().map(|kind| format!("{platform}:{kind}:{id}")));
        }
    }
    prefixes
}

/// Returns an id as names have it: what no name may hold stands there escaped (docs/adr/0005). Text that could be an id is
/// taken by the letter.
fn escaped(asked: &str) -> String {
    if asked.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-')) {
        return asked.to_owned();
    }
    let mut id = String::new();
    escape_part(asked, false, &mut id);
    id
}
