//! Settings: secrets that never show, values that may come from a file, and the parsers flags share. Every bound of Berth
//! is a flag with a `BERTH_…` name and a default; `clap` documents them.

mod aliases;

pub use aliases::with_aliases;
use std::{fmt, path::Path, time::Duration};

/// A secret. Its `Debug` and `Display` show nothing, so it cannot reach a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the secret itself, for comparing and signing only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether `given` is the secret, in constant time for equal lengths.
    pub fn matches(&self, given: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(given).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a setting was refused. The text says what to set.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// Both the value and the file were given.
    #[error("{0} and {0}_FILE are both set; keep one")]
    Both(&'static str),
    /// The file cannot be read.
    #[error("{name}_FILE names {path}, which cannot be read: {source}")]
    File {
        /// The setting.
        name: &'static str,
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The value does not have the form it must have.
    #[error("{name}: {detail}")]
    Form {
        /// The setting.
        name: &'static str,
        /// What is wrong, and what form it should have. Never the value itself.
        detail: String,
    },
    /// Something that has no safe default is missing.
    #[error("{name} is not set; {remedy}")]
    Missing {
        /// The setting.
        name: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

/// Returns the value of a setting that may be given directly or as a file (`NAME` or `NAME_FILE`), without the white
/// space around it. An empty value counts as none.
///
/// # Errors
/// When both are given or the file cannot be read.
pub fn value_or_file(
    name: &'static str,
    value: Option<&str>,
    file: Option<&Path>,
) -> Result<Option<String>, SettingError> {
    let text = match (value.filter(|value| !value.trim().is_empty()), file) {
        (Some(_), Some(_)) => return Err(SettingError::Both(name)),
        (Some(value), None) => value.to_owned(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|source| SettingError::File {
            name,
            path: path.display().to_string(),
            source,
        })?,
        (None, None) => return Ok(None),
    };
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// Splits a list at commas, dropping white space and empty parts.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Splits a list of `name=value` pairs. The value may contain `=`.
///
/// # Errors
/// When a part has no `=`, or a name is empty.
pub fn pairs<'a>(name: &'static str, text: &'a str) -> Result<Vec<(&'a str, &'a str)>, SettingError> {
    list(text)
        .map(|part| {
            part.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| SettingError::Form {
                name,
                detail: "expected name=value, several separated by commas".to_owned(),
            })
        })
        .collect()
}

/// Parses a duration like `6s` or `250ms`: a `clap` value parser.
///
/// # Errors
/// A sentence that shows the form.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|why| format!("expected a duration like 6s or 250ms: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {secret}"), "*** ***");
        assert!(secret.matches(b"hunter2") && !secret.matches(b"hunter") && !secret.matches(b""));
    }

    #[test]
    fn a_value_comes_from_one_place() {
        let both = value_or_file("X", Some("a"), Some(Path::new("/dev/null")));
        assert!(matches!(both, Err(SettingError::Both("X"))));
        assert_eq!(value_or_file("X", Some("  "), None).expect("empty"), None);
        assert_eq!(value_or_file("X", Some(" a\n"), None).expect("given").as_deref(), Some("a"));
        assert!(value_or_file("X", None, Some(Path::new("/does/not/exist"))).is_err());
    }

    #[test]
    fn pairs_keep_what_follows_the_first_equals_sign() {
        assert_eq!(pairs("X", "a=1, b=x==").expect("well formed"), [("a", "1"), ("b", "x==")]);
        assert!(pairs("X", "a").is_err() && pairs("X", "=a").is_err());
    }
}
