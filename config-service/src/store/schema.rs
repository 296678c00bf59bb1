//! The migrations of the control plane's database, embedded, and the record of which were applied. Each database has its
//! own texts under `migrations/config`; versions and names are the same.

use super::StoreError;
use sha2::{Digest, Sha256};

/// One step of the schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    /// Its number; steps are applied in order, without gaps.
    pub(super) version: i64,
    /// Its name.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) sql: &'static str,
}

/// The steps for PostgreSQL.
pub(super) const POSTGRES: &[Migration] = &[
    Migration {
        version: 1,
        name: "control plane",
        sql: include_str!("../../../migrations/config/postgres/0001_control_plane.sql"),
    },
    Migration {
        version: 2,
        name: "administration",
        sql: include_str!("../../../migrations/config/postgres/0002_administration.sql"),
    },
    Migration { version: 3, name: "fleet", sql: include_str!("../../../migrations/config/postgres/0003_fleet.sql") },
    Migration { version: 4, name: "moves", sql: include_str!("../../../migrations/config/postgres/0004_moves.sql") },
    Migration {
        version: 5,
        name: "replicas",
        sql: include_str!("../../../migrations/config/postgres/0005_replicas.sql"),
    },
    Migration { version: 6, name: "heard", sql: include_str!("../../../migrations/config/postgres/0006_heard.sql") },
    Migration {
        version: 7,
        name: "restore",
        sql: include_str!("../../../migrations/config/postgres/0007_restore.sql"),
    },
    Migration { version: 8, name: "plans", sql: include_str!("../../../migrations/config/postgres/0008_plans.sql") },
    Migration { version: 9, name: "tracks", sql: include_str!("../../../migrations/config/postgres/0009_tracks.sql") },
    Migration {
        version: 10,
        name: "weights",
        sql: include_str!("../../../migrations/config/postgres/0010_weights.sql"),
    },
    Migration {
        version: 11,
        name: "identify",
        sql: include_str!("../../../migrations/config/postgres/0011_identify.sql"),
    },
    Migration { version: 12, name: "rest", sql: include_str!("../../../migrations/config/postgres/0012_rest.sql") },
];

/// The steps for SQLite.
pub(super) const SQLITE: &[Migration] = &[
    Migration {
        version: 1,
        name: "control plane",
        sql: include_str!("../../../migrations/config/sqlite/0001_control_plane.sql"),
    },
    Migration {
        version: 2,
        name: "administration",
        sql: include_str!("../../../migrations/config/sqlite/0002_administration.sql"),
    },
    Migration { version: 3, name: "fleet", sql: include_str!("../../../migrations/config/sqlite/0003_fleet.sql") },
    Migration { version: 4, name: "moves", sql: include_str!("../../../migrations/config/sqlite/0004_moves.sql") },
    Migration {
        version: 5,
        name: "replicas",
        sql: include_str!("../../../migrations/config/sqlite/0005_replicas.sql"),
    },
    Migration { version: 6, name: "heard", sql: include_str!("../../../migrations/config/sqlite/0006_heard.sql") },
    Migration { version: 7, name: "restore", sql: include_str!("../../../migrations/config/sqlite/0007_restore.sql") },
    Migration { version: 8, name: "plans", sql: include_str!("../../../migrations/config/sqlite/0008_plans.sql") },
    Migration { version: 9, name: "tracks", sql: include_str!("../../../migrations/config/sqlite/0009_tracks.sql") },
    Migration { version: 10, name: "weights", sql: include_str!("../../../migrations/config/sqlite/0010_weights.sql") },
    Migration {
        version: 11,
        name: "identify",
        sql: include_str!("../../../migrations/config/sqlite/0011_identify.sql"),
    },
    Migration { version: 12, name: "rest", sql: include_str!("../../../migrations/config/sqlite/0012_rest.sql") },
];

impl Migration {
    /// Returns the fingerprint of the text: a step that was applied never changes afterwards.
    pub(super) fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.sql.as_bytes()))
    }
}

/// Returns the steps still to be applied to a database in which `applied` (version and fingerprint, in order) were.
///
/// # Errors
/// [`StoreError::Unusable`] when the database was made by a newer Berth, or by a step that reads differently here.
pub(super) fn pending(
    steps: &'static [Migration],
    applied: &[(i64, String)],
) -> Result<&'static [Migration], StoreError> {
    for (at, (version, hash)) in applied.iter().enumerate() {
        match steps.get(at) {
            Some(step) if step.version == *version && step.hash() == *hash => {}
            Some(step) if step.version == *version => {
                let text = format!(
                    "migration {version} of the database is not the one this binary has; use the binary that made it"
                );
                return Err(StoreError::Unusable(text));
            }
            _ => {
                let text = format!(
                    "the database has migration {version}, which this binary does not know; use a newer binary"
                );
                return Err(StoreError::Unusable(text));
            }
        }
    }
    Ok(&steps[applied.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_newer_or_another_berth_is_refused() {
        let ours = || (1, SQLITE[0].hash());
        let newer = SQLITE.len() as i64 + 1;
        assert_eq!(pending(SQLITE, &[]).expect("fresh").len(), SQLITE.len());
        assert_eq!(pending(SQLITE, &[ours()]).expect("known").len(), SQLITE.len() - 1);
        let mut ahead: Vec<_> = SQLITE.iter().map(|step| (step.version, step.hash())).collect();
        ahead.push((newer, "newer".to_owned()));
        for applied in [vec![(1, "other".to_owned())], ahead] {
            assert!(matches!(pending(SQLITE, &applied), Err(StoreError::Unusable(_))), "{applied:?}");
        }
    }
}
