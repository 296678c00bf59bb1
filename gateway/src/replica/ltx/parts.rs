//! Bytes that come in parts, taken in pieces. Knows nothing of what they mean.

use bytes::Bytes;

/// Parts that come one after the other.
#[derive(Debug)]
pub(super) struct Parts<I> {
    parts: I,
    part: Bytes,
    /// How many bytes of the part are taken.
    taken: usize,
    /// A piece that is in more than one part.
    piece: Vec<u8>,
}

impl<I: Iterator<Item = Bytes>> Parts<I> {
    /// Begins.
    pub(super) const fn new(parts: I) -> Self {
        Self { parts, part: Bytes::new(), taken: 0, piece: Vec::new() }
    }

    /// Takes exactly so many bytes; none when there are not so many.
    pub(super) fn take(&mut self, count: usize) -> Option<&[u8]> {
        if self.part.len() - self.taken >= count {
            let from = self.taken;
            self.taken += count;
            return self.part.get(from..self.taken);
        }
        self.piece.clear();
        while self.piece.len() < count {
            if self.taken == self.part.len() {
                (self.part, self.taken) = (self.parts.next()?, 0);
            }
            let more = (count - self.piece.len()).min(self.part.len() - self.taken);
            self.piece.extend_from_slice(&self.part[self.taken..self.taken + more]);
            self.taken += more;
        }
        Some(&self.piece)
    }
}
