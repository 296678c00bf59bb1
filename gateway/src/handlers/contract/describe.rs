//! What a handler says about itself at `GET /v1/describe`. Fields that are not known are left alone: a newer handler may
//! say more.

use super::{super::Described, API, place::At, place::Malformed};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Most keys and beginnings of keys that a handler may ask for with every call.
const MOST_PRELOADS: usize = 256;

/// A handler's description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) described: Described,
    /// Statements by the name under which answers use them.
    pub(crate) statements: BTreeMap<String, String>,
}

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is not what a description looks like; it may be another time.
    #[error("its description is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// It speaks other versions only.
    #[error(
        "the handler speaks version {theirs} of the handlers' API, this gateway version {API}; run versions of both that have one in common"
    )]
    Version {
        /// Its versions.
        theirs: String,
    },
}

/// Reads a description.
///
/// # Errors
/// [`Unusable`].
pub(crate) fn parse(body: &[u8]) -> Result<Description, Unusable> {
    let value: Value =
        serde_json::from_slice(body).map_err(|why| Malformed::new("describe", format!("no JSON: {why}")))?;
    let at = At::root("describe", &value);
    let versions = at.member("api")?;
    let versions = versions.items()?.map(|item| item.text().map(ToOwned::to_owned)).collect::<Result<Vec<_>, _>>()?;
    if !versions.iter().any(|version| version == API) {
        let theirs = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
        return Err(Unusable::Version { theirs });
    }
    Ok(Description { described: described(&at)?, statements: statements(&at)? })
}

fn described(at: &At<'_>) -> Result<Described, Malformed> {
    let text = |name| at.find(name)?.map(|at| at.text().map(ToOwned::to_owned)).transpose();
    let positive = |name| {
        let found: Option<At<'_>> = at.find(name)?;
        found
            .map(|at| at.whole().and_then(|n| if n > 0 { Ok(n) } else { Err(at.wrong("expected more than 0")) }))
            .transpose()
    };
    let preload = match at.find("preload")? {
        Some(at) => at.items()?.map(|item| item.text().map(ToOwned::to_owned)).collect::<Result<Vec<_>, _>>()?,
        None => Vec::new(),
    };
    if preload.len() > MOST_PRELOADS {
        return Err(at.wrong(format_args!("preload has {} entries, at most {MOST_PRELOADS} are taken", preload.len())));
    }
    Ok(Described {
        name: text("name")?,
        version: text("version")?,
        preload,
        max_concurrency: positive("max_concurrency")?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        timeout: positive("timeout_ms")?.map(Duration::from_millis),
        web: at.find("web")?.map(|at| at.flag()).transpose()?.unwrap_or(false),
    })
}

fn statements(at: &At<'_>) -> Result<BTreeMap<String, String>, Malformed> {
    let Some(at) = at.find("statements")? else { return Ok(BTreeMap::new()) };
    at.members()?.map(|(name, at)| Ok((name.to_owned(), at.text()?.to_owned()))).collect()
}
