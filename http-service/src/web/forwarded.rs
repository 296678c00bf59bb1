//! `X-Forwarded-…`: what the application is told of whoever asks. Decides whose word counts. Pure.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What else says the same, and what applications read in its place.
const OTHERS: [HeaderName; 4] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// Writes the three headers. `trusted`: a proxy of the operator's stands in front and has written them; its word counts
/// and whoever it talks for comes first. Else what came is somebody's claim and goes.
pub(super) fn forwarded(headers: &mut HeaderMap, peer: Option<IpAddr>, trusted: bool) {
    if !trusted {
        for name in [FOR, PROTO, HOST].iter().chain(&OTHERS) {
            headers.remove(name);
        }
    }
    if let Some(peer) = peer {
        let before = headers.get_all(FOR).into_iter().filter_map(|value| value.to_str().ok());
        let all: Vec<_> = before.map(str::to_owned).chain([peer.to_canonical().to_string()]).collect();
        if let Ok(all) = HeaderValue::try_from(all.join(", ")) {
            headers.insert(FOR, all);
        }
    }
    headers.entry(PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.entry(HOST).or_insert(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(given: &[(&'static str, &'static str)], trusted: bool) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        forwarded(&mut headers, Some([10, 0, 0, 9].into()), trusted);
        let text = |value: &HeaderValue| value.to_str().expect("ascii").to_owned();
        let mut all: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        all.sort();
        all
    }

    const CLAIMED: &[(&str, &str)] = &[
        ("host", "bot.example"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "other.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
    ];

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_anybody_claims_is_not_believed() {
        let said = [
            ("host", "bot.example"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-host", "bot.example"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(after(CLAIMED, false), pairs(&said));
    }

    #[test]
    fn the_word_of_ones_own_proxy_counts_and_it_is_named_too() {
        let said = after(CLAIMED, true);
        assert!(said.contains(&("x-forwarded-for".to_owned(), "1.2.3.4, 10.0.0.9".to_owned())), "{said:?}");
        assert!(said.contains(&("x-forwarded-proto".to_owned(), "https".to_owned())), "{said:?}");
        assert!(said.contains(&("x-forwarded-host".to_owned(), "other.example".to_owned())), "{said:?}");
    }
}
