use super::*;

#[test]
fn only_what_fails_behind_the_frames_may_be_uploaded() {
    let of = |code| may_be_uploaded(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
    for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_SHMMAP] {
        assert!(of(code), "{code}");
    }
    let before =
        [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_BUSY, ffi::SQLITE_READONLY, ffi::SQLITE_INTERRUPT];
    for code in before {
        assert!(!of(code), "{code}");
    }
}
