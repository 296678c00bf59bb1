use crate::{
    schema::{Map, Tables},
    store::{Store, StoreError, own::SqlLimits},
};
use shared::clock::ManualClock;
use std::{path::Path, sync::Arc, time::Duration};

const LIMITS: SqlLimits =
    SqlLimits { rows: 1, bytes: 1_000, statement: 1_000, params: 1, read: Duration::from_secs(30) };
const BEGIN: (&str, &str) = ("0001_begin.sql", "CREATE TABLE words (word TEXT PRIMARY KEY)");
const MORE: (&str, &str) = ("0002_more.sql", "CREATE TABLE more (x)");
const WORDS: &str = "[tables.words]\nglobal = true";

fn open(folder: &Path, migrations: &[(&str, &str)], map: &str) -> Result<Arc<Map>, StoreError> {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let store = Store::open(folder, clock, &Tables::embedded(migrations, map), LIMITS)?;
    Ok(Arc::clone(store.map()))
}

fn begun() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path(), &[BEGIN], WORDS).expect("opened");
    folder
}

#[test]
fn a_migration_that_the_map_does_not_fit_can_be_taken_back() {
    let folder = begun();
    open(folder.path(), &[BEGIN, MORE], WORDS).expect_err("the table is not mapped");
    assert_eq!(open(folder.path(), &[BEGIN], WORDS).expect("as before").version, Some(1));
}

#[test]
fn a_migration_that_the_map_does_not_fit_can_be_mended() {
    let folder = begun();
    open(folder.path(), &[BEGIN, MORE], WORDS).expect_err("the table is not mapped");
    let mended = ("0002_more.sql", "CREATE TABLE more (y)");
    let map = format!("{WORDS}\n[tables.more]\neverywhere = true");
    let map = open(folder.path(), &[BEGIN, mended], &map).expect("migrated");
    assert_eq!(map.version, Some(2));
    assert_eq!(map.table("more").expect("there").columns[0], "y");
}

#[test]
fn a_migration_that_fails_takes_the_new_ones_before_it_along() {
    let folder = begun();
    for bad in ["SELECT nonsense", "COMMIT", "ROLLBACK", "INSERT OR ROLLBACK INTO words VALUES ('a'), ('a')"] {
        open(folder.path(), &[BEGIN, MORE, ("0003_bad.sql", bad)], WORDS).expect_err(bad);
        assert_eq!(open(folder.path(), &[BEGIN], WORDS).expect(bad).version, Some(1));
    }
}
