use super::*;

fn context(last: u8) -> TraceContext {
    format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902{last:02x}-01").parse().expect("valid")
}

#[test]
fn the_inner_span_is_current_and_the_outer_one_is_again_afterwards() {
    let outer = context(1).enter();
    {
        let _inner = context(2).enter();
        assert_eq!(TraceContext::current(), Some(context(2)));
    }
    assert_eq!(TraceContext::current(), Some(context(1)));
    drop(outer);
    assert_eq!(TraceContext::current(), None);
}

#[tokio::test]
async fn futures_that_take_turns_on_a_thread_keep_their_own_spans() {
    let look = |of: TraceContext| {
        Scope::new(Some(of.clone()), async move {
            for _ in 0..10 {
                assert_eq!(TraceContext::current(), Some(of.clone()));
                tokio::task::yield_now().await;
            }
        })
    };
    tokio::join!(look(context(1)), look(context(2)), async {
        for _ in 0..10 {
            assert_eq!(TraceContext::current(), None);
            tokio::task::yield_now().await;
        }
    });
}
