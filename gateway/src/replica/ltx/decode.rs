//! Reads one LTX file page by page and checks all of it. What it has given counts only once [`Decoder::end`] has said that the
//! file is whole. Writes nothing.

use super::format::{self, FRAME, Fault, HEADER, Header, INDEX_LENGTH, Index, LENGTH, TRAILER};
use super::parts::Parts;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

/// The bytes of an index that are looked at together.
const PIECE: u64 = 64 << 10;
/// Where a page begins in the buffer, behind what stands before it in the file: so the checksum sees both as one.
const PAGE: usize = FRAME + LENGTH;

/// One file that is being read.
pub(super) struct Decoder<'a, I> {
    parts: &'a mut Parts<I>,
    /// The bytes that are not read yet.
    left: u64,
    size: u64,
    sum: Digest,
    header: Header,
    /// What stands before a page, and the page.
    page: Vec<u8>,
    count: u64,
    last: u32,
}

impl<'a, I: Iterator<Item = Bytes>> Decoder<'a, I> {
    /// Reads the header of a file of so many bytes, which come next.
    pub(super) fn begin(parts: &'a mut Parts<I>, size: u64) -> Result<Self, Fault> {
        let left = size.checked_sub(HEADER as u64).ok_or(Fault::Short)?;
        let bytes = parts.take(HEADER).ok_or(Fault::Short)?;
        let header = Header::parse(bytes)?;
        let mut sum = Digest::new(CrcAlgorithm::Crc64GoIso);
        sum.update(bytes);
        let page = vec![0; PAGE + header.page_size as usize];
        Ok(Self { parts, left, size, sum, header, page, count: 0, last: 0 })
    }

    /// Returns what the file says of itself.
    pub(super) const fn header(&self) -> Header {
        self.header
    }

    /// Reads the next page: its number and its bytes; none when there is no more.
    pub(super) fn page(&mut self) -> Result<Option<(u32, &[u8])>, Fault> {
        let frame = take(self.parts, &mut self.left, FRAME)?;
        let Some(number) = format::frame(frame)? else {
            self.sum.update(frame);
            return Ok(None);
        };
        self.page[..FRAME].copy_from_slice(frame);
        if number <= self.last || number > self.header.pages || number == self.header.locked() {
            return Err(Fault::Damaged("its pages are out of order"));
        }
        let length = take(self.parts, &mut self.left, LENGTH)?;
        self.page[FRAME..PAGE].copy_from_slice(length);
        let length = format::u32_at(length, 0)? as usize;
        if length == 0 || length > self.header.most() {
            return Err(Fault::Damaged("a page is too long"));
        }
        let block = take(self.parts, &mut self.left, length)?;
        match lz4_flex::block::decompress_into(block, &mut self.page[PAGE..]) {
            Ok(size) if size == self.page.len() - PAGE => {}
            _ => return Err(Fault::Damaged("a page cannot be unpacked")),
        }
        self.sum.update(&self.page);
        (self.count, self.last) = (self.count + 1, number);
        Ok(Some((number, &self.page[PAGE..])))
    }

    /// Reads what comes behind the pages: the file is whole.
    pub(super) fn end(mut self) -> Result<(), Fault> {
        let pages_end = self.size - self.left - FRAME as u64;
        let behind = (INDEX_LENGTH + TRAILER) as u64;
        let length = self.left.checked_sub(behind).ok_or(Fault::Short)?;
        let mut index = Index::new();
        while self.left > behind {
            let count = (self.left - behind).min(PIECE) as usize;
            let piece = take(self.parts, &mut self.left, count)?;
            self.sum.update(piece);
            piece.iter().try_for_each(|byte| index.push(*byte))?;
        }
        index.end(self.count, pages_end)?;
        let said = take(self.parts, &mut self.left, INDEX_LENGTH)?;
        self.sum.update(said);
        if format::u64_at(said, 0)? != length {
            return Err(Fault::Damaged("its index has another length"));
        }
        let trailer = take(self.parts, &mut self.left, TRAILER)?;
        self.sum.update(&trailer[..TRAILER / 2]);
        format::trailer(trailer, self.sum.finalize())
    }
}

/// Takes so many bytes of a file that has so many left.
fn take<'p, I: Iterator<Item = Bytes>>(
    parts: &'p mut Parts<I>,
    left: &mut u64,
    count: usize,
) -> Result<&'p [u8], Fault> {
    *left = left.checked_sub(count as u64).ok_or(Fault::Short)?;
    parts.take(count).ok_or(Fault::Short)
}
