//! The units of deploy/systemd: systemd takes them, and what they set are settings of Berth.

use super::root;
use berth_tests::process::berth;
use std::{fs, process::Command};
use tempfile::TempDir;

fn units() -> Vec<(String, String)> {
    let all =
        fs::read_dir(root().join("deploy/systemd")).expect("the units").map(|entry| entry.expect("an entry").path());
    let name = |path: &std::path::Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut all: Vec<_> = all.map(|path| (name(&path), fs::read_to_string(&path).expect("a unit"))).collect();
    all.sort();
    all
}

#[test]
fn systemd_takes_the_units() {
    let folder = TempDir::with_prefix("berth-units-").expect("a temporary folder");
    let mut files = Vec::new();
    for (name, text) in units() {
        let file = folder.path().join(name.replace("@.", "@0."));
        fs::write(&file, text.replace("/usr/local/bin/berth", &berth().display().to_string())).expect("written");
        files.push(file);
    }
    let output = match Command::new("systemd-analyze").arg("verify").args(&files).output() {
        Ok(output) => output,
        Err(why) => return eprintln!("skipped: systemd-analyze cannot be started: {why}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours = said.lines().filter(|line| line.contains("berth-")).collect::<Vec<_>>();
    assert!(ours.is_empty(), "{}", ours.join("\n"));
}

#[test]
fn what_units_and_pages_set_are_settings() {
    let reference = fs::read_to_string(root().join("docs/configuration.md")).expect("the reference");
    let mut texts = units();
    for page in
        ["docs/hosts.md", "docs/web.md", "docs/failure-modes.md", "docs/troubleshooting.md", "docs/operations.md"]
    {
        texts.push((page.to_owned(), fs::read_to_string(root().join(page)).expect("a page")));
    }
    let part = |c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let mut unknown = Vec::new();
    for (name, text) in &texts {
        for word in text.split(part).filter(|word| word.starts_with("BERTH_") && word.len() > "BERTH_".len()) {
            let plain = word.strip_suffix("_FILE").unwrap_or(word);
            if !reference.contains(&format!("`{word}`")) && !reference.contains(&format!("`{plain}`")) {
                unknown.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(unknown.is_empty(), "no role has these settings: {}", unknown.join(", "));
}
