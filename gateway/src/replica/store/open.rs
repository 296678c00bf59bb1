//! Opens the store that the settings name. Decides how its library is set up; asks the store nothing.

use super::ReplicaStore;
use crate::replica::{Base, ReplicaArgs, ReplicaError};
use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path as Key,
};
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

/// How often a call is tried again while there is time: the time ends first.
const RETRIES: usize = 100;

pub(super) fn open(args: &ReplicaArgs) -> Result<ReplicaStore, ReplicaError> {
    let base = args.base()?;
    let wrong = |detail: String| ReplicaError::Settings { base: base.to_string(), detail };
    let (store, at_once, prefix): (Arc<dyn ObjectStore>, Arc<dyn ObjectStore>, Key) = match &base {
        Base::Folder(folder) => {
            let store: Arc<dyn ObjectStore> = Arc::new(in_folder(folder).map_err(wrong)?);
            (Arc::clone(&store), store, Key::default())
        }
        Base::Bucket { bucket, prefix } => {
            let open = |retries| in_bucket(args, bucket, retries).map_err(|why| wrong(why.to_string()));
            (Arc::new(open(RETRIES)?), Arc::new(open(0)?), Key::from(prefix.as_str()))
        }
    };
    Ok(ReplicaStore { store, at_once, base: base.to_string().into(), prefix, timeout: args.replica_timeout })
}

/// A folder's files are flushed: a seal that a power cut takes back would be none.
fn in_folder(folder: &Path) -> Result<LocalFileSystem, String> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|why| why.to_string())?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|why| why.to_string())?;
    Ok(store.with_automatic_cleanup(true).with_fsync(true))
}

fn in_bucket(args: &ReplicaArgs, bucket: &str, max_retries: usize) -> object_store::Result<impl ObjectStore> {
    // Whoever was first has installed the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A call is tried again while there is time; the bound around it is the caller's.
    let retry = RetryConfig { max_retries, retry_timeout: args.replica_timeout, ..RetryConfig::default() };
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
    } else if builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_none() && is_a_label(bucket) {
        builder = builder.with_virtual_hosted_style_request(true);
    }
    if let (Some(key), Some(secret)) = (&args.replica_access_key_id, &args.replica_secret_access_key) {
        builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose());
    }
    builder.build()
}

/// Whether a bucket's name may stand before the store's, as Amazon wants it and Litestream does it: behind another dot no
/// certificate of the store's would fit.
fn is_a_label(bucket: &str) -> bool {
    !bucket.contains(['.', '_'])
}
