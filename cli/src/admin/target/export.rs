//! `berth target export`: takes a target's data off its pod and makes sure that it is whole.

use super::Common;
use crate::{
    exit::{Code, Failure},
    output,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use shared::{TargetId, wire::data::ExportEnd};
use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Flags of `berth target export`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth target export discord:guild:123 --file guild-123.jsonl",
    after_help = "The file holds what people wrote: messages, state, replies. Keep it as you keep those."
)]
pub(crate) struct Export {
    /// The target, `platform:kind:id`
    #[arg(value_name = "TARGET")]
    target: TargetId,
    /// Where to write it; it is there only when it is whole. Standard output when this is left out
    #[arg(long = "file", value_name = "PATH")]
    into: Option<PathBuf>,
    /// What all verbs have; the form of the output is always JSON lines.
    #[command(flatten)]
    common: Common,
}

/// Does it.
pub(super) async fn run(args: Export) -> Result<(), Failure> {
    let Export { target, into, common } = args;
    fetch(&common, &format!("/v1/targets/{target}/export"), into, &target).await
}

/// Takes an export from `path` and writes it down.
pub(crate) async fn fetch(
    common: &Common,
    path: &str,
    into: Option<PathBuf>,
    target: &TargetId,
) -> Result<(), Failure> {
    let mut out = Destination::open(into.as_deref())?;
    let mut body = common.api()?.stream(path).await?;
    let mut whole = Whole::default();
    loop {
        let silence = || Failure::error("the export was cut: nothing came for too long; it is not whole");
        let Some(frame) = tokio::time::timeout(common.timeout, body.frame()).await.map_err(|_| silence())? else {
            break;
        };
        let frame = frame.map_err(|why| Failure::error(format!("the export was cut: {why}; it is not whole")))?;
        if let Ok(part) = frame.into_data() {
            whole.take(&part);
            out.write(&part)?;
        }
    }
    let end = whole.end()?;
    out.finish()?;
    let place = into.map_or_else(|| "standard output".to_owned(), |file| file.display().to_string());
    eprintln!("{} rows of {target} written to {}", end.rows, output::plain(&place));
    Ok(())
}

/// Where it goes.
enum Destination {
    Terminal(io::Stdout),
    Pipe(io::Stdout),
    File { file: File, part: PathBuf, whole: PathBuf },
}

impl Destination {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let out = io::stdout();
            return Ok(if out.is_terminal() { Self::Terminal(out) } else { Self::Pipe(out) });
        };
        if path.exists() {
            let text = format!("{} is there already; name another file", path.display());
            return Err(Failure::new(Code::Conflict, text));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
        let file = file.map_err(|why| Failure::error(format!("cannot write {}: {why}", part.display())))?;
        Ok(Self::File { file, part, whole: path.to_owned() })
    }

    fn write(&mut self, part: &Bytes) -> Result<(), Failure> {
        let written = match self {
            // What people wrote may hold what moves a cursor.
            Self::Terminal(out) => out.write_all(output::tame(&String::from_utf8_lossy(part)).as_bytes()),
            Self::Pipe(out) => out.write_all(part),
            Self::File { file, .. } => file.write_all(part),
        };
        written.map_err(|why| Failure::error(format!("cannot write the export: {why}")))
    }

    fn finish(self) -> Result<(), Failure> {
        let finished = match self {
            Self::Terminal(mut out) | Self::Pipe(mut out) => out.flush(),
            Self::File { file, part, whole } => file.sync_all().and_then(|()| std::fs::rename(part, whole)),
        };
        finished.map_err(|why| Failure::error(format!("cannot write the export: {why}")))
    }
}

/// Checks an export while it passes: only its last line is kept.
#[derive(Default)]
struct Whole {
    hash: Sha256,
    lines: u64,
    last: Vec<u8>,
}

impl Whole {
    fn take(&mut self, part: &[u8]) {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            if self.last.ends_with(b"\n") {
                self.hash.update(&self.last);
                self.lines += 1;
                self.last.clear();
            }
            self.last.extend_from_slice(piece);
        }
    }

    /// Returns the last line when it says that everything before it is there.
    fn end(self) -> Result<ExportEnd, Failure> {
        let end: ExportEnd = serde_json::from_slice(&self.last)
            .map_err(|_| Failure::error("the export was cut: its last line is missing; it is not whole"))?;
        // The first line is no row.
        let whole =
            end.end && Some(end.rows) == self.lines.checked_sub(1) && end.sha256 == hex::encode(self.hash.finalize());
        if whole { Ok(end) } else { Err(Failure::error("the export is damaged: its last line does not fit what came")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<u64, Failure> {
        // In pieces that end anywhere.
        let mut whole = Whole::default();
        text.as_bytes().chunks(3).for_each(|piece| whole.take(piece));
        whole.end().map(|end| end.rows)
    }

    #[test]
    fn an_export_is_whole_only_with_its_last_line_and_every_byte_before_it() {
        let rows = "{\"berth\":\"export\"}\n{\"table\":\"kv\"}\n";
        let end = format!("{{\"end\":true,\"rows\":1,\"sha256\":\"{}\"}}\n", hex::encode(Sha256::digest(rows)));
        assert_eq!(checked(&format!("{rows}{end}")).expect("whole"), 1);
        for broken in [
            String::new(),
            rows.to_owned(),
            format!("{rows}{}", &end[..end.len() - 10]),
            format!("{}{end}", rows.replace("kv", "kw")),
            format!("{}{end}", rows.replace("{\"table\":\"kv\"}\n", "")),
        ] {
            assert!(checked(&broken).is_err(), "{broken}");
        }
    }
}
