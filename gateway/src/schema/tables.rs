//! Where a bot's tables come from: a folder of migrations and a schema map, or the program itself. Decides which files are
//! migrations and in which order.

use super::{File, file::SchemaError};
use crate::Options;
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

/// A migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Migration {
    /// Its name, without `.sql`.
    pub(crate) name: String,
    /// What it does.
    pub(crate) sql: String,
}

impl Migration {
    /// Returns the hash of what it does, in hex.
    pub(crate) fn hash(&self) -> String {
        hex(&Sha256::digest(self.sql.as_bytes()))
    }
}

/// A bot's own tables: its migrations in order, and the map that says whose their rows are.
///
/// ```no_run
/// # use gateway::{Handler, HandlerError, Reply, Tables, Target, handlers::Event};
/// # struct MyBot;
/// # impl Handler for MyBot {
/// #     fn handle(&self, _: &Event, _: &mut Target<'_>) -> Result<Reply, HandlerError> { Ok(Reply::none()) }
/// # }
/// fn main() -> std::process::ExitCode {
///     let warnings = "CREATE TABLE warnings (target_id INTEGER NOT NULL, id TEXT NOT NULL, about TEXT NOT NULL,
///                     PRIMARY KEY (target_id, id)) WITHOUT ROWID;";
///     let tables = Tables::embedded(&[("0001_warnings.sql", warnings)], "[tables.warnings]\ncolumn = 'target_id'");
///     gateway::run(gateway::Bot::new(MyBot).tables(tables))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    files: Vec<(String, String)>,
    map: Option<String>,
}

impl Tables {
    /// Takes migrations (a file's name and its text) and the text of `schema.toml` out of the program. What is wrong with
    /// them is said when the pod starts.
    pub fn embedded(migrations: &[(&str, &str)], schema: &str) -> Self {
        let files = migrations.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned())).collect();
        Self { files, map: Some(schema.to_owned()) }
    }

    /// Reads them where the options say, or takes what the bot brings along.
    pub(crate) fn load(options: &Options, embedded: Option<&Self>) -> Result<Self, SchemaError> {
        match (&options.migrations, embedded) {
            (None, None) => Ok(Self::default()),
            (None, Some(tables)) => Ok(tables.clone()),
            (Some(_), Some(_)) => Err(SchemaError::Migration(
                "this bot brings its tables along; leave --migrations (BERTH_MIGRATIONS) away".to_owned(),
            )),
            (Some(folder), None) => {
                let map = options.schema.clone().unwrap_or_else(|| folder.join("schema.toml"));
                Ok(Self { files: read_folder(folder)?, map: Some(read(&map)?) })
            }
        }
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_none()
    }

    /// Returns the migrations in order.
    ///
    /// # Errors
    /// When a name says no place, two say the same, or one is missing.
    pub(crate) fn migrations(&self) -> Result<Vec<Migration>, SchemaError> {
        let mut numbered: Vec<(u32, Migration)> = Vec::new();
        for (file, sql) in &self.files {
            let name = file.strip_suffix(".sql").unwrap_or(file);
            let digits = name.split_once('_').map(|(digits, _)| digits).filter(|digits| digits.len() == 4);
            let number = digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
                SchemaError::Migration(format!("{file}: a migration is called like 0001_what_it_does.sql"))
            })?;
            numbered.push((number, Migration { name: name.to_owned(), sql: sql.clone() }));
        }
        numbered.sort_by_key(|(number, _)| *number);
        for (expected, (number, migration)) in (1..).zip(&numbered) {
            if *number != expected {
                let name = &migration.name;
                return Err(SchemaError::Migration(format!(
                    "migration {name}: number {expected:04} is missing, or {number:04} is there twice"
                )));
            }
        }
        Ok(numbered.into_iter().map(|(_, migration)| migration).collect())
    }

    /// Reads the map.
    ///
    /// # Errors
    /// [`SchemaError::Map`].
    pub(crate) fn map(&self) -> Result<File, SchemaError> {
        File::parse(self.map.as_deref().unwrap_or_default())
    }

    /// Returns a hash of all of it, in hex: two pods with the same have the same schema.
    pub(crate) fn hash(&self) -> Result<String, SchemaError> {
        let mut hash = Sha256::new();
        for migration in self.migrations()? {
            hash.update(migration.hash().as_bytes());
        }
        hash.update(self.map.as_deref().unwrap_or_default().as_bytes());
        Ok(hex(&hash.finalize()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Result<String, SchemaError> {
    fs::read_to_string(path).map_err(|source| SchemaError::File { path: path.to_owned(), source })
}

/// Reads every `.sql` of a folder; other files are none of ours.
fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, SchemaError> {
    let failed = |source| SchemaError::File { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == "sql") {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((name, read(&path)?));
        }
    }
    Ok(files)
}
