//! The parts that signatures are made of: headers that may come once, timestamps with a window, keyed hashes, hex.
//! Secrets are compared in constant time.

use super::verdict::{Input, Reason};
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use shared::settings::Secret;
use std::fmt;

/// Returns a header that must be there exactly once.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h [u8], Reason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (Some(_), Some(_)) => Err(Reason::DuplicateHeader),
        (None, _) => Err(Reason::MissingSignature),
    }
}

/// Checks a signed timestamp, decimal seconds since the Unix epoch, against the window.
pub(super) fn timestamp(text: &[u8], input: Input<'_>) -> Result<u64, Reason> {
    let digits = (1..=12).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let seconds: u64 = std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or(Reason::MalformedTimestamp)?;
    let now = input.now_ms / 1_000;
    if seconds.abs_diff(now) <= input.window_s {
        Ok(seconds)
    } else if seconds < now {
        Err(Reason::Stale)
    } else {
        Err(Reason::Future)
    }
}

/// HMAC-SHA256 keys of one source: the current one and those that are being rotated out. The keyed state is prepared
/// once.
#[derive(Clone)]
pub(super) struct HmacKeys(Vec<Hmac<Sha256>>);

impl fmt::Debug for HmacKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl HmacKeys {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn from_secrets<'s>(secrets: impl Iterator<Item = &'s Secret>) -> Self {
        let mut keys = Self::none();
        secrets.for_each(|secret| keys.push(secret.expose().as_bytes()));
        keys
    }

    pub(super) fn push(&mut self, key: &[u8]) {
        // HMAC takes keys of every length, so there is no error to pass on.
        self.0.extend(Hmac::<Sha256>::new_from_slice(key));
    }

    /// Returns whether one of the keys makes `signature` over the parts.
    pub(super) fn verify(&self, parts: &[&[u8]], signature: &[u8; 32]) -> bool {
        self.0.iter().any(|key| self::keyed(key, parts).verify_slice(signature).is_ok())
    }

    /// Returns what each of the keys makes of the parts: for requests that carry many signatures, since what a stranger
    /// makes us hash must not grow with how many they write.
    pub(super) fn tags(&self, parts: &[&[u8]]) -> Tags {
        Tags(self.0.iter().map(|key| self::keyed(key, parts).finalize()).collect())
    }
}

/// The right signatures of one body, one for each key.
pub(super) struct Tags(Vec<CtOutput<Hmac<Sha256>>>);

impl Tags {
    /// Returns whether `signature` is one of them, in constant time.
    pub(super) fn contain(&self, signature: [u8; 32]) -> bool {
        let given = CtOutput::new(signature.into());
        self.0.iter().fold(false, |found, tag| (*tag == given) | found)
    }
}

fn keyed(key: &Hmac<Sha256>, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// Reads 32 bytes of hex in lower case; the platforms that sign in hex write no other.
pub(super) fn lower_hex(text: &[u8]) -> Result<[u8; 32], Reason> {
    let mut out = [0; 32];
    if text.iter().any(u8::is_ascii_uppercase) || hex::decode_to_slice(text, &mut out).is_err() {
        return Err(Reason::MalformedSignature);
    }
    Ok(out)
}

/// Returns a dedupe key for an event without an id: 16 bytes of SHA-256 over the parts with their lengths, as hex.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}
