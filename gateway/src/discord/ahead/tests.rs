use super::*;

fn shard(id: u32) -> Shard {
    Shard { id, count: 100 }
}

fn session(id: &str, seq: u64) -> Session {
    Session { id: id.to_owned(), seq, url: "wss://here".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn only_the_same_session_from_no_later_on_is_taken_and_once() {
    let ahead = Ahead::default();
    let after = |seq| {
        ahead.keep(shard(0), session("a", seq), seq);
        ahead.take(shard(0), &session("a", 7))
    };
    assert_eq!((after(6), after(7), after(8)), (Some(6), Some(7), None), "what lies between would be missed");
    ahead.keep(shard(0), session("a", 1), 1);
    assert_eq!(ahead.take(shard(1), &session("a", 1)), None, "another shard");
    assert_eq!(ahead.take(shard(0), &session("a", 1)), Some(1));
    assert_eq!(ahead.take(shard(0), &session("a", 1)), None, "it is gone");
    ahead.keep(shard(0), session("a", 1), 1);
    assert_eq!(ahead.take(shard(0), &session("b", 1)), None, "another session");
    ahead.keep(shard(0), session("a", 1), 1);
    let elsewhere = Session { url: "wss://there".to_owned(), ..session("a", 1) };
    assert_eq!(ahead.take(shard(0), &elsewhere), None, "another address");
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_for_a_while_and_not_in_any_number() {
    let ahead = Ahead::default();
    ahead.keep(shard(0), session("a", 1), 1);
    tokio::time::advance(KEEP).await;
    assert_eq!(ahead.take(shard(0), &session("a", 1)), None);
    for id in 0..=MOST as u32 {
        ahead.keep(shard(id), session("a", 1), id);
    }
    assert_eq!(ahead.take(shard(0), &session("a", 1)), None, "the oldest has given way");
    assert_eq!(ahead.take(shard(1), &session("a", 1)), Some(1));
}
