//! How payloads are packed for the way: plain, each by itself, or as one stream over the whole connection. Knows nothing of
//! what they say.

use axum::{body::Bytes, extract::ws::Message};
use flate2::{Compress, Compression, FlushCompress};

/// The packing of one connection.
pub(super) enum Packer {
    Plain,
    /// One zlib stream over the connection; each payload ends with a flush, so its last bytes are 00 00 FF FF.
    Zlib(Box<Compress>),
    /// One zstd frame over the connection; `true` once it has begun.
    Zstd(bool),
    /// A zlib stream of its own for each payload, as IDENTIFY can ask for.
    Each,
}

impl Packer {
    /// What `compress=` in the URL asks for; unknown words ask for nothing.
    pub(super) fn asked(compress: Option<&str>) -> Self {
        match compress {
            Some("zlib-stream") => Self::Zlib(Box::new(Compress::new(Compression::fast(), true))),
            Some("zstd-stream") => Self::Zstd(false),
            _ => Self::Plain,
        }
    }

    /// Packs one payload.
    pub(super) fn pack(&mut self, text: &str) -> Message {
        match self {
            Self::Plain => Message::Text(text.into()),
            Self::Zlib(stream) => binary(zlib(stream, text.as_bytes(), FlushCompress::Sync)),
            Self::Zstd(begun) => binary(zstd(begun, text.as_bytes())),
            Self::Each => {
                let mut stream = Compress::new(Compression::fast(), true);
                binary(zlib(&mut stream, text.as_bytes(), FlushCompress::Finish))
            }
        }
    }
}

fn binary(bytes: Vec<u8>) -> Message {
    Message::Binary(Bytes::from(bytes))
}

fn zlib(stream: &mut Compress, bytes: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    let before = stream.total_in();
    loop {
        let taken = usize::try_from(stream.total_in() - before).unwrap_or(bytes.len());
        // Only misuse of the stream is an error, and there is none: what was packed so far is all there is.
        let ended = stream.compress_vec(&bytes[taken..], &mut out, flush).is_err();
        let taken = usize::try_from(stream.total_in() - before).unwrap_or(bytes.len());
        // Room that is left means that everything is out.
        if ended || taken == bytes.len() && out.len() < out.capacity() {
            return out;
        }
        out.reserve(out.capacity().max(64));
    }
}

/// A frame of blocks that are stored as they are: every decoder reads it, and it needs no compressor. RFC 8878, 3.1.1.
fn zstd(begun: &mut bool, bytes: &[u8]) -> Vec<u8> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    /// No size, no checksum, no dictionary; a window of 128 KiB.
    const HEADER: [u8; 2] = [0x00, 0x38];
    const BLOCK: usize = 128 << 10;
    let mut out = Vec::with_capacity(bytes.len() + 16);
    if !std::mem::replace(begun, true) {
        out.extend(MAGIC);
        out.extend(HEADER);
    }
    for block in bytes.chunks(BLOCK) {
        // Not the last one, stored; the size is above these three bits.
        let header = u32::try_from(block.len()).unwrap_or_default() << 3;
        out.extend(&header.to_le_bytes()[..3]);
        out.extend(block);
    }
    out
}

#[cfg(test)]
mod tests;
