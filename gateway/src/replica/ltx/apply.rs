//! Writes the pages of LTX files into a database file, from the newest file to the oldest: a page counts the first time that it
//! comes, and is written once. Blocks.

use super::LtxError;
use super::decode::Decoder;
use super::format::{Fault, Header, LEAST};
use super::parts::Parts;
use crate::replica::store::LtxFile;
use bytes::Bytes;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicU64, Ordering},
};

/// The bytes that are written together.
const RUN: usize = 1 << 20;

/// Writes a database out of files, newest first, whose bytes come in `parts`, and flushes it. `written` counts along. Returns the
/// database's size in bytes.
///
/// # Errors
/// [`LtxError`]: the file is no database then.
pub(super) fn apply(
    parts: impl Iterator<Item = Bytes>,
    files: &[LtxFile],
    file: &File,
    written: &AtomicU64,
) -> Result<u64, LtxError> {
    let mut parts = Parts::new(parts);
    let mut database: Option<Database<'_>> = None;
    for ltx in files {
        let &LtxFile { level, first, last, size, .. } = ltx;
        let wrong = |fault| LtxError::File { level, first, last, fault };
        let mut decoder = Decoder::begin(&mut parts, size).map_err(wrong)?;
        let header = decoder.header();
        if (header.first, header.last) != (first, last) {
            return Err(wrong(Fault::Damaged("it has other transactions than its name says")));
        }
        let to = match &mut database {
            Some(to) if to.header.page_size != header.page_size => {
                return Err(wrong(Fault::Unknown("a page size that changes")));
            }
            Some(to) => to,
            to => {
                if u64::from(header.pages) > files.iter().map(|file| file.size).sum::<u64>() / LEAST + 1 {
                    return Err(wrong(Fault::Damaged("it says that there are more pages than can be")));
                }
                to.insert(Database::new(file, header, written)?)
            }
        };
        while let Some((number, page)) = decoder.page().map_err(wrong)? {
            to.put(number, page)?;
        }
        decoder.end().map_err(wrong)?;
    }
    database.ok_or(LtxError::Empty)?.finish()
}

/// The database file.
struct Database<'a> {
    file: &'a File,
    header: Header,
    /// A bit for each page that is written.
    there: Vec<u64>,
    count: u64,
    /// Pages one behind the other that are not written yet, and where they begin.
    run: Vec<u8>,
    from: u64,
    written: &'a AtomicU64,
}

impl<'a> Database<'a> {
    fn new(file: &'a File, header: Header, written: &'a AtomicU64) -> io::Result<Self> {
        file.set_len(size(header))?;
        let there = vec![0; header.pages as usize / 64 + 1];
        Ok(Self { file, header, there, count: 0, run: Vec::with_capacity(RUN), from: 0, written })
    }

    /// Takes a page, unless a newer file had it or the database has become shorter.
    fn put(&mut self, number: u32, page: &[u8]) -> io::Result<()> {
        if number > self.header.pages {
            return Ok(());
        }
        let (word, bit) = (&mut self.there[number as usize / 64], 1 << (number % 64));
        if *word & bit != 0 {
            return Ok(());
        }
        *word |= bit;
        self.count += 1;
        let offset = u64::from(number - 1) * u64::from(self.header.page_size);
        if offset != self.from + self.run.len() as u64 || self.run.len() + page.len() > RUN {
            self.write()?;
            self.from = offset;
        }
        self.run.extend_from_slice(page);
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.run, self.from)?;
        self.written.fetch_add(self.run.len() as u64, Ordering::Relaxed);
        self.run.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64, LtxError> {
        self.write()?;
        let pages = self.header.pages;
        // The page that SQLite locks is a hole: zeros.
        let wanted = u64::from(pages) - u64::from(pages >= self.header.locked());
        if self.count != wanted {
            return Err(LtxError::Incomplete { missing: wanted - self.count, pages });
        }
        self.file.sync_all()?;
        Ok(size(self.header))
    }
}

fn size(header: Header) -> u64 {
    u64::from(header.pages) * u64::from(header.page_size)
}
