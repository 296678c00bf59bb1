//! The canary: which share of the targets is on the pods on which a new version is tried, and what became of it. Kept beside the
//! settings and none of them; targets that somebody has named have their track in what holds them. Which targets a share means is
//! the planner's.

use super::{By, Edit, Hold, Model, SettingRecord, Write};
use serde::{Deserialize, Serialize};
use shared::{PlanId, wire::admin::CanaryState, wire::control::Track};

/// The name under which it is kept.
const NAME: &str = "canary";

/// The canary, as it is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Canary {
    /// What became of it.
    pub state: CanaryState,
    /// The share of the targets that belongs to it, 0 to 1, while it runs.
    pub share: f64,
    /// The plan that was applied for it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
}

impl Canary {
    /// Returns whether a part of the targets belongs to it.
    pub fn runs(&self) -> bool {
        self.state == CanaryState::Running
    }

    /// Returns the share of the targets that belongs to it.
    pub fn share(&self) -> f64 {
        if self.runs() { self.share } else { 0.0 }
    }

    /// Returns the track that a pod counts to which announces `track`: after a promotion everybody has the version that was tried,
    /// or is about to.
    pub fn counts(&self, track: Track) -> Track {
        if self.state == CanaryState::Promoted { Track::Stable } else { track }
    }

    /// Returns the edit that keeps it.
    pub fn edit(&self, by: &By) -> Edit {
        let value = serde_json::to_string(self).unwrap_or_default();
        let (actor, reason) = (by.actor.clone(), by.reason.clone());
        Edit::Set(SettingRecord { name: NAME.to_owned(), value, actor, reason, at_ms: 0 })
    }
}

impl Model {
    /// Returns the canary; one that never was when nobody has begun one, or another version has written what this one cannot read.
    pub fn canary(&self) -> Canary {
        let kept = self.canary_record().and_then(|record| serde_json::from_str(&record.value).ok());
        kept.unwrap_or_default()
    }

    /// Returns what is kept of it: who said the last word on it, why, and when.
    pub fn canary_record(&self) -> Option<&SettingRecord> {
        self.setting(NAME)
    }

    /// Returns the track that somebody has said a target is of.
    pub fn track_said(&self, target: &shared::TargetId) -> Option<Track> {
        self.hold(target).and_then(|hold| hold.track)
    }

    /// Returns the targets that somebody has named for the canary, by name.
    pub fn canary_named(&self) -> impl Iterator<Item = (shared::TargetId, &Hold)> {
        let named = self.holds().iter().filter(|(_, hold)| hold.track == Some(Track::Canary));
        named.map(|(name, hold)| (name.target(), hold))
    }

    /// Returns the writes by which no target is named for the canary any more.
    pub fn canary_unnamed(&self) -> Vec<Write> {
        let write = |(target, hold): (shared::TargetId, &Hold)| Write::Hold {
            target,
            hold: Hold { track: None, ..hold.clone() },
        };
        self.canary_named().map(write).collect()
    }
}
