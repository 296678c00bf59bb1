//! The last lines a child wrote, as a person reads them: what `up` shows when the child dies.

use crate::output::plain;
use serde_json::Value;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// How many lines are shown.
const LINES: usize = 15;
/// How far back they are looked for.
const BYTES: u64 = 64 << 10;

/// Returns the last lines of `path` behind byte `from`, where the child's life began. A log that cannot be read shows
/// nothing: the death itself is what matters.
pub(super) fn last_lines(path: &Path, from: u64) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.min(size).max(size.saturating_sub(BYTES))))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| readable(line)).collect()
}

/// Turns a JSON log line into `time LEVEL message field=value …`; leaves other lines as they are, without control
/// characters.
fn readable(line: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(line) else { return plain(line) };
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let (time, level, message) = (take("timestamp"), take("level"), take("message"));
    take("module");
    let clock = time.split_once('T').map_or(time.as_str(), |(_, clock)| clock.get(..8).unwrap_or(clock));
    let mut text = format!("{clock} {level:<5} {message}");
    for (name, value) in &fields {
        match value {
            Value::String(value) => text.push_str(&format!(" {name}={value}")),
            value => text.push_str(&format!(" {name}={value}")),
        }
    }
    plain(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_reads_like_a_sentence() {
        let line = r#"{"timestamp":"2026-11-20T18:01:02.123Z","level":"WARN","message":"waiting","target":"slack:guild:T1","module":"gateway::agent","error":"refused","attempt":3}"#;
        assert_eq!(readable(line), "18:01:02 WARN  waiting attempt=3 error=refused target=slack:guild:T1");
        assert_eq!(readable("thread panicked\u{1b}[31m"), "thread panicked\\u{1b}[31m");
    }

    #[test]
    fn only_the_last_lines_of_this_life_are_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.log");
        let old = "old\n".repeat(20);
        std::fs::write(&path, format!("{old}new 1\nnew 2\n")).expect("written");
        assert_eq!(last_lines(&path, old.len() as u64), ["new 1", "new 2"]);
        assert_eq!(last_lines(&path, 0).len(), LINES);
        assert!(last_lines(&dir.path().join("none"), 0).is_empty());
    }
}
