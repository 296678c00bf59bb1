//! Runs a bot's statement: binds what it is given, holds it to its bounds, and says what its failure means.

use super::{Mode, Scope};
use crate::{
    handlers::sql::{Params, Rows, Value},
    store::{LocalId, Store, StoreError},
};
use rusqlite::{
    CachedStatement, Connection, ErrorCode,
    limits::Limit,
    types::{ToSql, ToSqlOutput, ValueRef},
};
use shared::TargetId;

/// Why a bot's statement did nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatementError {
    /// It cannot work: its text, its parameters, what it touches.
    #[error("{0}")]
    Refused(String),
    /// The rows do not allow it, or there are too many: with others it may work.
    #[error("{0}")]
    Failed(String),
    /// The database failed, or its time was up.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for StatementError {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

/// Bounds of a bot's statements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SqlLimits {
    /// Most rows of an answer.
    pub(crate) rows: usize,
    /// Most bytes of an answer.
    pub(crate) bytes: usize,
    /// The longest statement, in bytes.
    pub(crate) statement: usize,
    /// Most parameters.
    pub(crate) params: usize,
    /// How long a statement beside the writer may run.
    pub(crate) read: std::time::Duration,
}

/// What one step of a bot's statement may chew on: the clock is looked at between steps only, and a function is one step.
/// A text or a blob in bytes, and the pattern of a LIKE or GLOB.
const CHEWED: [(Limit, i32); 2] =
    [(Limit::SQLITE_LIMIT_LENGTH, 1 << 20), (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 128)];

/// Holds a connection to [`CHEWED`] until it is dropped. Berth's own rows, whole bodies among them, are longer.
struct Chewing<'c> {
    conn: &'c Connection,
    before: [(Limit, i32); 2],
}

impl<'c> Chewing<'c> {
    fn on(conn: &'c Connection) -> Result<Self, StoreError> {
        let mut before = CHEWED;
        for (limit, most) in &mut before {
            *most = conn.set_limit(*limit, *most)?;
        }
        Ok(Self { conn, before })
    }
}

impl Drop for Chewing<'_> {
    fn drop(&mut self) {
        for (limit, most) in self.before {
            if let Err(why) = self.conn.set_limit(limit, most) {
                tracing::error!(error = %why, "a bound of the database could not be lifted");
            }
        }
    }
}

/// Begins every statement of a bot's in the cache: what Berth has prepared for itself is never used for a bot.
const MARK: &str = "/*bot*/ ";

impl Store {
    /// Runs a bot's statement for a target. Returns how many rows it changed.
    pub(crate) fn sql_execute(
        &self,
        local: LocalId,
        target: &TargetId,
        statement: &str,
        params: &Params,
    ) -> Result<u64, StatementError> {
        let _entered = self.scope.enter(Mode::Bot, Some((local, target.id())));
        let call = Call { conn: &self.conn, scope: &self.scope, limits: &self.limits, target, local: Some(local) };
        let _chewing = Chewing::on(&self.conn)?;
        call.run(statement, params, |_| Ok(()))
    }

    /// Runs a bot's statement for a target and returns the rows it gives.
    pub(crate) fn sql_query(
        &self,
        local: LocalId,
        target: &TargetId,
        statement: &str,
        params: &Params,
    ) -> Result<Rows, StatementError> {
        let _entered = self.scope.enter(Mode::Bot, Some((local, target.id())));
        let call = Call { conn: &self.conn, scope: &self.scope, limits: &self.limits, target, local: Some(local) };
        let _chewing = Chewing::on(&self.conn)?;
        call.rows(statement, params)
    }
}

/// A statement to be run, and on whose behalf.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) conn: &'c Connection,
    pub(super) scope: &'c Scope,
    pub(super) limits: &'c SqlLimits,
    pub(super) target: &'c TargetId,
    pub(super) local: Option<LocalId>,
}

impl Call<'_> {
    /// Runs it and collects its rows.
    pub(super) fn rows(&self, statement: &str, params: &Params) -> Result<Rows, StatementError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let (most_rows, most_bytes) = (self.limits.rows, self.limits.bytes);
        let mut columns = Vec::new();
        self.run_with(
            statement,
            params,
            |names| columns = names,
            |row| {
                bytes += row.iter().map(Value::size).sum::<usize>();
                if rows.len() >= most_rows || bytes > most_bytes {
                    return Err(StatementError::Failed(format!(
                        "the answer is larger than {most_rows} rows or {most_bytes} bytes (--sql-rows, --sql-bytes); \
                         ask for less with LIMIT"
                    )));
                }
                rows.push(row);
                Ok(())
            },
        )?;
        Ok(Rows { columns, rows })
    }

    /// Runs it, gives each row away, and returns how many rows it changed.
    fn run(
        &self,
        statement: &str,
        params: &Params,
        each: impl FnMut(Vec<Value>) -> Result<(), StatementError>,
    ) -> Result<u64, StatementError> {
        self.run_with(statement, params, |_| {}, each)
    }

    fn run_with(
        &self,
        statement: &str,
        params: &Params,
        columns: impl FnOnce(Vec<String>),
        mut each: impl FnMut(Vec<Value>) -> Result<(), StatementError>,
    ) -> Result<u64, StatementError> {
        self.bounded(statement, params)?;
        let mut prepared = self.conn.prepare_cached(&format!("{MARK}{statement}")).map_err(|why| self.explain(why))?;
        if prepared.is_explain() != 0 {
            return Err(StatementError::Refused("EXPLAIN tells of more than the bot's own tables".to_owned()));
        }
        self.bind(&mut prepared, params)?;
        columns(prepared.column_names().into_iter().map(str::to_owned).collect());
        let (width, reads) = (prepared.column_count(), prepared.readonly());
        let mut found = prepared.raw_query();
        while let Some(row) = found.next().map_err(|why| self.explain(why))? {
            let values = (0..width).map(|i| row.get_ref(i).map(read)).collect::<Result<_, _>>();
            each(values.map_err(|why| self.explain(why))?)?;
        }
        Ok(if reads { 0 } else { self.conn.changes() })
    }

    fn bounded(&self, statement: &str, params: &Params) -> Result<(), StatementError> {
        let (size, most) = (statement.len(), self.limits.statement);
        let refused = if size > most {
            format!("the statement has {size} bytes, --sql-statement (BERTH_SQL_STATEMENT) allows {most}")
        } else if statement.contains('\0') {
            "the statement holds a zero byte".to_owned()
        } else if params.count() > self.limits.params {
            let most = self.limits.params;
            format!("there are {} parameters, --sql-params (BERTH_SQL_PARAMS) allows {most}", params.count())
        } else {
            return Ok(());
        };
        Err(StatementError::Refused(refused))
    }

    fn bind(&self, prepared: &mut CachedStatement<'_>, params: &Params) -> Result<(), StatementError> {
        let refused = |why: String| Err(StatementError::Refused(why));
        let mut used = vec![false; params.count()];
        let mut next = 0;
        for i in 1..=prepared.parameter_count() {
            let name = prepared.parameter_name(i).map(|name| name.trim_start_matches([':', '@', '$']).to_owned());
            let bound = match (name.as_deref(), params) {
                (Some("target"), _) => {
                    let local = self.local.map(|local| local.0);
                    prepared.raw_bind_parameter(i, local)
                }
                (Some("target_key"), _) => prepared.raw_bind_parameter(i, self.target.id()),
                (Some("target_name"), _) => prepared.raw_bind_parameter(i, self.target.as_str()),
                (name, Params::Positional(values)) => {
                    let at = match name {
                        None => next,
                        Some(name) => match name.strip_prefix('?').and_then(|n| n.parse::<usize>().ok()) {
                            Some(n) => n - 1,
                            None => return refused(format!("parameter :{name} has no value; give the values by name")),
                        },
                    };
                    next = at + 1;
                    let Some(value) = values.get(at) else {
                        return refused(format!("the statement has more parameters than the {} given", values.len()));
                    };
                    used[at] = true;
                    prepared.raw_bind_parameter(i, value)
                }
                (name, Params::Named(values)) => {
                    let name = name.unwrap_or("?");
                    let known = values.iter().position(|(key, _)| key.trim_start_matches([':', '@', '$']) == name);
                    let Some(at) = known else { return refused(format!("parameter {name} has no value")) };
                    used[at] = true;
                    prepared.raw_bind_parameter(i, &values[at].1)
                }
            };
            bound.map_err(|why| self.explain(why))?;
        }
        match used.iter().position(|used| !used) {
            None => Ok(()),
            Some(at) => refused(match params {
                Params::Named(values) => format!("the statement has no parameter :{}", values[at].0),
                Params::Positional(values) => format!(
                    "{} values are given, the statement takes fewer (:target and its like are bound by Berth; \
                     beside them write ?, not ?1)",
                    values.len()
                ),
            }),
        }
    }

    /// Says what an error of SQLite means for the one who wrote the statement.
    pub(super) fn explain(&self, why: rusqlite::Error) -> StatementError {
        match why.sqlite_error_code() {
            Some(ErrorCode::AuthorizationForStatementDenied) => {
                StatementError::Refused(self.scope.reason().unwrap_or_else(|| why.to_string()))
            }
            Some(ErrorCode::ConstraintViolation) => {
                let text = message(&why);
                match text.strip_prefix(super::guard::SAYS) {
                    Some(guard) => StatementError::Refused(guard.to_owned()),
                    None => StatementError::Failed(text),
                }
            }
            Some(
                ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange | ErrorCode::ApiMisuse,
            )
            | None => StatementError::Refused(self.scope.reason().unwrap_or_else(|| message(&why))),
            Some(ErrorCode::TooBig) => StatementError::Failed(message(&why)),
            Some(_) => StatementError::Store(why.into()),
        }
    }
}

/// SQLite's sentence, without what this program adds to it.
fn message(why: &rusqlite::Error) -> String {
    match why {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::MultipleStatement => "one statement at a time".to_owned(),
        other => other.to_string(),
    }
}

fn read(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        // SQLite keeps whatever bytes it was given.
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
