//! The payloads and signature vectors that lie beside the project, for those who have them. They are no part of it: a
//! test that needs them says so and ends when they are not there.

use std::path::PathBuf;

/// Returns the folder of fixtures, or says on standard error that the test is skipped.
pub fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fixtures"));
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there", folder.display());
    None
}

/// Reads a JSON file of the folder.
///
/// # Panics
/// When it is missing or no JSON: the folder is there, so it must be whole.
pub fn json(name: &str) -> serde_json::Value {
    let path = folder().expect("asked for only when the folder is there").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Returns the names and bytes of all files in a sub-folder, ordered by name.
///
/// # Panics
/// When it cannot be read.
pub fn files(sub: &str) -> Vec<(String, Vec<u8>)> {
    let path = folder().expect("asked for only when the folder is there").join(sub);
    let entries = std::fs::read_dir(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let mut all: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("a readable folder");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("a readable file"))
        })
        .collect();
    all.sort();
    all
}
