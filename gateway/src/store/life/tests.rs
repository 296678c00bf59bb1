use super::*;

#[test]
fn a_database_is_made_in_its_first_life_and_remembers_those_that_follow() {
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(look(dir.path()).expect("looked"), None);
    let first = begin(dir.path(), 1).expect("made");
    assert_eq!(look(dir.path()).expect("looked").expect("there").past, []);
    let second = begin(dir.path(), 2).expect("begun");
    let third = begin(dir.path(), 3).expect("begun");
    let found = look(dir.path()).expect("looked").expect("there");
    assert_eq!((found.incarnation, found.past, found.commit_seq), (third, vec![second, first], 2));
    remove(dir.path()).expect("removed");
    remove(dir.path()).expect("again is fine");
    assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 0);
}
