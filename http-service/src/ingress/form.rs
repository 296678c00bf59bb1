//! Reading verified forms (`application/x-www-form-urlencoded`) strictly: UTF-8, whole escapes, each field that routing
//! reads at most once.

use super::verdict::Reason;
use std::borrow::Cow;

/// Returns the wanted fields of a form, in the order asked for.
///
/// # Errors
/// [`Reason::MalformedBody`] when an escape is broken or a wanted field stands twice, [`Reason::NotUtf8`] when a decoded
/// name or value is not UTF-8.
pub(super) fn fields<'a, const N: usize>(
    text: &'a str,
    wanted: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], Reason> {
    let mut found = [const { None }; N];
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if let Some(at) = wanted.iter().position(|wanted| *wanted == name) {
            if found[at].is_some() {
                return Err(Reason::MalformedBody);
            }
            found[at] = Some(value);
        }
    }
    Ok(found)
}

fn decode(text: &str) -> Result<Cow<'_, str>, Reason> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
                let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else { return Err(Reason::MalformedBody) };
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            other => out.push(other),
        }
        at += 1;
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| Reason::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_fields_are_decoded_and_others_are_left_alone() {
        let [text, team, none] =
            fields("text=hi+%26%20you&x=1&team%5fid=T1&x=2", ["text", "team_id", "none"]).expect("ok");
        assert_eq!((text.as_deref(), team.as_deref(), none), (Some("hi & you"), Some("T1"), None));
    }

    #[test]
    fn a_form_that_two_readers_could_read_differently_is_refused() {
        assert_eq!(fields("a=1&a=2", ["a"]), Err(Reason::MalformedBody));
        assert_eq!(fields("a=1&%61=2", ["a"]), Err(Reason::MalformedBody));
        for broken in ["a=%", "a=%4", "a=%zz", "a=%+1"] {
            assert_eq!(fields(broken, ["a"]), Err(Reason::MalformedBody), "{broken}");
        }
        assert_eq!(fields("a=%ff", ["a"]), Err(Reason::NotUtf8));
    }
}
