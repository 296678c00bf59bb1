//! A gateway that is killed between the last frame of its commit and the index that counts it: Litestream uploads that commit, and
//! SQLite writes over it. What was acknowledged comes back all the same.

use super::Chats;
use berth_tests::{copied::PATIENCE, eventually, failing_flush::FailingFlush};
use std::fs;

const POD: &str = "gateway-1";
/// Fewer pages than Litestream leaves in a WAL, and more.
const SIZES: [u64; 2] = [200_000, 5_000_000];

impl Chats {
    /// The sizes of the files that its Litestream has uploaded, one behind the other.
    fn uploaded(&self) -> Vec<u64> {
        let lineages = fs::read_dir(self.0.store().join("1").join(POD)).into_iter().flatten().flatten();
        let files =
            lineages.flat_map(|lineage| fs::read_dir(lineage.path().join("ltx/0")).into_iter().flatten().flatten());
        let mut files: Vec<_> =
            files.map(|file| (file.file_name(), file.metadata().map_or(0, |file| file.len()))).collect();
        files.sort();
        files.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// A cluster whose pod was killed in a commit of so many bytes, which is uploaded, and the chats that the pod owns.
    async fn killed_in_a_commit(bytes: u64) -> (Self, Vec<i64>) {
        let mut one = Self::start().await;
        let chats = one.chats_on(POD, 100, 3).await;
        one.0.cluster.leases_are_kept(3).await;
        one.0.kill_in_a_commit(POD, bytes).await;
        eventually("Litestream uploads it, and what it writes behind it", PATIENCE, async || {
            let files = one.uploaded();
            // Digits of sixteen kinds take half of their bytes; all else is a few pages.
            let its = files.iter().position(|file| *file > bytes / 3)?;
            let all = if bytes > SIZES[0] { its + 2 } else { its + 1 };
            (files.len() >= all).then_some(())
        })
        .await;
        (one, chats)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_heirs_have_all_that_it_acknowledged_when_the_disk_goes_after_it() {
    for bytes in SIZES {
        let (mut one, chats) = Chats::killed_in_a_commit(bytes).await;
        one.0.lose(&[POD]).await;
        one.served_elsewhere(POD, &chats, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_acknowledges_after_a_restart_beside_the_same_litestream_is_in_its_replica() {
    for bytes in SIZES {
        let (mut one, chats) = Chats::killed_in_a_commit(bytes).await;
        one.0.cluster.gateway(POD).start_again();
        one.0.cluster.gateway(POD).ready().await;
        for chat in &chats {
            one.0.cluster.post_until_taken(&one.0.cluster.message(*chat, 4), PATIENCE).await;
        }
        let owner = one.0.cluster.assignment(chats[0]).await.expect("known").pod;
        assert_eq!(owner.as_str(), POD, "it was back before its lease was over");
        one.0.lose(&[POD]).await;
        one.served_elsewhere(POD, &chats, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_cannot_be_flushed_ends_its_process_and_what_is_acknowledged_after_that_is_in_its_replica() {
    let flush = FailingFlush::build();
    let mut one = Chats::start().await;
    flush.under(one.0.cluster.gateway(POD)).await;
    let chats = one.chats_on(POD, 100, 3).await;
    one.0.cluster.leases_are_kept(3).await;
    flush.fails(true);
    let posted = one.0.cluster.post(&one.0.cluster.message(chats[0], 4)).await;
    assert!(posted.is_err() || posted.is_ok_and(|reply| reply.status != 200), "nobody is told that it is taken");
    let ended = one.0.cluster.gateway(POD).process().end(PATIENCE).await;
    assert_eq!(ended.code(), Some(74), "{ended}");
    flush.fails(false);
    one.0.cluster.gateway(POD).start_again();
    one.0.cluster.gateway(POD).ready().await;
    for chat in &chats {
        one.0.cluster.post_until_taken(&one.0.cluster.message(*chat, 4), PATIENCE).await;
    }
    one.0.lose(&[POD]).await;
    one.served_elsewhere(POD, &chats, 4).await;
}
