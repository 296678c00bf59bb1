//! Reads the rows of some targets out of a restored database, parcel by parcel, on a thread of its own. Decides nothing; what
//! is not there it says.

use crate::store::StoreError;
use crate::store::transfer::{NotSent, Parcel, Scratch};
use shared::TargetId;
use shared::wire::control::Holding;
use tokio::sync::mpsc;

/// What comes out of a restored database, in this order.
#[derive(Debug)]
pub(super) enum Found {
    /// How far the database is.
    Seq(u64),
    /// Nothing of this target.
    Absent(TargetId),
    /// This of a target; when it is whole, its parcels follow.
    Held(Holding),
    /// A parcel of the target before it.
    Parcel(Box<Parcel>),
    /// The last of its parcels, which makes it whole.
    End(Box<Parcel>),
}

/// Whoever takes it has gone.
struct Gone;

/// Copies the targets' rows. Returns with an error when the database cannot be read.
pub(super) fn copy(scratch: &Scratch, targets: &[TargetId], to: &mpsc::Sender<Found>) -> Result<(), StoreError> {
    match copy_all(scratch, targets, to) {
        Ok(()) | Err(NotSent::Cut) => Ok(()),
        Err(NotSent::Store(why)) => Err(why),
        Err(NotSent::Form(_) | NotSent::Unknown) => Err(StoreError::Broken("row that cannot be written down")),
    }
}

fn copy_all(scratch: &Scratch, targets: &[TargetId], to: &mpsc::Sender<Found>) -> Result<(), NotSent> {
    let say = |found| to.blocking_send(found).map_err(|_| Gone);
    say(Found::Seq(scratch.commit_seq()?))?;
    for target in targets {
        let Some(held) = scratch.held(target)? else {
            say(Found::Absent(target.clone()))?;
            continue;
        };
        say(Found::Held(held.clone()))?;
        if held.whole {
            let mut hand_on = |parcel: Parcel| {
                let (rows, end) = parcel.before_end();
                let rows = rows.map(|rows| Found::Parcel(Box::new(rows)));
                let end = end.map(|end| Found::End(Box::new(end)));
                rows.into_iter().chain(end).try_for_each(say).map_err(NotSent::from)
            };
            scratch.send(&held, &mut hand_on)?;
        }
    }
    Ok(())
}

impl From<Gone> for NotSent {
    fn from(Gone: Gone) -> Self {
        Self::Cut
    }
}
