//! The single steps of `prepare` on the data folder: where Litestream has got to, its files, its configuration. Each can be done
//! again after a crash. Decides nothing about their order.

use super::BootError;
use crate::{
    Options,
    replica::{Base, Lineage, Service, last_txid, service_config},
    store::{self, life},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Litestream's folder beside the database.
const LITESTREAM: &str = ".berth.db-litestream";
/// Its configuration.
pub(super) const CONFIG: &str = "litestream.yml";
/// Its control socket.
const SOCKET: &str = "litestream.sock";
/// Where restores are written.
const SCRATCH: &str = "restore";
/// The longest path of a socket, with room to spare: the system's own bound is 107 bytes.
const SOCKET_PATH: usize = 100;

/// Returns the newest transaction that Litestream had put aside here; none when it is not known.
pub(super) fn position(folder: &Path) -> Option<u64> {
    let files = fs::read_dir(folder.join(LITESTREAM).join("ltx/0")).ok()?;
    files.filter_map(|file| last_txid(file.ok()?.file_name().to_str()?)).max()
}

/// Takes Litestream's folder away: what it notes there is of another path (LITESTREAM.md, trap 4).
pub(super) fn reset_litestream(folder: &Path) -> Result<(), BootError> {
    gone(&folder.join(LITESTREAM))?;
    sync(folder)
}

/// Makes the scratch folder, with nothing in it, and returns it.
pub(super) fn empty_scratch(folder: &Path) -> Result<PathBuf, BootError> {
    let scratch = folder.join(SCRATCH);
    gone(&scratch)?;
    fs::create_dir(&scratch).map_err(BootError::io(&scratch))?;
    Ok(scratch)
}

fn gone(folder: &Path) -> Result<(), BootError> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(BootError::io(folder)(why)),
        _ => Ok(()),
    }
}

/// Puts a restored database in the place of the one that is there. What Litestream notes goes before: after a crash in between
/// nobody takes what is there for what was uploaded.
pub(super) fn put_in_place(folder: &Path, restored: &Path) -> Result<(), BootError> {
    reset_litestream(folder)?;
    life::remove(folder).map_err(BootError::io(folder))?;
    let file = folder.join(store::FILE);
    File::open(restored).and_then(|file| file.sync_all()).map_err(BootError::io(restored))?;
    fs::rename(restored, &file).map_err(BootError::io(file))?;
    sync(folder)
}

/// Puts a database that cannot be read aside, if there is one, under a name that says when.
pub(super) fn put_aside(folder: &Path, now_ms: u64) -> Result<(), BootError> {
    let file = folder.join(store::FILE);
    let aside = folder.join(format!("{}.damaged-{now_ms}", store::FILE));
    match fs::rename(&file, &aside) {
        Ok(()) => tracing::warn!(file = %aside.display(), "the database that was here is put aside"),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(BootError::io(file)(why)),
    }
    life::remove(folder).map_err(BootError::io(folder))?;
    sync(folder)
}

fn sync(folder: &Path) -> Result<(), BootError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BootError::io(folder))
}

/// Returns the control socket's path.
pub(crate) fn socket(options: &Options, folder: &Path) -> Result<PathBuf, BootError> {
    let path = options.replica.litestream_socket.clone().unwrap_or_else(|| folder.join(SOCKET));
    let path = std::path::absolute(&path).map_err(BootError::io(&path))?;
    if path.as_os_str().as_bytes().len() > SOCKET_PATH { Err(BootError::LongSocket(path)) } else { Ok(path) }
}

/// Writes Litestream's configuration, in one step.
pub(super) fn write_config(options: &Options, folder: &Path, base: &Base, lineage: &Lineage) -> Result<(), BootError> {
    let whole = std::path::absolute(folder).map_err(BootError::io(folder))?;
    let (database, socket) = (whole.join(store::FILE), socket(options, folder)?);
    let metrics = options.replica.litestream_metrics.as_deref();
    let text =
        service_config(&options.replica, base, Service { database: &database, socket: &socket, metrics, lineage });
    let (file, new) = (folder.join(CONFIG), folder.join("litestream.yml.new"));
    let write = || {
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, &file)
    };
    write().map_err(BootError::io(&file))?;
    sync(folder)
}
