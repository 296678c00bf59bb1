//! What a statement may do, as SQLite asks it piece by piece while it prepares one. Pure. What is not allowed here is
//! refused, also what SQLite may learn one day.

use super::scope::Mode;
use crate::schema::{
    Map, OwnTable, Right,
    names::{is_berths, is_sqlites},
};
use rusqlite::hooks::{AuthAction, AuthContext};

/// Functions that reach beyond the database.
const REFUSED: &[&str] = &["load_extension", "fts3_tokenizer", "randomblob", "zeroblob"];
/// Tables without rows of their own: they read what they are given.
const READING_ALONG: &[&str] = &["json_each", "json_tree"];

/// Says whether a statement may do this.
///
/// # Errors
/// A sentence.
pub(super) fn judge(mode: &Mode, map: Option<&Map>, asked: &AuthContext<'_>) -> Result<(), String> {
    match mode {
        Mode::Berth => Ok(()),
        Mode::Migration => migration(asked),
        Mode::Bot | Mode::Sandbox(_) => statement(mode, map, asked),
    }
}

fn statement(mode: &Mode, map: Option<&Map>, asked: &AuthContext<'_>) -> Result<(), String> {
    let right = |table: &str| map.and_then(|map| map.table(table)).map(OwnTable::right);
    match asked.action {
        AuthAction::Select | AuthAction::Recursive => Ok(()),
        AuthAction::Function { function_name } => function(function_name),
        // A table, or a name within the statement, of which no column is read: count(*).
        AuthAction::Read { table_name, column_name: "" } if !is_main(asked.database_name) => {
            if is_view(mode, table_name) { Ok(()) } else { not_ours(table_name) }
        }
        AuthAction::Read { table_name, .. } => read(mode, right(table_name), table_name, asked),
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => match right(table_name) {
            _ if *mode != Mode::Bot => {
                Err("here a statement only reads; writes go into the handler's answer".to_owned())
            }
            Some(Right::OwnRows | Right::Everything) if is_main(asked.database_name) => Ok(()),
            Some(Right::Read) => Err(format!("table {table_name} is global: only migrations fill it")),
            _ => Err(foreign(table_name)),
        },
        ref other => Err(general(other)),
    }
}

fn read(mode: &Mode, right: Option<Right>, table: &str, asked: &AuthContext<'_>) -> Result<(), String> {
    let accessor = asked.accessor.unwrap_or_default();
    match (mode, right) {
        // The view of the bot's table's name, and the one behind it.
        (Mode::Sandbox(_), right) if asked.database_name == Some("temp") => {
            if right == Some(Right::OwnRows) || is_view(mode, table) { Ok(()) } else { Err(foreign(table)) }
        }
        (Mode::Sandbox(_), Some(Right::OwnRows)) if !is_view(mode, accessor) => {
            Err(format!("table {table} is read by its plain name, without main."))
        }
        (_, Some(_)) if is_main(asked.database_name) => Ok(()),
        (_, None) if READING_ALONG.contains(&table.to_ascii_lowercase().as_str()) => Ok(()),
        _ => Err(foreign(table)),
    }
}

fn migration(asked: &AuthContext<'_>) -> Result<(), String> {
    match asked.action {
        AuthAction::Select | AuthAction::Recursive => Ok(()),
        AuthAction::Function { function_name } => function(function_name),
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::Analyze { table_name }
            if !is_berths(table_name) =>
        {
            Ok(())
        }
        AuthAction::Reindex { .. } => Ok(()),
        AuthAction::CreateTrigger { trigger_name, .. } => Err(format!(
            "trigger {trigger_name}: triggers would fire again when rows move to another pod; let the handler do it"
        )),
        AuthAction::CreateView { view_name } => Err(format!(
            "view {view_name}: a view hides whose rows it shows; put its query into the statement that needs it"
        )),
        AuthAction::CreateVtable { table_name, module_name } => Err(format!(
            "table {table_name}: Berth cannot tell whose the rows of a {module_name} table are; use a plain table"
        )),
        ref other => Err(general(other)),
    }
}

fn function(name: &str) -> Result<(), String> {
    if REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused)) {
        return Err(format!("the function {name} is not allowed"));
    }
    Ok(())
}

/// Returns whether a name is one of the secret views'.
fn is_view(mode: &Mode, name: &str) -> bool {
    matches!(mode, Mode::Sandbox(word) if name.starts_with(&**word))
}

fn not_ours(table: &str) -> Result<(), String> {
    if is_berths(table) || is_sqlites(table) { Err(foreign(table)) } else { Ok(()) }
}

fn foreign(table: &str) -> String {
    if is_berths(table) {
        format!("table {table} is Berth's own")
    } else if is_sqlites(table) {
        format!("table {table} is SQLite's own")
    } else {
        format!("table {table} is none of the bot's own tables; schema.toml names them")
    }
}

fn general(action: &AuthAction<'_>) -> String {
    let what = match action {
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
            return "BEGIN, COMMIT, ROLLBACK and SAVEPOINT are Berth's: what an event does is one transaction"
                .to_owned();
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => "ATTACH and DETACH are",
        AuthAction::Pragma { pragma_name, .. } => return format!("PRAGMA {pragma_name} is not allowed"),
        AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. } => "temporary objects are",
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::Read { table_name, .. }
        | AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::DropIndex { table_name, .. }
            if is_berths(table_name) =>
        {
            return foreign(table_name);
        }
        _ => "changes of the schema outside a migration are",
    };
    format!("{what} not allowed")
}

fn is_main(database: Option<&str>) -> bool {
    database.is_some_and(|name| name.eq_ignore_ascii_case("main"))
}
