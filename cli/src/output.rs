//! What is printed, and how: data on standard output as a table or as JSON, everything else on standard error. Names
//! come from outside and may be hostile: no control character of theirs reaches a terminal.

use crate::exit::Failure;
use serde::Serialize;
use std::{fmt::Write as _, io::Write as _};

/// The form of data on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// Names only, one a line
    Name,
}

/// A table: the first row is the head.
#[derive(Debug)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    /// Makes a table with its head.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|cell| (*cell).to_owned()).collect()])
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// Returns the table as text, columns two spaces apart, nothing behind the last one.
    pub(crate) fn render(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.0 {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ", width = *width);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Says whether a character could move a cursor, or hide or turn what stands beside it.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns JSON that means the same, with hostile characters escaped in the way of JSON. Those below a space are escaped
/// already, except for the line feeds between its parts.
pub(crate) fn tame(json: &str) -> String {
    if !json.chars().any(|c| c >= ' ' && is_hostile(c)) {
        return json.to_owned();
    }
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if c >= ' ' && is_hostile(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
        out
    })
}

/// Returns `text` with control characters, bidirectional overrides and other invisible troublemakers written out.
pub(crate) fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if is_hostile(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

/// Writes `text` to standard output. A reader that has gone away (`| head`) is no failure.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::error(format!("cannot write to standard output: {why}")))
        }
        _ => Ok(()),
    }
}

/// Prints rows in the asked form. `name` and `cells` say how a row reads where it is not JSON; `document` is what
/// `-o json` prints.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn rows<T: Serialize>(
    format: Format,
    document: &impl Serialize,
    rows: &[T],
    head: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    match format {
        Format::Json => print(&json(document)),
        Format::Jsonl => print(&rows.iter().map(|row| line(row) + "\n").collect::<String>()),
        Format::Name => {
            print(&rows.iter().filter_map(|row| cells(row).first().map(|name| plain(name) + "\n")).collect::<String>())
        }
        Format::Table => {
            let mut table = Table::new(head);
            rows.iter().for_each(|row| table.row(cells(row)));
            print(&table.render())
        }
    }
}

/// Returns a JSON document with line feeds for people; control characters in strings are escaped by JSON itself.
pub(crate) fn json(value: &impl Serialize) -> String {
    tame(&serde_json::to_string_pretty(value).unwrap_or_else(|why| format!("{{\"error\":\"{why}\"}}"))) + "\n"
}

fn line(value: &impl Serialize) -> String {
    tame(&serde_json::to_string(value).unwrap_or_else(|why| format!("{{\"error\":\"{why}\"}}")))
}

/// Returns a time span for people: the two largest units at most, `-` for none.
pub(crate) fn ago(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{}.{}s", seconds, ms % 1_000 / 100),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_hostile_names_cannot_move_the_cursor() {
        let mut table = Table::new(&["NAME", "POD"]);
        table.row(["a".to_owned(), "gateway-0".to_owned()]);
        table.row(["\u{1b}[1mx\n\u{202e}".to_owned(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME                     POD\na                        gateway-0\n\\u{1b}[1mx\\u{a}\\u{202e}\n"
        );
    }

    #[test]
    fn json_means_the_same_and_holds_nothing_that_turns_or_moves_what_is_shown() {
        let hostile = "a\u{1b}[1m\u{9b}2J\u{202e}\u{7f}\u{e0041}\n\u{fc}";
        for text in [json(&hostile), line(&hostile)] {
            assert!(text.trim_end().chars().all(|c| !is_hostile(c)), "{text}");
            assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), hostile);
        }
    }

    #[test]
    fn spans_read_at_a_glance() {
        assert_eq!(
            [ago(7), ago(1_250), ago(61_000), ago(3_661_000), ago(90_000_000)].join(" "),
            "7ms 1.2s 1m1s 1h1m 1d1h"
        );
    }
}
