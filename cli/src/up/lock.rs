//! One `up` per data folder: an advisory lock that the kernel takes back however the supervisor ends.

use crate::{
    exit::{Code, Failure},
    home::Home,
};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
};

/// The lock; held until it is dropped.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Takes the lock and leaves the process id in the file for whoever comes second.
///
/// # Errors
/// When another `up` holds it: names its process id.
pub(super) fn take(home: &Home) -> Result<FolderLock, Failure> {
    let path = home.lock();
    let cannot = |why: std::io::Error| Failure::error(format!("cannot lock {}: {why}", path.display()));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(cannot)?;
    if let Err(why) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if why != rustix::io::Errno::WOULDBLOCK {
            return Err(cannot(why.into()));
        }
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(cannot)?;
        let (data, holder) = (home.path().display(), holder.trim());
        let text =
            format!("another one runs in {data} (process {holder}); stop it, or choose another folder with --data");
        return Err(Failure::new(Code::Conflict, text));
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(cannot)?;
    Ok(FolderLock(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_up_in_a_folder_is_told_who_holds_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::at(dir.path());
        let lock = take(&home).expect("free");
        let failure = take(&home).expect_err("held");
        assert_eq!(failure.code, Code::Conflict);
        assert!(failure.to_string().contains(&std::process::id().to_string()), "{failure}");
        drop(lock);
        take(&home).expect("free again");
    }
}
