//! Tokens of the admin API and settings of the cluster, as the database keeps them, and what changes them.

use shared::wire::admin::{Role, TokenInfo};

/// A token. The secret itself is known to its holder only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// What it is revoked by.
    pub id: String,
    /// What stands in the audit. No two tokens share a name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The SHA-256 of the secret, in hex.
    pub hash: String,
    /// When it was made, by the database's clock.
    pub created_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_ms: Option<u64>,
    /// When it was last used, to some minutes.
    pub used_ms: Option<u64>,
}

impl TokenRecord {
    /// Returns what may be shown.
    pub fn info(&self) -> TokenInfo {
        TokenInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.role,
            created_ms: self.created_ms,
            created_by: self.created_by.clone(),
            expires_ms: self.expires_ms,
            used_ms: self.used_ms,
        }
    }
}

/// A setting that somebody has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRecord {
    /// Its name.
    pub name: String,
    /// Its value, as text.
    pub value: String,
    /// Who set it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When, by the database's clock.
    pub at_ms: u64,
}

/// A change of tokens or settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A token is made; its time is stamped by the store.
    AddToken(TokenRecord),
    /// A token is revoked.
    RemoveToken(String),
    /// A token was used.
    TouchToken {
        /// Which.
        id: String,
        /// When, in milliseconds since the Unix epoch.
        used_ms: u64,
    },
    /// A setting is set; its time is stamped by the store.
    Set(SettingRecord),
    /// A setting goes back to its default.
    Clear(String),
}

impl Edit {
    /// Returns the edit as it is written at `now_ms` of the database's clock.
    #[must_use]
    pub fn stamped(&self, now_ms: u64) -> Self {
        let mut edit = self.clone();
        match &mut edit {
            Self::AddToken(token) => token.created_ms = now_ms,
            Self::Set(setting) => setting.at_ms = now_ms,
            Self::RemoveToken(_) | Self::TouchToken { .. } | Self::Clear(_) => {}
        }
        edit
    }
}
