use super::*;
use std::os::unix::fs::PermissionsExt;

fn file(folder: &Path) -> File {
    File { file: None, config_home: Some(folder.join("deep/config")), home: None }
}

fn made(file: &File, name: &str, url: &str, token: Option<&str>) -> Result<(), Failure> {
    let (name, config_url) = (name.to_owned(), Some(url.to_owned()));
    set(Set { name, config_url, token_file: token.map(PathBuf::from), token_env: None, file: file.clone() })
}

fn chosen(file: &File, name: Option<&str>) -> Result<(), Failure> {
    r#use(Use { name: name.map(str::to_owned), none: name.is_none(), file: file.clone() })
}

#[test]
fn a_context_is_kept_privately_and_used_until_it_is_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(folder.path());
    assert_eq!(file.read().expect("no file is no contexts"), Contexts::default());
    made(&file, "prod", "http://config:3001/", Some("/run/token")).expect("set");
    made(&file, "test", "http://127.0.0.1:3001", None).expect("set");
    chosen(&file, Some("prod")).expect("used");
    let path = file.path().expect("known");
    assert_eq!(path, folder.path().join("deep/config/berth/contexts.json"));
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let all = file.read().expect("readable");
    assert_eq!(all.current.as_deref(), Some("prod"));
    assert_eq!(all.contexts["prod"].config_url, "http://config:3001", "as clients have it");
    // What is not said again stays.
    set(Set { name: "prod".into(), config_url: None, token_file: None, token_env: None, file: file.clone() })
        .expect("set");
    assert_eq!(file.read().expect("readable"), all);
    assert_eq!(chosen(&file, Some("nowhere")).expect_err("unknown").code, Code::NotFound);
    delete(&Delete { name: "prod".into(), file: file.clone() }).expect("deleted");
    let all = file.read().expect("readable");
    assert_eq!((all.current, all.contexts.len()), (None, 1), "what is gone is not in use");
}

#[test]
fn what_cannot_be_a_context_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(folder.path());
    assert_eq!(made(&file, "x", "ftp://config", None).expect_err("no such URL").code, Code::Usage);
    for url in ["http://mara:hunter2@config:3001", "http://mara@config", "https://:hunter2@config/x"] {
        let why = made(&file, "x", url, None).expect_err("a password in it");
        assert_eq!(why.code, Code::Usage);
        assert!(why.to_string().contains("--token-file") && !why.to_string().contains("hunter2"), "{why}");
    }
    made(&file, "at", "http://config:3001/a@b", None).expect("that is a path");
    let nothing = Set { name: "x".into(), config_url: None, token_file: None, token_env: None, file: file.clone() };
    assert_eq!(set(nothing).expect_err("no URL").code, Code::Usage);
    assert!(name("a b").is_err() && name("").is_err() && name(&"a".repeat(65)).is_err() && name("prod-1.eu").is_ok());
    let nowhere = File { file: None, config_home: Some(PathBuf::new()), home: None };
    assert_eq!(nowhere.read().expect("none"), Contexts::default());
    assert_eq!(made(&nowhere, "x", "http://a", None).expect_err("no place").code, Code::Usage);
}

#[test]
fn a_token_is_read_from_where_it_lies_and_an_empty_place_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let context = |file: Option<PathBuf>, env: Option<&str>| Context {
        config_url: "http://a".into(),
        token_file: file,
        token_env: env.map(str::to_owned),
    };
    fs::write(&path, " secret\n").expect("written");
    let token = context(Some(path.clone()), None).token().expect("readable").expect("a token");
    assert_eq!(token.expose(), "secret");
    fs::write(&path, "\n").expect("written");
    let why = context(Some(path), None).token().expect_err("empty").to_string();
    assert!(why.contains("holds no token"), "{why}");
    let why = context(None, Some("BERTH_NO_SUCH_VARIABLE")).token().expect_err("not set").to_string();
    assert!(why.contains("$BERTH_NO_SUCH_VARIABLE"), "{why}");
    assert_eq!(context(None, None).token().expect("nothing is wrong"), None);
}
