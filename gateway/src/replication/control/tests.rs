use super::*;
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

#[derive(Debug)]
struct NoSeal;

impl Seals for NoSeal {
    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async { Ok(false) })
    }
}

/// A socket that reads what comes and answers with these bytes; what it read is kept.
fn double(folder: &std::path::Path, answer: &'static [u8]) -> (PathBuf, Arc<Mutex<String>>) {
    let socket = folder.join("sock");
    let (listener, heard) = (UnixListener::bind(&socket).expect("bound"), Arc::new(Mutex::new(String::new())));
    let keep = Arc::clone(&heard);
    shared::shutdown::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut part = vec![0; 4_096];
            let read = stream.read(&mut part).await.unwrap_or(0);
            keep.lock().expect("kept").push_str(&String::from_utf8_lossy(&part[..read]));
            let _ = stream.write_all(answer).await;
        }
    });
    (socket, heard)
}

fn at(socket: PathBuf) -> ControlSocket<NoSeal> {
    ControlSocket::new(socket, PathBuf::from("/pod/berth.db"), Duration::from_secs(15), NoSeal)
}

#[tokio::test]
async fn an_upload_is_asked_for_with_the_whole_path_and_only_200_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, heard) = double(folder.path(), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    at(socket).sync().await.expect("uploaded");
    let heard = heard.lock().expect("kept").clone();
    assert!(heard.starts_with("POST /sync HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains(r#""path":"/pod/berth.db""#) && heard.contains(r#""wait":true"#), "{heard}");
    assert!(heard.contains(r#""timeout":15"#), "{heard}");
}

#[tokio::test]
async fn whatever_else_comes_is_no_upload_and_says_why() {
    let cases: [(&'static [u8], &str); 4] = [
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 18\r\n\r\n{\"error\":\"bucket\"}", "500: bucket"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 23\r\n\r\n{\"error\":\"no database\"}", "no database"),
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", "202"),
        (b"", "socket"),
    ];
    for (answer, word) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let (socket, _) = double(folder.path(), answer);
        let why = at(socket).sync().await.expect_err("no upload");
        assert!(why.contains(word), "{why}");
    }
}

#[tokio::test]
async fn a_litestream_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let litestream = at(folder.path().join("none"));
    let why = litestream.sync().await.expect_err("nobody listens");
    assert!(litestream.is_gone());
    assert!(why.contains("none") && why.contains("is it running?"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_litestream_that_is_back_and_does_not_answer_yet_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let litestream = at(folder.path().join("sock"));
    litestream.sync().await.expect_err("nobody listens");
    assert!(litestream.is_gone());
    let _listener = UnixListener::bind(folder.path().join("sock")).expect("bound");
    litestream.sync().await.expect_err("nobody answers");
    assert!(!litestream.is_gone(), "its WAL is not this process's to empty");
}

#[tokio::test(start_paused = true)]
async fn a_seal_that_cannot_be_read_is_not_taken_for_none() {
    #[derive(Debug)]
    struct Hangs;
    impl Seals for Hangs {
        fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>> {
            Box::pin(std::future::pending())
        }
    }
    let litestream =
        ControlSocket::new(PathBuf::from("/none"), PathBuf::from("/pod/berth.db"), Duration::from_secs(15), Hangs);
    assert!(litestream.is_sealed().await.is_err());
}
