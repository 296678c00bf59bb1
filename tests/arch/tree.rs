//! Reads the workspace: its packages, its sources, its migrations. Judges nothing.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A source file; `path` is relative to the workspace, with `/`.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A package with the workspace packages it depends on, for whatever purpose.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) imports: Vec<String>,
    pub(crate) takes_lints: bool,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let list = metadata["packages"].as_array().expect("packages").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|package| {
            let manifest = fs::read_to_string(text(&package["manifest_path"])).expect("a manifest");
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let own = dependencies.iter().filter(|dependency| dependency["path"].is_string());
            Package {
                name: text(&package["name"]),
                imports: own.map(|dependency| text(&dependency["name"])).collect(),
                takes_lints: manifest.contains("[lints]\nworkspace = true"),
            }
        })
        .collect()
}

/// Returns all Rust sources of the workspace, ordered by path.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut all = Vec::new();
    for package in ["shared", "config-service", "gateway", "http-service", "discord-double", "cli", "tests", "examples"]
    {
        walk(&root.join(package), &mut |path| {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).expect("a readable source");
                all.push(Source { path: relative(&root, path), text });
            }
        });
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// Returns all migrations, relative to the workspace.
pub(crate) fn migrations() -> Vec<String> {
    let root = root();
    let mut all = Vec::new();
    walk(&root.join("migrations"), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "sql") {
            all.push(relative(&root, path));
        }
    });
    all
}

/// Returns what is wrong when a source lies in a folder `foo/` without a `foo.rs` beside it.
pub(crate) fn missing_parent(path: &str) -> Option<String> {
    let (folder, _) = path.rsplit_once('/')?;
    let (_, inside) = folder.split_once("/src/")?;
    let file = root().join(format!("{folder}.rs"));
    (inside != "bin" && !file.is_file()).then(|| format!("{path}: no {folder}.rs beside the folder"))
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/")
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
                walk(&path, visit);
            }
        } else {
            visit(&path);
        }
    }
}
