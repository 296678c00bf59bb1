//! Where all copies are: a bucket with a prefix, or a folder. Decides which URLs say so; holds no secret.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where all copies are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A folder of this machine, by its absolute path.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store.
    Bucket {
        /// Its name.
        bucket: String,
        /// What all keys begin with, without slashes at its ends; empty for the bucket's root.
        prefix: String,
    },
}

impl Base {
    /// Returns the path of something below the base, as Litestream's configuration has it.
    pub(crate) fn below(&self, path: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(path).display().to_string(),
            Self::Bucket { prefix, .. } if prefix.is_empty() => path.to_owned(),
            Self::Bucket { prefix, .. } => format!("{prefix}/{path}"),
        }
    }
}

impl FromStr for Base {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("file://") {
            // Percent signs are not decoded: what stands there is the path.
            return if path.starts_with('/') && !path.contains('\0') {
                Ok(Self::Folder(PathBuf::from(path)))
            } else {
                Err("a folder is written file:///ABSOLUTE/PATH".to_owned())
            };
        }
        let Some(rest) = text.strip_prefix("s3://") else {
            return Err("expected s3://BUCKET/PREFIX or file:///PATH".to_owned());
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let named = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(named) {
            return Err("a bucket's name has small letters, digits, '-', '.' and '_'".to_owned());
        }
        // Both clients of the store must write the same key, so only what none of them escapes.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let prefix = prefix.trim_matches('/');
        let well = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
        if !prefix.is_empty() && !prefix.split('/').all(well) {
            return Err("a prefix has letters, digits, '-', '_' and '.', with single slashes between".to_owned());
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file://{}", folder.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests;
