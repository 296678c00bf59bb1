use super::*;
use std::path::PathBuf;

fn written(base: &str) -> String {
    let (base, mut args): (Base, _) =
        (base.parse().expect("a base"), ReplicaArgs::for_tests(PathBuf::from("litestream")));
    args.replica_endpoint = Some("http://127.0.0.1:9000".to_owned());
    args.replica_secret_access_key = Some(shared::settings::Secret::new("hunter2"));
    let lineage = Lineage::parse("1/gateway-0/0190163d-8694-739b-aea5-966c26f8ad91").expect("a lineage");
    let service = Service {
        database: Path::new("/data/it's \"quoted\"/berth.db"),
        socket: Path::new("/data/litestream.sock"),
        metrics: None,
        lineage: &lineage,
    };
    service_config(&args, &base, service)
}

fn keys(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(|line| line.split_once(':').map(|(key, _)| key)).collect()
}

#[test]
fn what_is_written_is_what_is_shipped_with_values() {
    let bucket = written("s3://copies/berth");
    assert_eq!(keys(&bucket), keys(SHIPPED));
    assert!(!bucket.contains("${") && !bucket.contains("hunter2"), "{bucket}");
    assert!(bucket.contains(r#"path: "/data/it's \"quoted\"/berth.db""#), "{bucket}");
    assert!(bucket.contains(r#"path: "berth/1/gateway-0/0190163d-8694-739b-aea5-966c26f8ad91""#), "{bucket}");
    assert!(bucket.contains("force-path-style: true"), "{bucket}");
    let folder = written("file:///var/replicas");
    assert!(folder.contains("type: file") && !folder.contains("bucket"), "{folder}");
    assert!(folder.contains(r#"path: "/var/replicas/1/gateway-0/"#), "{folder}");
}

#[test]
fn what_is_written_says_how_long_litestream_keeps_its_own_files() {
    for base in ["s3://copies/berth", "file:///var/replicas"] {
        let text = written(base);
        assert!(text.contains("snapshot:\n  interval: 6h\n  retention: 72h\n"), "{text}");
        assert!(
            text.contains("levels:\n  - interval: 5s\n  - interval: 1m\n  - interval: 1h\nl0-retention: 5m\n"),
            "{text}"
        );
    }
}
