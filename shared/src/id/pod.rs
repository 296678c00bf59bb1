//! Names of gateway pods and of their data folders' lives.

use super::IdError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// The name of a gateway pod, for example `gateway-3`: a DNS label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PodId(Arc<str>);

impl PodId {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number behind the last `-`, as a StatefulSet gives it.
    pub fn ordinal(&self) -> Option<u32> {
        self.0.rsplit_once('-').and_then(|(_, n)| n.parse().ok())
    }
}

impl FromStr for PodId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(label);
        if fits && !text.starts_with('-') && !text.ends_with('-') { Ok(Self(text.into())) } else { Err(IdError::Pod) }
    }
}

impl TryFrom<String> for PodId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<PodId> for String {
    fn from(id: PodId) -> Self {
        id.0.to_string()
    }
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One unbroken life of a pod's data folder (LITESTREAM.md, Boot): a UUID, made once with the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Incarnation(Arc<str>);

impl Incarnation {
    /// Returns what stands for one that is not known: the UUID of nothing, which no folder has.
    pub fn unknown() -> Self {
        Self("00000000-0000-0000-0000-000000000000".into())
    }

    /// Returns the UUID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Incarnation {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let hyphen = |i: usize| matches!(i, 8 | 13 | 18 | 23);
        let well = text.len() == 36
            && text.bytes().enumerate().all(|(i, b)| if hyphen(i) { b == b'-' } else { b.is_ascii_hexdigit() });
        if well { Ok(Self(text.to_ascii_lowercase().into())) } else { Err(IdError::Incarnation) }
    }
}

impl TryFrom<String> for Incarnation {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Incarnation> for String {
    fn from(id: Incarnation) -> Self {
        id.0.to_string()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_a_dns_label_with_an_ordinal() {
        let pod: PodId = "gateway-12".parse().expect("valid");
        assert_eq!(pod.ordinal(), Some(12));
        for bad in ["", "-a", "a-", "Gateway-0", "a.b", &"a".repeat(64)] {
            assert_eq!(bad.parse::<PodId>(), Err(IdError::Pod), "{bad:?}");
        }
    }

    #[test]
    fn an_incarnation_is_a_uuid() {
        assert!("0190163d-8694-739b-aea5-966c26f8ad91".parse::<Incarnation>().is_ok());
        assert!("0190163d-8694-739b-aea5-966c26f8ad9".parse::<Incarnation>().is_err());
        assert!("../../etc/passwd/../../../../../../etc".parse::<Incarnation>().is_err());
    }
}
