use super::*;

#[test]
fn a_second_process_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/config.db");
    let first = Sqlite::open(&path, 8).expect("opens");
    let second = Sqlite::open(&path, 8).expect_err("refused").to_string();
    assert!(second.contains("another config-service uses the store"), "{second}");
    drop(first);
    Sqlite::open(&path, 8).expect("opens again");
}

#[test]
fn a_file_that_is_no_database_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.db");
    std::fs::write(&path, "this is a text, and it is longer than the header of a database would be. ".repeat(20))
        .expect("written");
    let why = Sqlite::open(&path, 8).expect_err("refused").to_string();
    assert!(why.contains("config.db"), "{why}");
}
