//! Headers of a message that is passed on: what belongs to one connection and what is Berth's own is taken off
//! (RFC 9110, section 7.6.1), and whether a client asks for another protocol.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

/// The target, for the bot's application.
pub const TARGET: HeaderName = HeaderName::from_static("berth-target");
/// The epoch under which the target is owned.
pub const EPOCH: HeaderName = HeaderName::from_static("berth-epoch");
/// The pod that owns the target, in a refusal.
pub const OWNER: HeaderName = HeaderName::from_static("berth-owner");
/// What a router presents to a pod: `Authorization` belongs to the application.
pub const SERVICE_TOKEN: HeaderName = HeaderName::from_static("berth-service-token");
/// On answers that are the pod's own and not the application's: the problem's code.
pub const REFUSED: HeaderName = HeaderName::from_static("berth-refused");

const PREFIX: &str = "berth-";

/// Headers of one connection, besides those that `Connection` names. `Content-Length` stays, for the parser has checked
/// it against the body; `Trailer` stays, for trailers are passed on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Takes off what is not to be passed on: the connection's own headers, those it names, Berth's, and `Expect`, which each
/// hop answers by itself. `TE: trailers` stays.
pub fn clean(headers: &mut HeaderMap) {
    let trailers = words(headers, header::TE).any(|word| word.eq_ignore_ascii_case("trailers"));
    let named: Vec<_> = words(headers, header::CONNECTION).filter_map(|word| word.parse::<HeaderName>().ok()).collect();
    // What frames or addresses the message cannot be taken off by naming it.
    let kept = [header::CONTENT_LENGTH, header::HOST];
    for name in named.iter().filter(|name| !kept.contains(name)).chain(&HOP_BY_HOP).chain([&header::EXPECT]) {
        headers.remove(name);
    }
    let own: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Returns the protocol a client asks for with `Upgrade`, if it is one that may be tunnelled. Other versions of HTTP are
/// not: through a tunnel they would reach paths that nobody has looked at.
pub fn upgrade_asked(method: &Method, version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = version == Version::HTTP_11
        && *method == Method::GET
        && words(headers, header::CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"));
    let http = |word: &str| {
        let word = word.to_ascii_lowercase();
        ["h2", "http", "tls"].iter().any(|other| word.starts_with(other))
    };
    let protocol = headers.get(header::UPGRADE).filter(|_| asked)?;
    let mut named = words(headers, header::UPGRADE).peekable();
    (named.peek().is_some() && !named.any(http)).then(|| protocol.clone())
}

fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}
