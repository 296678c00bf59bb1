//! A note in the data folder: a little JSON with a checksum, replaced in one step and flushed before anybody relies on it.
//! Decides whether a note is whole; knows nothing of what it says.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Why a note is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoteError {
    /// It was never written, or somebody has taken it away.
    #[error("there is none")]
    Missing,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("it is damaged")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    note: Box<RawValue>,
    sha256: String,
}

/// Reads a note.
///
/// # Errors
/// [`NoteError`].
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<T, NoteError> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Err(NoteError::Missing),
        Err(why) => return Err(why.into()),
    };
    let sealed: Sealed = serde_json::from_slice(&bytes).map_err(|_| NoteError::Damaged)?;
    if checksum(sealed.note.get()) != sealed.sha256 {
        return Err(NoteError::Damaged);
    }
    serde_json::from_str(sealed.note.get()).map_err(|_| NoteError::Damaged)
}

/// Replaces a note: a crash leaves the old one or the new one, and once this returns the new one, whatever happens.
///
/// # Errors
/// When the disk does not take it. What is on disk then is the old note or the new one.
pub(crate) fn write<T: Serialize>(file: &Path, note: &T) -> io::Result<()> {
    let note = serde_json::value::to_raw_value(note)?;
    let sealed = Sealed { sha256: checksum(note.get()), note };
    replace(file, &serde_json::to_vec(&sealed)?)
}

/// Takes a note away, if there is one; also from the disk, once this returns.
///
/// # Errors
/// When it may still be there.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => sync_folder(file),
    }
}

/// Replaces a file's text in one step and flushes it, and the folder it is in.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let new = file.with_extension("json.new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    sync_folder(file)
}

fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn checksum(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
