//! LTX as Litestream 0.5.17 writes it: the Go module `github.com/superfly/ltx` 0.5.2, «LTX1». Numbers are big-endian. Pure.
//!
//! ```text
//! header    100 bytes   «LTX1», flags 4, page size 4, pages of the database 4, first and last transaction 8 + 8, time 8,
//!                       checksum before 8, where in the WAL 8 + 8 + 4 + 4, node 8, zeros
//! page      6 + 4 + n   number 4, flags 2, n; a block of LZ4. Ascending numbers, never the page that SQLite locks
//! end       6           zeros
//! index     …           for each page its number, offset and bytes, as varints; 0; 8: how many bytes that were
//! trailer   8 + 8       checksum after, checksum of the file: CRC-64/GO-ISO, top bit set, over all that comes before it,
//!                       with pages as they are unpacked
//! ```

/// The bytes of a header.
pub(super) const HEADER: usize = 100;
/// Those of them that mean something. The others are zeros.
const MEANT: usize = 80;
/// The bytes before a page.
pub(super) const FRAME: usize = 6;
/// The bytes of a page's length.
pub(super) const LENGTH: usize = 4;
/// The bytes of what says how long the index is.
pub(super) const INDEX_LENGTH: usize = 8;
/// The bytes of a trailer.
pub(super) const TRAILER: usize = 16;
/// The fewest bytes that a page takes: what is before it, its length, a block and its place in the index.
pub(super) const LEAST: u64 = (FRAME + LENGTH + 1 + 3) as u64;
/// The top bit of a checksum.
const SUMMED: u64 = 1 << 63;
/// In a header: there are no checksums of the whole database. Litestream always writes so.
const NO_CHECKSUM: u32 = 1 << 1;
/// In a page: its length stands before it, and it is one block.
const SIZED: u16 = 1 << 0;
/// Where SQLite locks a database: the page that has this byte is never written.
const LOCKED: u32 = 1 << 30;

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::replica) enum Fault {
    /// It is not all there.
    #[error("it ends too early")]
    Short,
    /// It is of another version, or has something that is not known here.
    #[error("{0} is not known to this version of Berth")]
    Unknown(&'static str),
    /// It cannot be what Litestream wrote.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Its checksum is another.
    #[error("it is damaged: its checksum is another")]
    Checksum,
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The bytes of a page.
    pub(super) page_size: u32,
    /// The pages that the database has after it.
    pub(super) pages: u32,
    /// The first transaction.
    pub(super) first: u64,
    /// The last.
    pub(super) last: u64,
}

impl Header {
    /// Reads a header of [`HEADER`] bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let (meant, rest) = bytes.split_at_checked(MEANT).ok_or(Fault::Short)?;
        if !meant.starts_with(b"LTX1") {
            return Err(Fault::Unknown("its version"));
        }
        if u32_at(meant, 4)? != NO_CHECKSUM {
            return Err(Fault::Unknown("a flag of its header"));
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Err(Fault::Unknown("something in its header"));
        }
        let header = Self {
            page_size: u32_at(meant, 8)?,
            pages: u32_at(meant, 12)?,
            first: u64_at(meant, 16)?,
            last: u64_at(meant, 24)?,
        };
        if !header.page_size.is_power_of_two() || !(512..=65_536).contains(&header.page_size) {
            return Err(Fault::Unknown("its page size"));
        }
        if header.pages == 0 {
            return Err(Fault::Unknown("a database without pages"));
        }
        if header.first == 0 || header.first > header.last {
            return Err(Fault::Damaged("its transactions are none"));
        }
        if u64_at(meant, 40)? != 0 {
            return Err(Fault::Unknown("a checksum of the database"));
        }
        Ok(header)
    }

    /// Returns the page that SQLite locks, and nobody writes.
    pub(super) const fn locked(&self) -> u32 {
        LOCKED / self.page_size + 1
    }

    /// Returns the most bytes that a page takes: LZ4's own bound for what cannot be made smaller.
    pub(super) const fn most(&self) -> usize {
        (self.page_size + self.page_size / 255 + 16) as usize
    }
}

/// Reads what is before a page: its number, or none at the end of all pages.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<u32>, Fault> {
    let (number, flags) = (u32_at(bytes, 0)?, u16::from_be_bytes(at(bytes, 4)?));
    match (number, flags) {
        (0, 0) => Ok(None),
        (0, _) => Err(Fault::Damaged("a page has no number")),
        (number, SIZED) => Ok(Some(number)),
        _ => Err(Fault::Unknown("a flag of a page")),
    }
}

/// Reads a trailer: the checksum of the file. `sum` is that of what was read.
pub(super) fn trailer(bytes: &[u8], sum: u64) -> Result<(), Fault> {
    if u64_at(bytes, 0)? != 0 {
        return Err(Fault::Unknown("a checksum of the database"));
    }
    if u64_at(bytes, 8)? == sum | SUMMED { Ok(()) } else { Err(Fault::Checksum) }
}

/// Reads the bytes of an index one after the other, and compares it with the pages that were read.
#[derive(Debug)]
pub(super) struct Index {
    number: u64,
    shift: u32,
    /// Which of the three numbers of a page comes next.
    next: u8,
    page: u64,
    /// Where the next page begins.
    offset: u64,
    /// How many pages there were.
    pub(super) count: u64,
    /// Nothing may come any more.
    pub(super) ended: bool,
}

impl Index {
    /// Begins: the first page is behind the header.
    pub(super) const fn new() -> Self {
        Self { number: 0, shift: 0, next: 0, page: 0, offset: HEADER as u64, count: 0, ended: false }
    }

    /// Reads one byte.
    pub(super) fn push(&mut self, byte: u8) -> Result<(), Fault> {
        if self.ended || self.shift > 56 {
            return Err(Fault::Damaged("its index is none"));
        }
        self.number |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte & 0x80 != 0 {
            return Ok(());
        }
        let number = std::mem::take(&mut self.number);
        self.shift = 0;
        match self.next {
            0 if number == 0 => self.ended = true,
            0 if number > self.page => (self.page, self.next) = (number, 1),
            1 if number == self.offset => self.next = 2,
            2 => {
                let end = self.offset.checked_add(number);
                self.offset = end.ok_or(Fault::Damaged("its index has other pages"))?;
                (self.count, self.next) = (self.count + 1, 0);
            }
            _ => return Err(Fault::Damaged("its index has other pages")),
        }
        Ok(())
    }

    /// Ends: so many pages were read, and they ended there.
    pub(super) fn end(&self, count: u64, offset: u64) -> Result<(), Fault> {
        let fits = self.ended && (self.count, self.offset) == (count, offset);
        if fits { Ok(()) } else { Err(Fault::Damaged("its index has other pages")) }
    }
}

pub(super) fn u32_at(bytes: &[u8], from: usize) -> Result<u32, Fault> {
    at(bytes, from).map(u32::from_be_bytes)
}

pub(super) fn u64_at(bytes: &[u8], from: usize) -> Result<u64, Fault> {
    at(bytes, from).map(u64::from_be_bytes)
}

fn at<const N: usize>(bytes: &[u8], from: usize) -> Result<[u8; N], Fault> {
    bytes.get(from..).and_then(|rest| rest.first_chunk()).copied().ok_or(Fault::Short)
}
