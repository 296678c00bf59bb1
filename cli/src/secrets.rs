//! The secrets `berth up` makes, so that every source is on from the first minute, and keeps in its data folder. What
//! the user gives wins over them; that is decided where the children's environment is put together (`up::settings`).

use crate::{
    exit::Failure,
    home::{self, Home},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use std::{fmt, fs, os::unix::fs::PermissionsExt};

/// The bot and the Standard Webhooks source that `up` makes secrets for.
pub(crate) const DEMO: &str = "demo";

/// A full set of made secrets. Prints nothing of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Ed25519 seed, hex: it plays Discord, whose private key nobody else has.
    pub(crate) discord_private_key: String,
    /// The public key that belongs to it, hex.
    pub(crate) discord_public_key: String,
    /// Secret token of the Telegram bot `demo`.
    pub(crate) telegram_secret: String,
    /// Slack signing secret.
    pub(crate) slack_signing_secret: String,
    /// `whsec_…` of the Standard Webhooks source `demo`.
    pub(crate) standard_secret: String,
    /// GitHub webhook secret.
    pub(crate) github_secret: String,
    /// May change things through the admin API.
    pub(crate) admin_token: String,
    /// The services present it to each other.
    pub(crate) service_token: String,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made(***)")
    }
}

impl Made {
    /// Makes a fresh set from the system's randomness.
    ///
    /// # Errors
    /// When the system has none.
    pub(crate) fn fresh() -> Result<Self, Failure> {
        let seed = random::<32>()?;
        let word = || random::<24>().map(hex::encode);
        Ok(Self {
            discord_private_key: hex::encode(seed),
            discord_public_key: hex::encode(SigningKey::from_bytes(&seed).verifying_key().as_bytes()),
            telegram_secret: word()?,
            slack_signing_secret: word()?,
            standard_secret: format!("whsec_{}", STANDARD.encode(random::<24>()?)),
            github_secret: word()?,
            admin_token: word()?,
            service_token: word()?,
        })
    }

    /// Returns the set kept in a data folder, if there is one.
    ///
    /// # Errors
    /// When it is damaged or belongs to another user.
    pub(crate) fn load(home: &Home) -> Result<Option<Self>, Failure> {
        home::read_json(&home.secrets())
    }

    /// Returns the set kept in a data folder; makes and keeps one when there is none. The file is readable by its owner
    /// only, also when somebody had opened it up.
    ///
    /// # Errors
    /// When it is damaged, or cannot be written.
    pub(crate) fn load_or_make(home: &Home) -> Result<Self, Failure> {
        if let Some(made) = Self::load(home)? {
            let path = home.secrets();
            let private = fs::Permissions::from_mode(0o600);
            fs::set_permissions(&path, private)
                .map_err(|why| Failure::error(format!("cannot make {} private: {why}", path.display())))?;
            return Ok(made);
        }
        let made = Self::fresh()?;
        home::write_private(&home.secrets(), crate::output::json(&made).as_bytes())?;
        Ok(made)
    }
}

/// Returns random bytes fit for secrets.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|why| Failure::error(format!("the system has no randomness: {why}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_stay_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::at(dir.path());
        let first = Made::load_or_make(&home).expect("made");
        fs::set_permissions(home.secrets(), fs::Permissions::from_mode(0o644)).expect("opened up");
        assert!(Made::load_or_make(&home).expect("kept") == first);
        assert_eq!(fs::metadata(home.secrets()).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(Made::fresh().expect("made") != first);
        assert_eq!(format!("{first:?}"), "Made(***)");
    }

    #[test]
    fn the_made_public_key_belongs_to_the_private_one() {
        let made = Made::fresh().expect("made");
        let seed: [u8; 32] = hex::decode(&made.discord_private_key).expect("hex").try_into().expect("32 bytes");
        let public = SigningKey::from_bytes(&seed).verifying_key();
        assert_eq!(hex::encode(public.as_bytes()), made.discord_public_key);
    }
}
