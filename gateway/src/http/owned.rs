//! The target a local path names, when this pod owns it: what every route about one target begins with.

use super::App;
use crate::ownership::{Denied, Guard};
use axum::extract::{FromRequestParts, RawPathParams};
use http::{StatusCode, request::Parts};
use shared::{Epoch, Problem, TargetId};

/// A target of this pod's, from `{target}` in the path.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) target: TargetId,
    pub(super) epoch: Epoch,
}

impl FromRequestParts<App> for Owned {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params =
            RawPathParams::from_request_parts(parts, app).await.map_err(|why| Problem::bad_request(why.body_text()))?;
        let name = params.iter().find(|(name, _)| *name == "target").map(|(_, value)| value).unwrap_or_default();
        let target: TargetId =
            name.parse().map_err(|why: shared::id::IdError| Problem::bad_request(why.to_string()))?;
        match app.door.ownership().epoch(&target) {
            Some(epoch) => Ok(Self { target, epoch }),
            None => Err(not_owner(app, &target)),
        }
    }
}

impl Owned {
    /// Returns the right to act for it now.
    ///
    /// # Errors
    /// When the pod holds no lease, or has lost the target meanwhile.
    pub(super) fn guard(&self, app: &App) -> Result<Guard, Problem> {
        app.door.ownership().guard(&self.target).map_err(|why| match why {
            Denied::NotOwner { .. } => not_owner(app, &self.target),
            Denied::NotServing(_) | Denied::Quarantined | Denied::Moving => {
                Problem::unavailable("not-serving", why.to_string())
            }
        })
    }
}

fn not_owner(app: &App, target: &TargetId) -> Problem {
    let detail = match app.door.ownership().owner(target) {
        Some(owner) => format!("this pod does not own {target}; {owner} does"),
        None => format!("this pod does not own {target}"),
    };
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "not-owner", detail)
}
