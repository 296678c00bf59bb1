//! Who may do what, and the switches of the cluster: tokens, roles, settings.

use super::{Because, REASON};
use crate::Revision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What somebody may do. Each role may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Does what can be undone, and what keeps the cluster running.
    Operator,
    /// Does what puts data or exclusivity at risk, and says who may do what.
    Admin,
}

impl Role {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| "a role is viewer, operator or admin".to_owned())
    }
}

/// A token of the admin API, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenInfo {
    /// Its id; what it is revoked by.
    pub id: String,
    /// What it is for: the name that stands in the audit.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// When it ends, in milliseconds since the Unix epoch; none when it does not.
    pub expires_ms: Option<u64>,
    /// When it was last used, to some minutes, in milliseconds since the Unix epoch; none when it never was.
    pub used_ms: Option<u64>,
}

/// `GET /v1/tokens`: all tokens, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// The tokens.
    pub tokens: Vec<TokenInfo>,
}

/// `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for, for example `deploy`; the name that stands in the audit. No two tokens share one.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"))]
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// How long it is valid, in milliseconds; for ever when it is left out.
    #[serde(default)]
    #[schemars(range(min = 1000, max = 3_155_760_000_000_u64))]
    pub ttl_ms: Option<u64>,
    /// Why, for the audit.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// The answer to [`CreateToken`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenCreated {
    /// The token.
    pub token: TokenInfo,
    /// What to present as `Authorization: Bearer …`. It is shown this once; none in a dry run, and none when the answer is
    /// repeated for the same `Idempotency-Key`.
    #[serde(default)]
    pub secret: Option<String>,
    /// The newest revision when it was made.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to `DELETE /v1/tokens/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRevoked {
    /// The token as it was.
    pub token: TokenInfo,
    /// The newest revision when it was revoked.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// A setting with its value in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingStatus {
    /// Its name.
    pub name: String,
    /// The value in force: `true` or `false` for a switch, a text like `90days` for a time.
    pub value: serde_json::Value,
    /// What is in force when nobody has set it.
    pub default: serde_json::Value,
    /// What it does.
    pub help: String,
    /// Who set it; none when the default is in force.
    pub set_by: Option<String>,
    /// Why it was set.
    pub reason: Option<String>,
    /// When it was set, in milliseconds since the Unix epoch.
    pub set_ms: Option<u64>,
}

/// `GET /v1/settings`: all settings, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingList {
    /// The settings.
    pub settings: Vec<SettingStatus>,
}

/// `PUT /v1/settings/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSetting {
    /// The new value: `true` or `false` for a switch, a text like `90days` for a time.
    #[schemars(schema_with = "setting_value")]
    pub value: serde_json::Value,
    /// Why, for the audit.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

fn setting_value(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "maxLength": 64 }] })
}

/// The answer to [`SetSetting`] and to `DELETE /v1/settings/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingChanged {
    /// The setting's name.
    pub name: String,
    /// The value in force from now on.
    pub value: serde_json::Value,
    /// The newest revision when it was changed.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

impl Because for CreateToken {
    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Because for SetSetting {
    fn reason(&self) -> &str {
        &self.reason
    }
}
