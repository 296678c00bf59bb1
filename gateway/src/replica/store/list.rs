//! What a list of a lineage says. Pure.

use object_store::ObjectMeta;

/// A lineage's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listing {
    /// How many Litestream has written, over all levels.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The newest transaction that any of them holds; none when there is none.
    pub last_txid: Option<u64>,
    /// When the oldest was written, in milliseconds since the Unix epoch, by the store's clock.
    pub oldest_ms: Option<u64>,
    /// When the newest was written.
    pub newest_ms: Option<u64>,
}

impl Listing {
    pub(super) fn add(&mut self, file: &ObjectMeta) {
        let Some(txid) = file.location.filename().and_then(last_txid) else { return };
        self.files += 1;
        self.bytes += file.size;
        self.last_txid = self.last_txid.max(Some(txid));
        let at = u64::try_from(file.last_modified.timestamp_millis()).unwrap_or_default();
        self.oldest_ms = Some(self.oldest_ms.map_or(at, |oldest| oldest.min(at)));
        self.newest_ms = self.newest_ms.max(Some(at));
    }
}

/// Returns the last transaction of a file of Litestream's, by its name.
pub(crate) fn last_txid(name: &str) -> Option<u64> {
    txids(name).map(|(_, last)| last)
}

/// Returns the first and the last transaction of a file of Litestream's, by its name: two numbers of 16 hexadecimal digits.
pub(super) fn txids(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".ltx")?.split_once('-')?;
    let number = |text: &str| (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
    number(first).zip(number(last))
}
