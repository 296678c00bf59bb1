//! The guards: temporary triggers of the writer's connection that keep every change to the current target's rows, whatever
//! statement, conflict clause or cascade it comes from. They are made at each start and stand in no file: what moves,
//! restores or reads the database elsewhere meets plain tables.

use crate::{
    schema::{Belongs, OwnTable, TARGET},
    store::erase::quoted,
};

/// Begins what a guard says.
pub(super) const SAYS: &str = "guard: ";

/// Returns the statements that make a table's guards. Their body's plain names mean the tables: the writer has no
/// temporary views.
pub(super) fn triggers(table: &OwnTable) -> String {
    let name = quoted(&table.name);
    let own = "current_target()";
    let (filled, finds, why) = match &table.belongs {
        Belongs::Keyed => (false, None, format!("{TARGET} is not this target's; write :target")),
        Belongs::Key(column) => {
            let is_key = format!("CAST(NEW.{} AS TEXT) IS current_target_key()", quoted(column));
            (true, Some(is_key), format!("{column} is not this target's key; write :target_key"))
        }
        Belongs::Via { by, parent, column } => {
            let (parent_name, column) = (quoted(parent), quoted(column));
            let has_parent = format!(
                "EXISTS (SELECT 1 FROM {parent_name} WHERE {column} = NEW.{} AND {TARGET} = {own})",
                quoted(by)
            );
            (true, Some(has_parent), format!("{by} names no row of this target in {parent}"))
        }
        Belongs::Everywhere | Belongs::Global => return String::new(),
    };
    // Berth's own number stands in the row a moment after the row itself.
    let is_own = |row: &str| match filled {
        true => format!("coalesce({row}.{TARGET}, {own}) IS {own}"),
        false => format!("{row}.{TARGET} IS {own}"),
    };
    let refuse = |why: &str| {
        let text = format!("{SAYS}table {}: {why}", table.name).replace('\'', "''");
        format!("BEGIN SELECT RAISE(ABORT, '{text}'); END;")
    };
    let trigger = |suffix: &str| quoted(&format!("berth_{}_{suffix}", table.name));
    let new = finds.map_or_else(|| is_own("NEW"), |finds| format!("{} AND {finds}", is_own("NEW")));
    let (insert, update, delete, fill) = (trigger("insert"), trigger("update"), trigger("delete"), trigger("fill"));
    let (own_row, own_new) = (is_own("OLD"), format!("NEW.{TARGET} IS {own} AND {new}"));
    let others = refuse("the row is another target's");
    let wrong = refuse(&why);
    let filling = if filled {
        format!(
            "CREATE TEMP TRIGGER {fill} AFTER INSERT ON main.{name} WHEN NEW.{TARGET} IS NULL
               BEGIN UPDATE {name} SET {TARGET} = {own} WHERE {TARGET} IS NULL; END;"
        )
    } else {
        String::new()
    };
    format!(
        "CREATE TEMP TRIGGER {insert} BEFORE INSERT ON main.{name} WHEN NOT ({new}) {wrong}
         CREATE TEMP TRIGGER {update} BEFORE UPDATE ON main.{name} WHEN NOT ({own_row}) {others}
         CREATE TEMP TRIGGER {update_new} BEFORE UPDATE ON main.{name} WHEN NOT ({own_new}) {wrong}
         CREATE TEMP TRIGGER {delete} BEFORE DELETE ON main.{name} WHEN NOT ({own_row}) {others}
         {filling}",
        update_new = trigger("update_new"),
    )
}
