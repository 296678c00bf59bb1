//! Opens the store that the settings name. Decides how its library is set up; asks the store nothing.

use super::ReplicaStore;
use crate::replica::{Base, ReplicaArgs, ReplicaError};
use object_store::{
    ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem, path::Path as Key,
};
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

pub(super) fn open(args: &ReplicaArgs) -> Result<ReplicaStore, ReplicaError> {
    let base = args.base()?;
    let wrong = |detail: String| ReplicaError::Settings { base: base.to_string(), detail };
    let (store, prefix): (Arc<dyn ObjectStore>, Key) = match &base {
        Base::Folder(folder) => (Arc::new(in_folder(folder).map_err(wrong)?), Key::default()),
        Base::Bucket { bucket, prefix } => {
            let store = in_bucket(args, bucket).map_err(|why| wrong(why.to_string()))?;
            (Arc::new(store), Key::from(prefix.as_str()))
        }
    };
    Ok(ReplicaStore { store, base: base.to_string().into(), prefix, timeout: args.replica_timeout })
}

/// A folder's files are flushed: a seal that a power cut takes back would be none.
fn in_folder(folder: &Path) -> Result<LocalFileSystem, String> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|why| why.to_string())?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|why| why.to_string())?;
    Ok(store.with_automatic_cleanup(true).with_fsync(true))
}

fn in_bucket(args: &ReplicaArgs, bucket: &str) -> object_store::Result<impl ObjectStore> {
    // Whoever was first has installed the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A call is tried again while there is time; the bound around it is the caller's.
    let retry = RetryConfig { retry_timeout: args.replica_timeout, ..RetryConfig::default() };
    let client = ClientOptions::new().with_timeout(args.replica_timeout).with_connect_timeout(args.replica_timeout);
    // What AWS's own names in the environment say counts where Berth's say nothing, as it does for Litestream.
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_region(&args.replica_region)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(endpoint) = &args.replica_endpoint {
        let plain = endpoint.starts_with("http://");
        builder = builder.with_endpoint(endpoint).with_allow_http(plain).with_virtual_hosted_style_request(false);
    }
    if let (Some(key), Some(secret)) = (&args.replica_access_key_id, &args.replica_secret_access_key) {
        builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose());
    }
    builder.build()
}
