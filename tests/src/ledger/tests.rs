use super::judged;
use crate::pod_data::Book;

fn ids(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

fn wrong(journal: &str, taken: &str, late: &str) -> usize {
    let journal = ids(journal);
    let events = journal.len() as u64;
    judged(&Book { journal, applied: events, handled: Some(events) }, &ids(taken), &ids(late)).len()
}

#[test]
fn what_is_lost_doubled_or_out_of_order_is_found() {
    assert_eq!(wrong("1 2 3", "1 2 3", ""), 0);
    assert_eq!(wrong("1 2 3 4", "1 2 4", ""), 0, "one that nobody acknowledged may be there");
    assert_eq!(wrong("1 5 2 3", "1 2 3 5", "2 3"), 0, "late ones have an order of their own");
    assert_eq!(wrong("1 3", "1 2 3", ""), 1);
    assert_eq!(wrong("1 3 2", "1 2 3", ""), 1);
    assert_eq!(wrong("1 5 3 2", "1 2 3 5", "2 3"), 1);
    assert_eq!(wrong("1 5 3", "1 2 3 5", "2 3"), 1, "a late one that is lost");
    assert!(wrong("1 2 2 3", "1 2 3", "") > 0);
}

#[test]
fn an_event_that_did_not_change_the_state_once_is_found() {
    let book = |applied, handled| Book { journal: ids("1 2"), applied, handled };
    assert_eq!(judged(&book(2, None), &ids("1 2"), &[]).len(), 0);
    assert_eq!(judged(&book(3, None), &ids("1 2"), &[]).len(), 1);
    assert_eq!(judged(&book(2, Some(1)), &ids("1 2"), &[]).len(), 1);
}
