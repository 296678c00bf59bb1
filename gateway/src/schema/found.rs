//! A bot's tables as they stand in the database: what the checker compares the schema map with.

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The declared type, as it was written.
    pub(crate) declared: String,
    /// Its place in the primary key, from 1; 0 when it is not in it.
    pub(crate) key: u32,
    /// Whether it is computed from others.
    pub(crate) computed: bool,
}

/// An index, also that of a UNIQUE or PRIMARY KEY. Expressions are left out of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) unique: bool,
    /// Whether it holds some of the rows only.
    pub(crate) partial: bool,
    pub(crate) columns: Vec<String>,
}

/// A declared foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) table: String,
    /// From this table's column to the other's.
    pub(crate) pairs: Vec<(String, String)>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) without_rowid: bool,
    pub(crate) indexes: Vec<Index>,
    pub(crate) foreign: Vec<Foreign>,
}

/// What is neither a table nor an index: a view, a trigger, a virtual table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl Found {
    /// Returns a column, whatever its name's case.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Returns the primary key's columns in order.
    pub(crate) fn key(&self) -> Vec<String> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key.into_iter().map(|column| column.name.clone()).collect()
    }

    /// Returns what tells the rows apart: the primary key where there is no rowid, since only that is never NULL.
    pub(crate) fn apart(&self) -> Vec<String> {
        if self.without_rowid {
            return self.key();
        }
        let free = ["rowid", "_rowid_", "oid"].into_iter().find(|name| self.column(name).is_none());
        free.map_or_else(|| self.key(), |name| vec![name.to_owned()])
    }

    /// Returns the column whose values SQLite makes up when none is given: an `INTEGER PRIMARY KEY`.
    pub(crate) fn numbered(&self) -> Option<&str> {
        let key = self.key();
        let [only] = &key[..] else { return None };
        let column = self.column(only)?;
        (!self.without_rowid && column.declared.eq_ignore_ascii_case("INTEGER")).then_some(&*column.name)
    }

    /// Returns whether no two rows have the same value in `column`.
    pub(crate) fn is_unique(&self, column: &str) -> bool {
        let alone = |columns: &[String]| matches!(columns, [only] if only.eq_ignore_ascii_case(column));
        alone(&self.key()) || self.indexes.iter().any(|index| index.unique && !index.partial && alone(&index.columns))
    }
}
