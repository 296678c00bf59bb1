//! Pages of lists: how many, and from where on. A cursor is opaque to callers; it says where the page before ended.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use shared::Problem;
use std::{borrow::Cow, fmt::Display, str::FromStr};

/// Entries of a page unless asked otherwise, and at most.
const USUAL: u32 = 100;
const MOST: u32 = 1_000;

/// `limit`: how many entries a page has at most.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Limit(u32);

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL })
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=MOST).contains(&limit) { Ok(Self(limit)) } else { Err(format!("limit is a number from 1 to {MOST}")) }
    }
}

/// Returns how many entries are asked for.
pub(super) fn size(limit: Option<Limit>) -> usize {
    limit.map_or(USUAL, |limit| limit.0) as usize
}

/// `cursor`: where the page before ended.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Cursor(String);

impl Cursor {
    /// Returns the cursor that stands for `end`, the last entry of a page.
    pub(super) fn after(end: &impl Display) -> String {
        URL_SAFE_NO_PAD.encode(end.to_string())
    }

    /// Returns what the cursor stands for.
    ///
    /// # Errors
    /// 422 `bad-cursor` when it is none of this list's.
    pub(super) fn read<T: FromStr>(&self) -> Result<T, Problem> {
        let text = URL_SAFE_NO_PAD.decode(&self.0).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            super::problems::unprocessable("bad-cursor", "the cursor is none of this list; begin without one")
        })
    }
}

/// Reads a cursor that may be left out.
///
/// # Errors
/// As [`Cursor::read`].
pub(super) fn position<T: FromStr>(cursor: Option<&Cursor>) -> Result<Option<T>, Problem> {
    cursor.map(Cursor::read).transpose()
}

/// Cuts `entries`, of which one more was read than a page has, to a page, and returns the next page's cursor.
pub(super) fn cut<T, E: Display>(entries: &mut Vec<T>, size: usize, end: impl Fn(&T) -> E) -> Option<String> {
    let more = entries.len() > size;
    entries.truncate(size);
    entries.last().filter(|_| more).map(|last| Cursor::after(&end(last)))
}
