//! Takes comments and texts out of Rust source, so that a rule sees only code. Lines stay where they are.

/// Returns `source` with every comment, string and character literal blanked.
pub(crate) fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped(bytes, at);
        if end > at {
            out.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at = end;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn skipped(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + find(rest, b"*/").map_or(rest.len(), |end| end + 2);
    }
    if !word_before && (rest.starts_with(b"r\"") || rest.starts_with(b"r#")) {
        let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let from = 2 + hashes;
            return at + find(&rest[from..], &close).map_or(rest.len(), |end| from + end + close.len());
        }
    }
    match rest[0] {
        b'"' => at + literal_end(rest, b'"'),
        // A lifetime has no closing quote right behind its first character.
        b'\'' if rest.get(1) == Some(&b'\\') || rest.get(2) == Some(&b'\'') => at + literal_end(rest, b'\''),
        _ => at,
    }
}

fn literal_end(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[test]
fn only_code_is_left() {
    let source =
        "use a; // tokio\nlet x = \"sqlx::\\\" y\"; /* async\n */ let c = '\"'; fn f<'a>() {} r#\"tokio \" \"# z";
    let left = code(source);
    assert!(!left.contains("tokio") && !left.contains("sqlx") && !left.contains("async"), "{left}");
    assert!(left.contains("use a;") && left.contains("fn f<'a>() {}") && left.ends_with(" z"), "{left}");
    assert_eq!(left.lines().count(), source.lines().count());
}
