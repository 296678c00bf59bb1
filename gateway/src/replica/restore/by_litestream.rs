//! Has Litestream itself restore a lineage, as a program of its own. Bounds no time: whoever drops it ends the program.

use super::{RestoreError, TELL, beside, failed, write_private};
use crate::replica::litestream::{Litestream, last_words};
use crate::replica::{Lineage, ReplicaArgs, restore_config};
use serde::Deserialize;
use std::{
    fs, io,
    path::Path,
    process::{Output, Stdio},
};

/// How much garbage Litestream's runtime lets lie before it collects, in percent of what lives. A restore is on one processor and
/// somebody waits for it: it takes an eighth less time so, and some 20 MB more.
const GARBAGE: &str = "400";
/// What Litestream says when there is nothing to restore.
const NOTHING: &str = "no matching backup files";

#[derive(Debug, Deserialize)]
struct Summary {
    txid: String,
}

/// Restores a lineage into `to`, which is not there. Returns the size and the last transaction, when Litestream says it.
pub(super) async fn restore(
    args: &ReplicaArgs,
    lineage: &Lineage,
    to: &Path,
    progress: &mut impl FnMut(u64),
) -> Result<(u64, Option<u64>), RestoreError> {
    let base = args.base()?;
    let litestream = Litestream::new(args);
    litestream.check().await?;
    let failed = |source| failed(to, source);
    let config = beside(to, ".yml");
    write_private(&config, &restore_config(args, &base, lineage, to)).map_err(failed)?;
    let mut command = litestream.command();
    command.env("GOGC", GARBAGE);
    command.args(["restore", "-no-expand-env", "-json", "-config"]).arg(&config);
    command.args(["-parallelism", &args.restore_parallelism.to_string()]).arg(to);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run(command, to, progress).await.map_err(failed)?;
    if !output.status.success() {
        let words = last_words(&output);
        let lineage = lineage.to_string();
        return Err(if words.contains(NOTHING) {
            RestoreError::Empty(lineage)
        } else {
            RestoreError::Failed { lineage, words }
        });
    }
    let bytes = fs::metadata(to).map_err(failed)?.len();
    let summary: Option<Summary> = serde_json::from_slice(&output.stdout).ok();
    Ok((bytes, summary.and_then(|said| u64::from_str_radix(&said.txid, 16).ok())))
}

async fn run(command: std::process::Command, to: &Path, progress: &mut impl FnMut(u64)) -> io::Result<Output> {
    let mut output = std::pin::pin!(tokio::process::Command::from(command).kill_on_drop(true).output());
    let (unfinished, mut tick) = (beside(to, ".tmp"), tokio::time::interval(TELL));
    loop {
        tokio::select! {
            output = &mut output => return output,
            _ = tick.tick() => {
                let size = |file: &Path| fs::metadata(file).map(|found| found.len());
                progress(size(&unfinished).or_else(|_| size(to)).unwrap_or(0));
            }
        }
    }
}
