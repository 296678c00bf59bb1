//! Parcels of several moves in one body: each behind the number of its move, for how long its target has accepted nothing,
//! and its length. Knows nothing of what is in them.

use super::parcel::{Parcel, Unreadable};
use shared::MoveId;
use std::time::Duration;

/// Bytes before each parcel, little-endian: number (8), milliseconds (4), length (4).
const BEFORE: usize = 16;

/// Parcels that travel together.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    bytes: Vec<u8>,
    /// Where each begins, and whose it is.
    begins: Vec<(usize, MoveId)>,
}

/// It is no bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoBundle {
    /// It ends in the middle.
    #[error("the body ends in the middle of a parcel")]
    Short,
    /// What is in it is no parcel.
    #[error(transparent)]
    Parcel(#[from] Unreadable),
}

/// A parcel out of a bundle.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Its move.
    pub(crate) id: MoveId,
    /// For how long its target had accepted nothing when it was sent.
    pub(crate) frozen: Duration,
    /// The parcel.
    pub(crate) parcel: Parcel,
}

impl Bundle {
    /// Adds a parcel, as it is written.
    pub(crate) fn add(&mut self, id: MoveId, parcel: &[u8]) {
        self.begins.push((self.bytes.len(), id));
        self.bytes.extend(id.0.to_le_bytes());
        self.bytes.extend(0_u32.to_le_bytes());
        self.bytes.extend(u32::try_from(parcel.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend(parcel);
    }

    /// Writes down for how long each target has accepted nothing.
    pub(crate) fn stamp(&mut self, frozen: impl Fn(MoveId) -> Duration) {
        for (begin, id) in &self.begins {
            let ms = u32::try_from(frozen(*id).as_millis()).unwrap_or(u32::MAX);
            self.bytes[begin + 8..begin + 12].copy_from_slice(&ms.to_le_bytes());
        }
    }

    /// Returns how many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns it as it is sent.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Reads the parcels of one, in their order.
    ///
    /// # Errors
    /// [`NoBundle`].
    pub(crate) fn read(mut bytes: &[u8]) -> Result<Vec<Piece>, NoBundle> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (before, rest) = bytes.split_first_chunk::<BEFORE>().ok_or(NoBundle::Short)?;
            let number = u128::from_le_bytes(*before);
            let (id, frozen_ms, length) = (number as u64, (number >> 64) as u32, (number >> 96) as usize);
            let (parcel, rest) = rest.split_at_checked(length).ok_or(NoBundle::Short)?;
            let frozen = Duration::from_millis(frozen_ms.into());
            pieces.push(Piece { id: MoveId(id), frozen, parcel: Parcel::read(parcel)? });
            bytes = rest;
        }
        Ok(pieces)
    }
}
