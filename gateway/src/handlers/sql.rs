//! What a bot's own SQL is written with: values, parameters, rows, and [`Sql`], the way to the bot's own tables. Decides
//! how values read as JSON; knows no database.

use super::{HandlerError, target::Target};
use crate::store::StatementError;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// A value of SQL, as it is bound and as it is read.
///
/// As JSON it is `null`, a number, a string, or `{"base64":"…"}` for bytes. `true` and `false` are read as 1 and 0. A real
/// that is no number of JSON (an infinity) is written as `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Json", try_from = "Json")]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => number.into(),
            Value::Real(number) => number.into(),
            Value::Text(text) => text.into(),
            Value::Blob(bytes) => json!({ "base64": STANDARD.encode(bytes) }),
        }
    }
}

/// JSON that is no value of SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value is null, true, false, a number, a string or {{\"base64\":\"…\"}}")]
pub struct NoValue;

impl TryFrom<Json> for Value {
    type Error = NoValue;

    fn try_from(json: Json) -> Result<Self, NoValue> {
        match json {
            Json::Null => Ok(Self::Null),
            Json::Bool(yes) => Ok(Self::Integer(yes.into())),
            Json::Number(number) => match (number.as_i64(), number.is_u64()) {
                (Some(whole), _) => Ok(Self::Integer(whole)),
                // Beyond what SQLite counts to: as a real it would be another number.
                (None, true) => Err(NoValue),
                (None, false) => number.as_f64().map(Self::Real).ok_or(NoValue),
            },
            Json::String(text) => Ok(Self::Text(text)),
            Json::Object(fields) => match (fields.get("base64"), fields.len()) {
                (Some(Json::String(text)), 1) => STANDARD.decode(text).map(Self::Blob).map_err(|_| NoValue),
                _ => Err(NoValue),
            },
            Json::Array(_) => Err(NoValue),
        }
    }
}

macro_rules! values {
    ($($from:ty => $value:ident => $make:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $make
            }
        })+
    };
}

values! {
    i64 => number => Self::Integer(number),
    i32 => number => Self::Integer(number.into()),
    u32 => number => Self::Integer(number.into()),
    bool => yes => Self::Integer(yes.into()),
    f64 => number => Self::Real(number),
    &str => text => Self::Text(text.to_owned()),
    String => text => Self::Text(text),
    &String => text => Self::Text(text.clone()),
    Vec<u8> => bytes => Self::Blob(bytes),
    &[u8] => bytes => Self::Blob(bytes.to_vec()),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value {
    /// Returns the whole number it is.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the text it is.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns about how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        8 + match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            Self::Null | Self::Integer(_) | Self::Real(_) => 0,
        }
    }
}

/// What a statement is given: values for its `?` and `?1`, or for its `:name`. Beside them Berth binds `:target` (the
/// number of the target's rows, for `target_id`), `:target_key` (the last part of its name, as the platform has it) and
/// `:target_name` (the whole of it).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Params {
    /// In the order of the nameless ones; `:target` and its like do not count.
    Positional(Vec<Value>),
    /// By name, without the `:`.
    #[serde(with = "named")]
    Named(Vec<(String, Value)>),
}

impl Default for Params {
    fn default() -> Self {
        Self::Positional(Vec::new())
    }
}

impl Params {
    /// Makes parameters by name.
    pub fn named<K: Into<String>>(values: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Named(values.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Positional(values) => values.len(),
            Self::Named(values) => values.len(),
        }
    }
}

impl From<Vec<Value>> for Params {
    fn from(values: Vec<Value>) -> Self {
        Self::Positional(values)
    }
}

impl<const N: usize> From<[Value; N]> for Params {
    fn from(values: [Value; N]) -> Self {
        Self::Positional(values.into())
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Params {
    fn from(values: [(&str, Value); N]) -> Self {
        Self::named(values)
    }
}

impl From<()> for Params {
    fn from((): ()) -> Self {
        Self::default()
    }
}

macro_rules! tuples {
    ($($($name:ident)+),+ $(,)?) => {
        $(impl<$($name: Into<Value>),+> From<($($name,)+)> for Params {
            #[expect(non_snake_case, reason = "the fields are called as their types")]
            fn from(($($name,)+): ($($name,)+)) -> Self {
                Self::Positional(vec![$($name.into()),+])
            }
        })+
    };
}

tuples! { A, A B, A B C, A B C D, A B C D E, A B C D E F, A B C D E F G, A B C D E F G H }

/// Named parameters as an object.
mod named {
    use super::Value;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(values: &[(String, Value)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(values.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Value)>, D::Error> {
        Ok(BTreeMap::deserialize(from)?.into_iter().collect())
    }
}

/// What a query found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Returns the first value of the first row: the answer of `SELECT count(*)` and its like.
    pub fn first(&self) -> Option<&Value> {
        self.rows.first().and_then(|row| row.first())
    }
}

/// The bot's own tables, as one target sees them. A statement that would change another target's row fails, and so does one
/// that touches a table of Berth's.
///
/// A handler in Rust reads beside what it has just written, from the tables themselves: it names `target_id = :target` in
/// its `WHERE`. (Handlers over HTTP read through views that show their target's rows only.)
#[derive(Debug)]
pub struct Sql<'t, 'a>(pub(super) &'t mut Target<'a>);

impl Sql<'_, '_> {
    /// Runs one statement. Returns how many rows it changed.
    ///
    /// # Errors
    /// [`HandlerError::Refused`] when the statement cannot work: its text, its parameters, a table it may not touch,
    /// another target's row. [`HandlerError::Retry`] when the rows do not allow it (a constraint) or the database fails.
    /// A handler may go on after the failure of a statement: only what the statement did is undone.
    pub fn execute(&mut self, statement: &str, params: impl Into<Params>) -> Result<u64, HandlerError> {
        let params = params.into();
        self.statement(|target| target.store.sql_execute(target.local, target.id, statement, &params))
    }

    /// Runs one statement and returns the rows it gives.
    ///
    /// # Errors
    /// Like [`Sql::execute`]; also when there are more rows or bytes than `--sql-rows` and `--sql-bytes` allow.
    pub fn query(&mut self, statement: &str, params: impl Into<Params>) -> Result<Rows, HandlerError> {
        let params = params.into();
        self.statement(|target| target.store.sql_query(target.local, target.id, statement, &params))
    }

    fn statement<T>(&mut self, run: impl FnOnce(&Target<'_>) -> Result<T, StatementError>) -> Result<T, HandlerError> {
        let done = self.0.run(|target| match run(target) {
            Err(StatementError::Store(why)) => Err(why),
            done => Ok(done),
        })?;
        Ok(done?)
    }
}

impl From<StatementError> for HandlerError {
    fn from(why: StatementError) -> Self {
        match why {
            StatementError::Refused(why) => Self::Refused(why),
            StatementError::Failed(_) | StatementError::Store(_) => Self::Retry(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
