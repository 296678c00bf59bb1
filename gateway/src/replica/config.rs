//! Litestream's configuration: the file that is shipped, with values in the place of its names. Pure. Keys to the store are not
//! in it: they go to Litestream by its environment.

use super::{Base, Lineage, ReplicaArgs};
use std::path::Path;

/// The file as it is shipped.
const SHIPPED: &str = include_str!("../../../litestream/litestream.yml");
/// Where the replica begins in it; a folder's looks otherwise.
const REPLICAS: &str = "    replicas:\n";

/// What `litestream replicate` is told.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// The database.
    pub database: &'a Path,
    /// The control socket.
    pub socket: &'a Path,
    /// Where its own metrics are served, if anywhere.
    pub metrics: Option<&'a str>,
    /// What it writes.
    pub lineage: &'a Lineage,
}

/// Returns the configuration of `litestream replicate`.
pub fn service_config(args: &ReplicaArgs, base: &Base, service: Service<'_>) -> String {
    let Service { database, socket, metrics, lineage } = service;
    let (head, _) = SHIPPED.split_once(REPLICAS).unwrap_or((SHIPPED, ""));
    let text = head
        .replace("${BERTH_LITESTREAM_METRICS}", &quoted(metrics.unwrap_or_default()))
        .replace("${BERTH_LITESTREAM_SOCKET}", &quoted(&socket.display().to_string()))
        .replace("${BERTH_DATABASE}", &quoted(&database.display().to_string()));
    text + &replicas(args, base, lineage)
}

/// Returns the configuration of `litestream restore` of a lineage, whose database is said to be `database`.
pub(crate) fn restore_config(args: &ReplicaArgs, base: &Base, lineage: &Lineage, database: &Path) -> String {
    let path = quoted(&database.display().to_string());
    format!("dbs:\n  - path: {path}\n{}", replicas(args, base, lineage))
}

fn replicas(args: &ReplicaArgs, base: &Base, lineage: &Lineage) -> String {
    let path = quoted(&base.below(&lineage.path()));
    let lines = match base {
        Base::Folder(_) => vec!["type: file".to_owned(), format!("path: {path}")],
        Base::Bucket { bucket, .. } => {
            let endpoint = args.replica_endpoint.as_deref().unwrap_or_default();
            vec![
                "type: s3".to_owned(),
                format!("bucket: {}", quoted(bucket)),
                format!("path: {path}"),
                format!("endpoint: {}", quoted(endpoint)),
                format!("region: {}", quoted(&args.replica_region)),
                format!("force-path-style: {}", !endpoint.is_empty()),
            ]
        }
    };
    format!("{REPLICAS}      - {}\n        sync-interval: 1s\n", lines.join("\n        "))
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
