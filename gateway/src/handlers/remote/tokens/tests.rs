use super::*;
use crate::{
    handlers::Turns,
    schema::Tables,
    store::{Reader, SqlLimits, Store},
};
use shared::clock::ManualClock;
use std::time::Duration;

#[test]
fn a_token_is_good_for_its_own_target_while_its_call_is_out_and_no_other_word_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(0));
    let limits = SqlLimits { rows: 1, bytes: 1, statement: 1, params: 1, read: Duration::from_secs(1) };
    let store = Store::open(folder.path(), clock.clone(), &Tables::default(), limits).expect("opened");
    let reader = Arc::new(Reader::open(folder.path(), &store).expect("opened"));
    let [mine, theirs] = ["slack:guild:mine", "slack:guild:theirs"].map(|name| name.parse().expect("valid"));
    let calls = LocalCalls::default();
    let begin = |target: &TargetId| {
        let local = Local::new(Arc::clone(&reader), clock.clone(), target.clone(), Turns::of_call(&Turns::of_pod(1)));
        calls.admit(Admitted { local, described: Arc::default() })
    };
    let (first, second, other) = (begin(&mine), begin(&mine), begin(&theirs));
    let token = first.token().expose().to_owned();
    assert_eq!(calls.find(&token, &mine).expect("its own").local.target, mine);
    assert!(calls.find(&token, &theirs).is_none() && calls.find(other.token().expose(), &mine).is_none());
    let longer = format!("{token}0");
    for word in ["", " ", "Bearer", &token[1..], &longer, &token.to_uppercase()] {
        assert!(calls.find(word, &mine).is_none(), "{word:?}");
    }
    drop(first);
    assert!(calls.find(&token, &mine).is_none());
    assert!(calls.find(second.token().expose(), &mine).is_some(), "the target's other call goes on");
}
