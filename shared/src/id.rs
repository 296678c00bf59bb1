//! Names and fencing tokens. Types carry meaning: a [`TargetId`] that exists is valid, an [`Epoch`] is not a [`Term`].

mod fence;
mod pod;
mod schema;
mod target;

pub use fence::{Epoch, LeaseId, MoveId, PlanId, Revision, Term};
pub use pod::{Incarnation, PodId};
pub use target::{Kind, Platform, TargetId, escape_part};

/// Says why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text does not have the form `platform:kind:id`.
    #[error("a target is written platform:kind:id, for example discord:guild:81384788765712384")]
    TargetForm,
    /// The platform is none that Berth knows.
    #[error("unknown platform; known are discord, telegram, slack, cytube, webhook, github")]
    Platform,
    /// The kind is none that Berth knows.
    #[error("unknown kind; known are guild, channel, user, shard, key")]
    Kind,
    /// The id is empty, longer than 128 bytes, or has a character outside `[A-Za-z0-9._~-]`.
    #[error("an id has 1 to 128 characters of A-Z a-z 0-9 . _ ~ -")]
    Id,
    /// The pod's name is not a DNS label.
    #[error("a pod's name has 1 to 63 characters of a-z 0-9 -, for example gateway-0")]
    Pod,
    /// The incarnation is not a UUID in its hyphenated form.
    #[error("an incarnation is a UUID")]
    Incarnation,
}
