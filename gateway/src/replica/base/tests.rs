use super::*;

#[test]
fn a_base_is_a_folder_or_a_bucket_and_reads_as_it_was_written() {
    for text in ["file:///var/lib/my replicas", "s3://bucket", "s3://my.bucket-1/berth/Prod_2"] {
        assert_eq!(text.parse::<Base>().expect(text).to_string(), text);
    }
    let base: Base = "s3://bucket/a/b/".parse().expect("a slash at the end says nothing");
    assert_eq!(base, Base::Bucket { bucket: "bucket".to_owned(), prefix: "a/b".to_owned() });
}

#[test]
fn what_two_clients_might_write_differently_is_refused() {
    let wrong = [
        "",
        "bucket",
        "file://relative",
        "s3://",
        "s3://Bucket",
        "s3://b/a//b",
        "s3://b/../c",
        "s3://b/a b",
        "s3://b/a%20b",
        "gs://b",
    ];
    for text in wrong {
        assert!(text.parse::<Base>().is_err(), "{text}");
    }
}

#[test]
fn paths_stand_below_the_base() {
    let below = |base: &str| base.parse::<Base>().expect(base).below("1/gateway-0");
    assert_eq!(below("file:///replicas"), "/replicas/1/gateway-0");
    assert_eq!(below("s3://bucket"), "1/gateway-0");
    assert_eq!(below("s3://bucket/berth"), "berth/1/gateway-0");
}
