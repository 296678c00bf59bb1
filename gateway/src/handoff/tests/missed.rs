//! What a pod does that was away when its move ended: with real pods, whose leader is played.

use super::*;
use shared::wire::handoff::Said;

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_missed_the_end_of_its_move_asks_for_it_and_drops_its_rows() {
    let mut pair = Pair::new(1 << 30).await;
    fill(&pair, 20).await;
    // The leader hears of the import from here, and not that the destination serves.
    pair.plane.leader.lock().expect("ok").deaf = true;
    pair.feed(0);
    pair.feed(1);
    let whole = "SELECT count(*) FROM berth_moved_in WHERE state = 'whole'";
    pair.until("everything is there", || pair.count(1, whole) == 1).await;
    let said = Said::Imported { epoch: Epoch(5), rows: 1, bytes: 1 };
    pair.plane.apply(&Happened::Said { by: name(1), said });
    pair.becomes(MoveState::Committed).await;
    let released = "SELECT count(*) FROM berth_moved_out WHERE state = 'released'";
    pair.until("the source has let go", || pair.count(0, released) == 1).await;
    pair.crash(0).await;
    pair.plane.leader.lock().expect("ok").deaf = false;
    pair.becomes(MoveState::Cleaned).await;
    // It comes back to a list of moves that run, and this is none of them any more.
    pair.start(0, false).await;
    assert_eq!(pair.count(0, released), 1, "nobody has told it the end");
    tell(&pair.plane, &pair.addresses, pair.pod(0), true, true).await;
    pair.until("the source has dropped its rows", || pair.count(0, "SELECT count(*) FROM kv") == 0).await;
}
