//! Asking for a list page by page until there is enough of it. Knows nothing of what is listed.

use super::Api;
use crate::exit::Failure;
use serde::de::DeserializeOwned;

/// Most rows asked for in one request.
const PAGE: usize = 1_000;

/// A list, or its beginning.
#[derive(Debug)]
pub(super) struct Pages<T> {
    /// The rows.
    pub(super) rows: Vec<T>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// Asks for `path`, which has a query already, until there are `most` rows or no more; `open` takes a page apart into its
/// rows and the next page's cursor.
///
/// # Errors
/// The first request's that fails.
pub(super) async fn pages<P: DeserializeOwned, T>(
    api: &Api,
    path: &str,
    most: usize,
    mut open: impl FnMut(P) -> (Vec<T>, Option<String>),
) -> Result<Pages<T>, Failure> {
    let mut all = Pages { rows: Vec::new(), more: false };
    let mut cursor = String::new();
    while all.rows.len() < most {
        let page: P = api.get(&format!("{path}&limit={}{cursor}", PAGE.min(most - all.rows.len()))).await?;
        let (rows, next) = open(page);
        all.rows.extend(rows);
        all.more = next.is_some();
        let Some(next) = next else { break };
        cursor = format!("&cursor={}", percent_encode(&next));
    }
    Ok(all)
}

/// Returns text as it may stand in a query.
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
        out
    })
}
