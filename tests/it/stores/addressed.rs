//! How a bucket is named to its store: in the path where an endpoint is given, in the host's name at Amazon. Litestream and Berth
//! itself have to do the same, else one of them writes where the other does not look.

use super::{Kind, LONG, on, segments};
use berth_tests::{
    Setup, eventually,
    litestream::sync,
    process::{Process, clean},
    store::{BUCKET, Store},
    store_proxy::Bucket,
    tunnel_double::TunnelDouble,
};
use gateway::replica::{Begun, Litestream, ReplicaArgs, Service, service_config};
use std::collections::BTreeSet;
use tempfile::TempDir;

/// Where Amazon's store has the stories' bucket.
const AMAZON: &str = "berth-replicas.s3.us-east-1.amazonaws.com:443";

on! { [moto: Moto, s3s_fs: S3sFs] with_an_endpoint_everybody_names_the_bucket_in_the_path }

/// Starts the Litestream that Berth would, of a database with something in it.
fn litestream(args: &ReplicaArgs, folder: &TempDir, settings: &[(&str, &str)]) -> Process {
    let (database, socket) = (folder.path().join("berth.db"), folder.path().join("litestream.sock"));
    segments::database(&database).execute("INSERT INTO said VALUES (1, 'it')", []).expect("written");
    let lineage = segments::lineage();
    let service = Service { database: &database, socket: &socket, metrics: None, lineage: &lineage };
    let config = folder.path().join("litestream.yml");
    std::fs::write(&config, service_config(args, &args.base().expect("a base"), service)).expect("written");
    let mut command = clean(Litestream::new(args).command());
    command.args(["replicate", "-no-expand-env", "-config"]).arg(&config).envs(settings.iter().copied());
    Process::start("litestream", command)
}

async fn with_an_endpoint_everybody_names_the_bucket_in_the_path(kind: Kind) {
    let (store, folder) = (Store::start(kind).await, TempDir::with_prefix("berth-addressed-").expect("a folder"));
    store.open().begin(&Begun::of(&segments::lineage(), None, 1)).await.expect("begun");
    let own = store.proxy().asked().len();
    let _litestream = litestream(&store.args(&[]), &folder, &store.keys());
    let (socket, database) = (folder.path().join("litestream.sock"), folder.path().join("berth.db"));
    eventually("it is uploaded", LONG, async || sync(&socket, &database).await.then_some(())).await;
    let asked = store.proxy().asked();
    assert!(own > 0 && asked.len() > own, "both have asked: {own}, {asked:?}");
    let elsewhere: Vec<_> = asked.iter().filter(|asked| asked.bucket != Bucket::InPath).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(asked.iter().all(|asked| asked.line.contains(&format!("/{BUCKET}"))), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_endpoint_everybody_names_the_bucket_in_the_hosts_name() {
    // The keys of a store that is not asked.
    let (local, folder) =
        (Store::start(Kind::Folder).await, TempDir::with_prefix("berth-addressed-").expect("a folder"));
    let base = format!("s3://{BUCKET}/stories/one");
    let args = ReplicaArgs { replica: Some(base.parse().expect("a base")), ..local.args(&[]) };
    let (theirs, own) = (TunnelDouble::start().await, TunnelDouble::start().await);
    let proxy = theirs.url();
    let [key, secret] = local.keys();
    let _litestream = litestream(&args, &folder, &[key, secret, ("HTTPS_PROXY", &proxy)]);

    let setup = Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_REPLICA", &base)
        .with("BERTH_REPLICA_TIMEOUT", "2s")
        .with("BERTH_REPLICA_ACCESS_KEY_ID", key.1)
        .with("BERTH_REPLICA_SECRET_ACCESS_KEY", secret.1)
        .with("HTTPS_PROXY", &own.url());
    let mut cluster = setup.prepare();
    cluster.config.ready().await;
    cluster.launch_rest();
    for (who, double) in [("Litestream", &theirs), ("Berth", &own)] {
        let asked = eventually(&format!("{who} asks for its bucket"), LONG, async || {
            let asked = double.asked();
            (!asked.is_empty()).then_some(asked)
        })
        .await;
        assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([AMAZON.to_owned()]), "{who}");
    }
}
