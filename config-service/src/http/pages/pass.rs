//! The pass a browser keeps after signing in. It is made from a token and opens the pages only, and what they do as far as that
//! token may: whoever gets hold of it cannot call the API. The service keeps nothing; a token that is not accepted any more ends the passes made from it.
//! Pure: the time comes in.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long a pass is good for.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// What passes of a token are made with: the token's SHA-256.
pub(super) type Key = [u8; 32];

/// Returns the key of a token.
pub(super) fn key(token: &str) -> Key {
    Sha256::digest(token).into()
}

/// Returns the key of a token of which only the hash is kept, in hex.
pub(super) fn kept(hash: &str) -> Option<Key> {
    hex::decode(hash).ok()?.try_into().ok()
}

/// Makes a pass: when it ends, in seconds since the Unix epoch, and the proof.
pub(super) fn issue(key: &Key, now_ms: u64) -> String {
    let ends = now_ms / 1_000 + LASTS.as_secs();
    format!("{ends}.{}", hex::encode(proof(key, ends).finalize().into_bytes()))
}

/// Returns whose of `keys` a pass was made with that has not ended.
pub(super) fn owner<T>(pass: &str, keys: impl Iterator<Item = (Key, T)>, now_ms: u64) -> Option<T> {
    let (ends, given) = pass.split_once('.')?;
    let (ends, given) = (ends.parse::<u64>().ok()?, hex::decode(given).ok()?);
    let latest = now_ms / 1_000 + LASTS.as_secs();
    let in_time = ends > now_ms / 1_000 && ends <= latest;
    // Every key is tried: how long this takes says nothing about which one fits.
    let fitting = keys.filter(|(key, _)| proof(key, ends).verify_slice(&given).is_ok());
    fitting.last().map(|(_, owner)| owner).filter(|_| in_time)
}

fn proof(key: &Key, ends: u64) -> Hmac<Sha256> {
    let mut proof = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    proof.update(b"berth page 1 ");
    proof.update(&ends.to_be_bytes());
    proof
}
