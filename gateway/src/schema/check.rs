//! Does the schema map fit the tables? Every table is mapped, finds its target, and has no tie to another target's rows.
//! Decides what Berth adds: the number of the target beside a row, and indexes. Each complaint names the table and what
//! to do.

use super::{
    TARGET,
    file::{Entry, File},
    found::{Foreign, Found, Other},
    map::{Belongs, Expiry, Map, OwnTable},
    names::is_berths,
};
use std::collections::{BTreeMap, BTreeSet};

/// A map that fits, and what has to be added to the tables for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Checked {
    /// The map, without version and hash.
    pub(crate) map: Map,
    /// Tables that get a `target_id` of Berth's, parents first.
    pub(crate) shadows: Vec<String>,
    /// Indexes of Berth's: name, table, columns.
    pub(crate) indexes: Vec<(String, String, Vec<String>)>,
    /// What works and could be better.
    pub(crate) hints: Vec<String>,
}

/// Compares the map with the tables.
///
/// # Errors
/// Every complaint.
pub(crate) fn check(file: &File, found: &[Found], others: &[Other]) -> Result<Checked, Vec<String>> {
    let mut checker = Checker { file, found, complaints: Vec::new(), hints: Vec::new(), belongs: BTreeMap::new() };
    checker.names(others);
    for table in found {
        if let Some(entry) = checker.entry(&table.name) {
            checker.mapped(table, entry);
        }
    }
    for table in found {
        checker.ties(table);
    }
    let order = checker.order();
    if !checker.complaints.is_empty() {
        return Err(checker.complaints);
    }
    Ok(checker.finish(&order))
}

struct Checker<'c> {
    file: &'c File,
    found: &'c [Found],
    complaints: Vec<String>,
    hints: Vec<String>,
    /// By the table's name in lower case.
    belongs: BTreeMap<String, Belongs>,
}

fn low(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl<'c> Checker<'c> {
    fn complain(&mut self, table: &str, what: impl std::fmt::Display) {
        self.complaints.push(format!("table {table}: {what}"));
    }

    fn entry(&self, table: &str) -> Option<&'c Entry> {
        let same = |name: &&String| name.eq_ignore_ascii_case(table);
        self.file.tables.iter().find(|(name, _)| same(name)).map(|(_, entry)| entry)
    }

    fn table(&self, name: &str) -> Option<&'c Found> {
        self.found.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }

    /// Every table is mapped, everything mapped is a table, and no name is Berth's.
    fn names(&mut self, others: &[Other]) {
        for Other { kind, name } in others {
            self.complaints.push(format!("{kind} {name}: only plain tables and indexes are the bot's; drop it"));
        }
        for name in self.file.tables.keys() {
            if is_berths(name) {
                self.complain(name, "this name is Berth's own; choose another");
            } else if self.table(name).is_none() {
                self.complain(name, "schema.toml names it, but no migration makes it; add one, or take the entry away");
            }
        }
        for table in self.found {
            if self.entry(&table.name).is_none() {
                let name = &table.name;
                self.complain(
                    name,
                    format_args!(
                        "schema.toml does not say whose its rows are; add [tables.{name}] with column, via, everywhere \
                         or global"
                    ),
                );
            }
        }
    }

    /// Finds out whose a table's rows are.
    fn mapped(&mut self, table: &'c Found, entry: &'c Entry) {
        let belongs = if entry.everywhere {
            Ok(Belongs::Everywhere)
        } else if entry.global {
            Ok(Belongs::Global)
        } else if let Some(column) = &entry.column {
            if column.eq_ignore_ascii_case(TARGET) { self.keyed(table) } else { by_key(table, column) }
        } else {
            self.via(table, entry)
        };
        if let Some(time) = &entry.time
            && table.column(time).is_none()
        {
            self.complain(&table.name, format_args!("it has no column {time}, which schema.toml calls its time"));
        }
        match belongs {
            Ok(belongs) => {
                self.belongs.insert(low(&table.name), belongs);
            }
            Err(why) => self.complain(&table.name, why),
        }
    }

    fn keyed(&mut self, table: &Found) -> Result<Belongs, String> {
        let column = table.column(TARGET).ok_or_else(|| format!("it has no column {TARGET}"))?;
        if !column.declared.eq_ignore_ascii_case("INTEGER") || column.computed {
            return Err(format!("{TARGET} must be a plain INTEGER column"));
        }
        if column.key != 1 {
            return Err(format!("its primary key must begin with {TARGET}: PRIMARY KEY ({TARGET}, …)"));
        }
        let without = |index: &&super::Index| {
            index.unique && !index.columns.iter().any(|column| column.eq_ignore_ascii_case(TARGET))
        };
        if let Some(index) = table.indexes.iter().find(without) {
            let name = &index.name;
            return Err(format!(
                "its unique index {name} would let one target take what another needs; add {TARGET} to it"
            ));
        }
        if !table.without_rowid {
            self.hints.push(format!("table {}: add WITHOUT ROWID, then a target is one range of it", table.name));
        }
        Ok(Belongs::Keyed)
    }

    fn via(&self, table: &Found, entry: &Entry) -> Result<Belongs, String> {
        let (parent, column) = entry.via.as_deref().and_then(|via| via.split_once('.')).unwrap_or_default();
        let found = self.table(parent).ok_or_else(|| format!("its parent {parent} is no table of the bot's"))?;
        let Some(column) = found.column(column) else {
            return Err(format!("its parent {parent} has no column {column}"));
        };
        if !found.is_unique(&column.name) {
            return Err(format!(
                "via {parent}.{}: several rows may have the same value there; make it UNIQUE, or give this table a \
                 column of its own",
                column.name
            ));
        }
        let named = |foreign: &&Foreign| {
            foreign.table.eq_ignore_ascii_case(parent)
                && matches!(&foreign.pairs[..], [(_, to)] if to.eq_ignore_ascii_case(&column.name))
        };
        let mut declared = table.foreign.iter().filter(named).map(|foreign| &foreign.pairs[0].0);
        let by = match (&entry.by, declared.next(), declared.next()) {
            (Some(by), _, _) => {
                table.column(by).map(|column| &column.name).ok_or_else(|| format!("it has no column {by}"))?
            }
            (None, Some(by), None) => by,
            (None, None, _) => {
                return Err(format!("it has no foreign key to {parent}({}); say by = \"its column\"", column.name));
            }
            (None, Some(_), Some(_)) => {
                return Err(format!("it has several foreign keys to {parent}; say by = \"its column\""));
            }
        };
        free_of_numbers(table, by)?;
        Ok(Belongs::Via { by: by.clone(), parent: found.name.clone(), column: column.name.clone() })
    }

    /// No foreign key leads to another target's row, or to a row that stays when the target moves.
    fn ties(&mut self, table: &'c Found) {
        let Some(own) = self.belongs.get(&low(&table.name)).cloned() else { return };
        if let Belongs::Via { parent, .. } = &own
            && matches!(self.belongs.get(&low(parent)), Some(Belongs::Everywhere | Belongs::Global))
        {
            self.complain(&table.name, format_args!("its parent {parent} belongs to no target"));
        }
        for foreign in &table.foreign {
            let to = &foreign.table;
            let Some(other) = self.belongs.get(&low(to)).cloned() else {
                if self.table(to).is_none() {
                    self.complain(
                        &table.name,
                        format_args!("its foreign key names {to}, which is no table of the bot's"),
                    );
                }
                continue;
            };
            let wrong = match (&own, &other) {
                (_, Belongs::Global) | (Belongs::Everywhere, Belongs::Everywhere) => None,
                (Belongs::Global | Belongs::Everywhere, _) => {
                    Some("does not fit: its rows are no target's, the other's are")
                }
                (_, Belongs::Everywhere) => {
                    Some("leads to rows that stay behind when a target moves; copy what is needed")
                }
                _ if same_target(&own, &other, foreign) => None,
                _ => Some(
                    "could name a row of another target; let both sides begin with the target's column, or use via",
                ),
            };
            if let Some(wrong) = wrong {
                self.complain(&table.name, format_args!("its foreign key to {to} {wrong}"));
            }
        }
    }

    /// Orders the tables so that each stands behind what its foreign keys and its `via` name.
    fn order(&mut self) -> Vec<&'c Found> {
        let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for table in self.found {
            let mut names: BTreeSet<String> = table.foreign.iter().map(|foreign| low(&foreign.table)).collect();
            if let Some(Belongs::Via { parent, .. }) = self.belongs.get(&low(&table.name)) {
                names.insert(low(parent));
            }
            names.retain(|name| self.table(name).is_some());
            // A row may name another of its table; it cannot find its target by that.
            let own_via = matches!(self.belongs.get(&low(&table.name)), Some(Belongs::Via { parent, .. }) if parent.eq_ignore_ascii_case(&table.name));
            if !own_via {
                names.remove(&low(&table.name));
            }
            before.insert(low(&table.name), names);
        }
        let mut order = Vec::new();
        while let Some(next) = before.iter().find(|(_, names)| names.is_empty()).map(|(name, _)| name.clone()) {
            before.remove(&next);
            before.values_mut().for_each(|names| {
                names.remove(&next);
            });
            order.extend(self.table(&next));
        }
        if !before.is_empty() {
            let round = before.keys().cloned().collect::<Vec<_>>().join(", ");
            self.complaints.push(format!("tables {round}: their foreign keys or via go round in a circle; break it"));
        }
        order
    }

    fn finish(self, order: &[&Found]) -> Checked {
        let mut checked = Checked { hints: self.hints.clone(), ..Checked::default() };
        for table in order {
            let Some(belongs) = self.belongs.get(&low(&table.name)).cloned() else { continue };
            let entry = self.entry(&table.name);
            let expiry = entry.and_then(|entry| {
                let (column, keep) = (entry.time.clone()?, entry.retention?);
                Some(Expiry { column, unit: entry.time_unit, keep })
            });
            let shadowed = matches!(belongs, Belongs::Key(_) | Belongs::Via { .. });
            if shadowed && table.column(TARGET).is_none() {
                checked.shadows.push(table.name.clone());
            }
            let of_target = !matches!(belongs, Belongs::Everywhere | Belongs::Global);
            let mut columns: Vec<String> = of_target.then(|| TARGET.to_owned()).into_iter().collect();
            columns.extend(expiry.as_ref().map(|expiry| expiry.column.clone()));
            // The primary key of a keyed table is its index, unless rows are looked for by time.
            if shadowed || expiry.is_some() {
                checked.indexes.push((format!("berth_{}", table.name), table.name.clone(), columns));
            }
            if let Belongs::Via { by, .. } = &belongs
                && !table
                    .indexes
                    .iter()
                    .any(|index| index.columns.first().is_some_and(|first| first.eq_ignore_ascii_case(by)))
            {
                let name = format!("berth_{}_via", table.name);
                checked.indexes.push((name, table.name.clone(), vec![by.clone()]));
            }
            let kept =
                |column: &&super::Column| !column.computed && (!of_target || !column.name.eq_ignore_ascii_case(TARGET));
            checked.map.tables.push(OwnTable {
                name: table.name.clone(),
                columns: table.columns.iter().filter(kept).map(|column| column.name.clone()).collect(),
                key: table.apart(),
                expiry,
                names_itself: table.foreign.iter().any(|foreign| foreign.table.eq_ignore_ascii_case(&table.name)),
                belongs,
            });
        }
        checked
    }
}

fn by_key(table: &Found, column: &str) -> Result<Belongs, String> {
    let column = table.column(column).ok_or_else(|| format!("it has no column {column}"))?;
    if column.computed {
        return Err(format!("{} is computed; a row finds its target by a column that is stored", column.name));
    }
    free_of_numbers(table, &column.name)?;
    Ok(Belongs::Key(column.name.clone()))
}

/// Numbers that SQLite makes up are unique on one pod only: rows of two targets that meet would share them.
fn free_of_numbers(table: &Found, by: &str) -> Result<(), String> {
    match table.numbered() {
        Some(number) if !number.eq_ignore_ascii_case(by) => Err(format!(
            "{number} INTEGER PRIMARY KEY is counted on each pod for itself, and would clash when a target moves; use \
             PRIMARY KEY ({by}, {number}), or an id that is unique everywhere (TEXT)"
        )),
        _ => Ok(()),
    }
}

/// Returns whether a foreign key can only name a row of the same target.
fn same_target(own: &Belongs, other: &Belongs, foreign: &Foreign) -> bool {
    let leads = |from: &str, to: &str| {
        foreign.pairs.iter().any(|(a, b)| a.eq_ignore_ascii_case(from) && b.eq_ignore_ascii_case(to))
    };
    match (own, other) {
        (Belongs::Via { by, parent, column }, _)
            if parent.eq_ignore_ascii_case(&foreign.table) && foreign.pairs.len() == 1 && leads(by, column) =>
        {
            true
        }
        (Belongs::Keyed, Belongs::Keyed) => leads(TARGET, TARGET),
        (Belongs::Key(from), Belongs::Key(to)) => leads(from, to),
        _ => false,
    }
}
