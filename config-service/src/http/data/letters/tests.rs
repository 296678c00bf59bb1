use super::*;

fn letter(pod: &str, seq: u64) -> DeadLetter {
    DeadLetter {
        pod: pod.parse().expect("valid"),
        target: "discord:guild:1".parse().expect("valid"),
        kind: LetterKind::Call,
        seq,
        id: seq.to_string(),
        source: None,
        state: "dead".into(),
        attempts: 1,
        reason: String::new(),
        at_ms: 0,
    }
}

type Answer = (PodId, Result<DeadLetters, Problem>);

fn answer(pod: &str, seqs: &[u64], more: bool) -> Answer {
    let next = more.then(|| "calls/9/discord:guild:1".to_owned());
    let items = seqs.iter().map(|seq| letter(pod, *seq)).collect();
    (pod.parse().expect("valid"), Ok(DeadLetters { items, pods: Vec::new(), next }))
}

fn silent(pod: &str) -> Answer {
    (pod.parse().expect("valid"), Err(Problem::unavailable("owner-unreachable", "away")))
}

async fn gathered(answers: Vec<Answer>, size: usize) -> (Vec<u64>, Vec<String>, Option<String>) {
    let page = gather(stream::iter(answers), size).await;
    let next = page.next.map(|next| {
        let cursor: Cursor = serde_json::from_value(next.into()).expect("a cursor");
        position::<Position>(Some(&cursor)).expect("of this list").expect("one").to_string()
    });
    let seqs = page.items.iter().map(|letter| letter.seq).collect();
    (seqs, page.pods.into_iter().map(|pod| pod.pod.to_string()).collect(), next)
}

#[tokio::test]
async fn a_page_goes_on_behind_its_last_letter_or_with_the_next_pod() {
    let all = || vec![answer("gateway-0", &[1, 2], false), answer("gateway-1", &[3, 4], false)];
    assert_eq!(gathered(all(), 10).await, (vec![1, 2, 3, 4], vec![], None));
    let (seqs, _, next) = gathered(all(), 3).await;
    assert_eq!((seqs, next.as_deref()), (vec![1, 2, 3], Some("gateway-1/calls/3/discord:guild:1")));
    let (seqs, _, next) = gathered(all(), 2).await;
    assert_eq!((seqs, next.as_deref()), (vec![1, 2], Some("gateway-1")));
    let (_, _, next) = gathered(vec![answer("gateway-0", &[1, 2], true)], 2).await;
    assert_eq!(next.as_deref(), Some("gateway-0/calls/2/discord:guild:1"));
}

#[tokio::test]
async fn a_pod_that_is_away_is_named_and_hides_nobody_else() {
    let (seqs, silent, next) = gathered(vec![silent("gateway-0"), answer("gateway-1", &[3], false)], 10).await;
    assert_eq!((seqs, silent, next), (vec![3], vec!["gateway-0".to_owned()], None));
}
