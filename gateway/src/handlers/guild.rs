//! What Discord's gateway tells of a guild as a whole: whether the bot is in it and it can be reached, and what it is. The
//! last that was told is kept in the guild's own rows, for whoever begins to serve it. Pure: events and rows in, rows out.

use super::HandlerError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use shared::event::{Event, EventKind};
use std::{borrow::Cow, collections::BTreeMap};

/// The key under which a guild has what it is.
pub(crate) const GUILD_KEY: &str = "berth/discord-guild";

/// The key under which a guild has whether it is there, once it was not.
pub(crate) const STANDING_KEY: &str = "berth/discord-standing";

/// What ages at once, or is only a part of what there is: never kept.
const PASSING: [&str; 4] = ["members", "presences", "unavailable", "voice_states"];

/// What is kept however little room there is.
const ALWAYS: [&str; 4] = ["id", "member_count", "name", "owner_id"];

/// What became of a guild as a whole, as Discord's gateway tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuildStanding {
    /// The bot is in it, and it can be reached: a GUILD_CREATE.
    Available,
    /// Discord cannot reach it for now (`unavailable`). The bot is in it still, and nothing of it is over.
    Outage,
    /// The bot was removed from it, or it exists no longer: a GUILD_DELETE that says nothing of an outage. Its rows stay.
    Removed,
}

impl GuildStanding {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Outage => "outage",
            Self::Removed => "removed",
        }
    }
}

/// A guild, as Discord's gateway told of it last.
#[derive(Debug, Clone, Serialize)]
pub struct Guild {
    /// How it stands.
    pub standing: GuildStanding,
    /// Since when it stands so, in milliseconds since the Unix epoch; none when it was never told otherwise.
    pub since_ms: Option<u64>,
    /// When a GUILD_CREATE told first what is in `data`, in milliseconds since the Unix epoch. What changed since, a
    /// GUILD_UPDATE for example, is not in it until the next GUILD_CREATE.
    pub as_of_ms: Option<u64>,
    /// Fields that were told and are not in `data`: they age at once, or there was no room for them.
    pub left_out: Vec<String>,
    data: Option<Box<RawValue>>,
}

impl Guild {
    /// Returns what a GUILD_CREATE told of it, as JSON: Discord's guild object, each field as it came. None when no
    /// GUILD_CREATE has come yet.
    pub fn json(&self) -> Option<&str> {
        self.data.as_deref().map(RawValue::get)
    }

    /// Returns the same, read as a `T`.
    ///
    /// # Errors
    /// When it does not read as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, HandlerError> {
        let wrong = |why| HandlerError::Refused(format!("what Discord told of the guild: {why}"));
        self.json().map(|text| serde_json::from_str(text).map_err(wrong)).transpose()
    }

    /// Returns what the rows of a guild say: those of [`GUILD_KEY`] and of [`STANDING_KEY`]. None when there is none of
    /// them. What is not understood is of another version, and the next GUILD_CREATE writes it anew.
    pub(crate) fn of_rows(guild: Option<&str>, standing: Option<&str>) -> Option<Self> {
        let kept: Option<Kept<'_>> = guild.and_then(|text| serde_json::from_str(text).ok());
        let stands: Option<Stands> = standing.and_then(|text| serde_json::from_str(text).ok());
        if kept.is_none() && stands.is_none() {
            return None;
        }
        let standing = stands.as_ref().map_or(GuildStanding::Available, |stands| stands.standing);
        let since_ms = stands.map(|stands| stands.since_ms);
        let (as_of_ms, left_out, data) = match kept {
            Some(Kept { as_of_ms, left_out, data }) => (Some(as_of_ms), left_out, Some(data.to_owned())),
            None => (None, Vec::new(), None),
        };
        Some(Self { standing, since_ms, as_of_ms, left_out, data })
    }
}

/// The row of [`GUILD_KEY`].
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    as_of_ms: u64,
    #[serde(default)]
    left_out: Vec<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The row of [`STANDING_KEY`].
#[derive(Serialize, Deserialize)]
struct Stands {
    standing: GuildStanding,
    since_ms: u64,
}

#[derive(Deserialize)]
struct Dispatch<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(borrow)]
    d: &'a RawValue,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    unavailable: serde_json::Value,
}

/// Returns what an event says became of its guild as a whole; none for nearly all of them.
pub(crate) fn standing(event: &Event) -> Option<GuildStanding> {
    dispatch(event).map(|(standing, _)| standing)
}

fn dispatch(event: &Event) -> Option<(GuildStanding, &str)> {
    // Berth has written the beginning itself: of what else Discord tells no more is read.
    if event.kind != EventKind::DiscordDispatch || !event.body.starts_with(b"{\"t\":\"GUILD_") {
        return None;
    }
    let Dispatch { t, d } = serde_json::from_slice(&event.body).ok()?;
    if !matches!(&*t, "GUILD_CREATE" | "GUILD_DELETE") {
        return None;
    }
    let Told { unavailable } = serde_json::from_str(d.get()).ok()?;
    let standing = match (&*t, unavailable == true) {
        (_, true) => GuildStanding::Outage,
        ("GUILD_CREATE", false) => GuildStanding::Available,
        _ => GuildStanding::Removed,
    };
    Some((standing, d.get()))
}

/// What an event changes in the rows of its guild.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The new row of [`GUILD_KEY`].
    pub(crate) guild: Option<String>,
    /// The new row of [`STANDING_KEY`].
    pub(crate) standing: Option<String>,
}

/// Returns what an event changes in the rows of its guild, which are those now. A guild is kept in `most` bytes of JSON, and
/// not at all when that is 0. What was told before, and is told again, changes nothing; nor does what another pod was told
/// before it lost the guild.
///
/// # Errors
/// What `rows` fails with.
pub(crate) fn changes<E>(
    event: &Event,
    most: usize,
    rows: impl FnOnce() -> Result<[Option<String>; 2], E>,
) -> Result<Changes, E> {
    let mut changes = Changes::default();
    let Some((now, data)) = dispatch(event).filter(|_| most > 0 && !event.is_late()) else { return Ok(changes) };
    let [guild, standing] = rows()?;
    let stands: Option<Stands> = standing.as_deref().and_then(|text| serde_json::from_str(text).ok());
    if stands.map_or(GuildStanding::Available, |stands| stands.standing) != now {
        let row = Stands { standing: now, since_ms: event.received_at };
        changes.standing = serde_json::to_string(&row).ok();
    }
    if now == GuildStanding::Available
        && let Some((data, left_out)) = bounded(data, most)
    {
        let kept: Option<Kept<'_>> = guild.as_deref().and_then(|text| serde_json::from_str(text).ok());
        if kept.is_none_or(|kept| kept.data.get() != data.get() || kept.left_out != left_out) {
            let row = Kept { as_of_ms: event.received_at, left_out, data: &data };
            changes.guild = serde_json::to_string(&row).ok();
        }
    }
    Ok(changes)
}

/// Returns a guild's fields that have room in `most` bytes, each as it came, and the names of the others: the largest are left
/// out first.
fn bounded(data: &str, most: usize) -> Option<(Box<RawValue>, Vec<String>)> {
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(data).ok()?;
    let mut left_out: Vec<_> =
        PASSING.iter().filter(|name| fields.remove(**name).is_some()).map(|name| (*name).to_owned()).collect();
    let size = |name: &str, value: &RawValue| name.len() + value.get().len() + 4;
    let mut bytes: usize = 2 + fields.iter().map(|(name, value)| size(name, value)).sum::<usize>();
    while bytes > most {
        let may_go = fields.iter().filter(|(name, _)| !ALWAYS.contains(&name.as_str()));
        let Some(name) = may_go.max_by_key(|(name, value)| size(name, value)).map(|(name, _)| name.clone()) else {
            break;
        };
        bytes -= fields.remove(&name).map_or(0, |value| size(&name, value));
        left_out.push(name);
    }
    left_out.sort_unstable();
    let text = serde_json::to_string(&fields).ok()?;
    RawValue::from_string(text).ok().map(|data| (data, left_out))
}

#[cfg(test)]
mod tests;
