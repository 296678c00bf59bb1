//! The flags about replicas: where they are, by what they are written, and the bounds. Decides what they mean together.

use super::{Base, ReplicaError};
use clap::{Args, ValueEnum};
use shared::settings::{Secret, duration};
use std::{convert::Infallible, num::NonZeroU16, path::PathBuf, time::Duration};

/// Whether the pod's database is replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Replication {
    /// Litestream copies it to --replica.
    Litestream,
    /// Only the data folder has it.
    Off,
}

/// Flags about replicas.
#[derive(Debug, Clone, Args)]
pub struct ReplicaArgs {
    /// Whether Litestream copies the database to --replica; `off`: a lost disk is lost data
    #[arg(long, env = "BERTH_REPLICATION", default_value = "litestream", value_enum, help_heading = "Replication")]
    pub replication: Replication,
    /// Where the copies are: s3://BUCKET/PREFIX, or file:///PATH for one machine. All pods have the same one
    #[arg(long, env = "BERTH_REPLICA", value_name = "URL", help_heading = "Replication")]
    pub replica: Option<Base>,
    /// The bucket, when --replica is not set: the copies are at its root
    #[arg(long, env = "BERTH_REPLICA_BUCKET", value_name = "NAME", help_heading = "Replication")]
    pub replica_bucket: Option<String>,
    /// The store's address, when it is not Amazon's: http://minio:9000. Buckets then stand in the path
    #[arg(long, env = "BERTH_REPLICA_ENDPOINT", value_name = "URL", help_heading = "Replication")]
    pub replica_endpoint: Option<String>,
    /// The bucket's region
    #[arg(
        long,
        env = "BERTH_REPLICA_REGION",
        default_value = "us-east-1",
        value_name = "NAME",
        help_heading = "Replication"
    )]
    pub replica_region: String,
    /// Key that the store knows; what AWS's own settings or the machine's role say when it is not set
    #[arg(
        long,
        env = "BERTH_REPLICA_ACCESS_KEY_ID",
        hide_env_values = true,
        value_name = "KEY",
        help_heading = "Replication"
    )]
    pub replica_access_key_id: Option<String>,
    /// The secret that belongs to the key
    #[arg(
        long,
        env = "BERTH_REPLICA_SECRET_ACCESS_KEY",
        hide_env_values = true,
        value_parser = secret,
        value_name = "SECRET",
        help_heading = "Replication"
    )]
    pub replica_secret_access_key: Option<Secret>,
    /// How long a question to the store may take
    #[arg(long, env = "BERTH_REPLICA_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub replica_timeout: Duration,
    /// The Litestream program
    #[arg(
        long,
        env = "BERTH_LITESTREAM",
        default_value = "litestream",
        value_name = "PATH",
        help_heading = "Replication"
    )]
    pub litestream: PathBuf,
    /// Take a Litestream of any version; others than the one that Berth is tested with may corrupt databases
    #[arg(long, env = "BERTH_LITESTREAM_ANY_VERSION", help_heading = "Replication")]
    pub litestream_any_version: bool,
    /// Processors that Litestream works on at once. Its stages hand every page on to one another: on two of them a restore took
    /// half as long again, and twice the CPU time
    #[arg(
        long,
        env = "BERTH_LITESTREAM_PROCESSORS",
        default_value = "1",
        value_name = "N",
        help_heading = "Replication"
    )]
    pub litestream_processors: NonZeroU16,
    /// Where Litestream serves its own metrics, for example :9090; nowhere when it is not set
    #[arg(long, env = "BERTH_LITESTREAM_METRICS", value_name = "ADDR", help_heading = "Replication")]
    pub litestream_metrics: Option<String>,
    /// Litestream's control socket; litestream.sock in the data folder when it is not set. Its path has at most 100 bytes
    #[arg(long, env = "BERTH_LITESTREAM_SOCKET", value_name = "PATH", help_heading = "Replication")]
    pub litestream_socket: Option<PathBuf>,
    /// How long a restore may take before it is given up
    #[arg(long, env = "BERTH_RESTORE_TIMEOUT", default_value = "30m", value_parser = duration, value_name = "TIME", help_heading = "Replication")]
    pub restore_timeout: Duration,
    /// Parts of 2 MiB, or files where Litestream restores, that a restore fetches at once
    #[arg(
        long,
        env = "BERTH_RESTORE_PARALLELISM",
        default_value_t = 8,
        value_name = "N",
        help_heading = "Replication"
    )]
    pub restore_parallelism: usize,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

impl ReplicaArgs {
    /// Returns whether the database is replicated.
    pub fn is_on(&self) -> bool {
        self.replication == Replication::Litestream
    }

    /// Returns where the copies are.
    ///
    /// # Errors
    /// When nothing says where, or the bucket's name is none.
    pub fn base(&self) -> Result<Base, ReplicaError> {
        match (&self.replica, &self.replica_bucket) {
            (Some(base), _) => Ok(base.clone()),
            (None, Some(bucket)) => format!("s3://{bucket}")
                .parse()
                .map_err(|detail| ReplicaError::Settings { base: bucket.clone(), detail }),
            (None, None) => Err(ReplicaError::NotSet),
        }
    }
}

#[cfg(test)]
impl ReplicaArgs {
    /// Returns the defaults, with a program for Litestream and no replica.
    pub(crate) fn for_tests(litestream: PathBuf) -> Self {
        use clap::{Command, FromArgMatches};
        let matches =
            Self::augment_args(Command::new("tests")).try_get_matches_from(["tests"]).expect("all have defaults");
        let args = Self::from_arg_matches(&matches).expect("all have defaults");
        Self { litestream, ..args }
    }
}
