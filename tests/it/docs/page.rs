//! One page: its blocks, what they are expected to say, its links. Pure but for reading the file.

use std::{fs, path::Path};

/// What a page's commands need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// An empty folder.
    Shell,
    /// A running cluster beside it.
    Cluster,
}

/// A block that is run, with what it should say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) commands: String,
    pub(super) expected: Option<String>,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) name: String,
    pub(super) need: Need,
    pub(super) blocks: Vec<Block>,
    text: String,
    faults: Vec<String>,
}

/// Kinds of fences that are shown and not run.
const SHOWN: &[&str] =
    &["text", "console", "rust", "toml", "json", "python", "js", "sql", "yaml", "ini", "http", "nginx", "html"];

/// Stands before a block's output.
const MARK: &str = "\u{1e}block ";

impl Page {
    pub(super) fn read(root: &Path, file: &Path) -> Self {
        let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
        Self::parse(name, fs::read_to_string(file).expect("a page"))
    }

    pub(super) fn parse(name: String, text: String) -> Self {
        let need = text.lines().take(8).find_map(|line| line.strip_prefix("<!-- doc-test: ")?.strip_suffix(" -->"));
        let mut faults = Vec::new();
        let need = match need {
            None | Some("shell") => Need::Shell,
            Some("cluster") => Need::Cluster,
            Some(other) => {
                faults.push(format!("{name}: doc-test: {other} is unknown"));
                Need::Shell
            }
        };
        let (mut blocks, mut lines) = (Vec::<Block>::new(), text.lines().enumerate().peekable());
        // Whether nothing but empty lines stood since the last block that is run.
        let mut follows = false;
        while let Some((at, line)) = lines.next() {
            let Some(kind) = line.trim_start().strip_prefix("```") else {
                follows &= line.trim().is_empty();
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let mut content = String::new();
            let mut closed = false;
            for (_, line) in lines.by_ref() {
                if line.trim() == "```" {
                    closed = true;
                    break;
                }
                content.push_str(line.get(indent..).unwrap_or_default());
                content.push('\n');
            }
            let place = format!("{name}:{}", at + 1);
            if !closed {
                faults.push(format!("{place}: the block has no end"));
            }
            match kind.split_whitespace().next().unwrap_or_default() {
                "sh" => {
                    blocks.push(Block { line: at + 1, commands: content, expected: None });
                    follows = true;
                    continue;
                }
                "text" if follows => {
                    if let Some(block) = blocks.last_mut() {
                        block.expected = Some(content);
                    }
                }
                kind if SHOWN.contains(&kind) => {}
                kind => {
                    faults.push(format!("{place}: ```{kind} is unknown: sh is run, {} are shown", SHOWN.join(", ")))
                }
            }
            follows = false;
        }
        Self { name, need, blocks, text, faults }
    }

    /// Returns the page's blocks as one script that says where each begins.
    pub(super) fn script(&self) -> String {
        let mut script = "set -euo pipefail\n".to_owned();
        for block in &self.blocks {
            script.push_str(&format!("printf '\\036block %s\\n' {}\n{}\n", block.line, block.commands));
        }
        script
    }

    /// Splits what the script said at the blocks' beginnings.
    pub(super) fn split(&self, said: &str) -> Vec<String> {
        let parts = said.split(MARK).skip(1);
        parts.map(|part| part.split_once('\n').map_or("", |(_, rest)| rest).to_owned()).collect()
    }

    /// Compares what the blocks said with what the page shows.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn compare(&self, said: &[String]) -> Result<(), String> {
        if said.len() != self.blocks.len() {
            return Err(format!("{} of {} blocks were run", said.len(), self.blocks.len()));
        }
        for (block, said) in self.blocks.iter().zip(said) {
            if let Some(expected) = &block.expected
                && !matches(expected, said)
            {
                return Err(format!("line {}: expected\n{expected}but it said\n{said}", block.line));
            }
        }
        Ok(())
    }

    /// Returns what is wrong with the page by itself.
    pub(super) fn faults(&self, root: &Path) -> Vec<String> {
        let folder = root.join(&self.name);
        let folder = folder.parent().unwrap_or(root);
        let mut faults = self.faults.clone();
        for link in self.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.contains(char::is_whitespace);
            if !elsewhere && !folder.join(path).exists() {
                faults.push(format!("{}: the link to {link} leads nowhere", self.name));
            }
        }
        faults
    }
}

/// Returns whether `said` is what `expected` shows: line by line, `…` for anything, `…` alone for any lines. How wide white
/// space is does not count.
fn matches(expected: &str, said: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (expected, said) = (lines(expected), lines(said));
    let alike = |expected: &String, said: &String| wild(expected, said);
    sequence(&expected, &said, "…", &alike)
}

/// Whether the pieces of `expected` are those of `said`, where a piece that is `any` stands for any number.
fn sequence(expected: &[String], said: &[String], any: &str, alike: &dyn Fn(&String, &String) -> bool) -> bool {
    match expected.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first == any => (0..=said.len()).any(|skip| sequence(rest, &said[skip..], any, alike)),
        Some((first, rest)) => {
            said.split_first().is_some_and(|(said, more)| alike(first, said) && sequence(rest, more, any, alike))
        }
    }
}

fn wild(expected: &str, said: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page::parse("page.md".to_owned(), text.to_owned())
    }

    #[test]
    fn a_text_block_right_behind_a_command_is_what_it_should_say() {
        let read = page(
            "<!-- doc-test: cluster -->\n```sh\necho a\n```\n\n```text\na\n```\n```text\nfree\n```\n```sh\necho b\n```\nwords\n```text\nfree\n```\n",
        );
        assert_eq!(read.need, Need::Cluster);
        let expected: Vec<_> = read.blocks.iter().map(|block| block.expected.as_deref()).collect();
        assert_eq!(expected, [Some("a\n"), None]);
        let said = read.split("noise\n\u{1e}block 2\na\n\u{1e}block 12\nb\n");
        assert_eq!(said, ["a\n", "b\n"]);
        assert_eq!(read.compare(&said), Ok(()));
        assert!(read.compare(&["c\n".to_owned(), "b\n".to_owned()]).is_err());
        assert!(read.compare(&said[..1]).is_err());
    }

    #[test]
    fn dots_stand_for_anything_and_nothing_else_does() {
        assert!(matches("a …\n…\nlast", "a b c\nx\ny\nlast\n") && matches("a   b", "a b") && matches("…x…", "1x2"));
        assert!(!matches("a", "a\nb") && !matches("a\nb", "a") && !matches("a…c", "ab") && !matches("", "x"));
    }

    #[test]
    fn what_nobody_runs_or_shows_is_a_fault() {
        let faults = page("```bash\nls\n```\n```sh\nls").faults(Path::new("/"));
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(page("[a](nowhere.md) [b](https://x) [c](#d)").faults(Path::new("/"))[0].contains("nowhere.md"));
    }
}
