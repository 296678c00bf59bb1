//! Bearer tokens: two at a time, so that they can be rotated.

use crate::{problem::Problem, settings::Secret};
use http::{HeaderMap, header};

/// The tokens that are accepted. Empty means: nobody.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<Secret>);

impl Tokens {
    /// Makes a set from a list separated by commas: the current token first, then one that is being rotated out.
    pub fn parse(list: &str) -> Self {
        Self(crate::settings::list(list).map(Secret::new).collect())
    }

    /// Returns the token to present to others.
    pub fn current(&self) -> Option<&Secret> {
        self.0.first()
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks `Authorization: Bearer …`, comparing with every token in constant time.
    ///
    /// # Errors
    /// 401 when the header is missing, malformed or names no accepted token.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .ok_or_else(|| Problem::unauthorized("send Authorization: Bearer with a valid token"))?;
        if self.accept(given) { Ok(()) } else { Err(Problem::unauthorized("the token is not valid here")) }
    }

    /// Returns whether `given` is one of the tokens; compares with every one in constant time.
    pub fn accept(&self, given: &[u8]) -> bool {
        self.0.iter().fold(false, |accepted, token| accepted | token.matches(given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("ascii"))])
    }

    #[test]
    fn both_tokens_count_while_one_is_rotated_out() {
        let tokens = Tokens::parse("new, old");
        assert!(tokens.check(&headers("Bearer new")).is_ok() && tokens.check(&headers("Bearer old")).is_ok());
        for bad in ["Bearer ", "Bearer older", "Basic new", "new"] {
            assert_eq!(tokens.check(&headers(bad)).map_err(|problem| problem.status), Err(401), "{bad}");
        }
        assert!(tokens.check(&HeaderMap::new()).is_err());
        assert!(Tokens::default().check(&headers("Bearer ")).is_err());
    }
}
