use super::*;
use std::{path::Path, time::Duration};

fn column(name: &str, declared: &str, key: u32) -> Column {
    Column { name: name.to_owned(), declared: declared.to_owned(), key, computed: false }
}

/// Makes a table of columns like `target_id INTEGER 1`: name, type, place in the primary key.
fn table(name: &str, columns: &[&str]) -> Found {
    let columns = columns.iter().map(|text| {
        let words: Vec<&str> = text.split(' ').collect();
        column(words[0], words[1], words.get(2).map_or(0, |key| key.parse().expect("a number")))
    });
    Found { name: name.to_owned(), columns: columns.collect(), without_rowid: true, ..Found::default() }
}

fn with_key(mut table: Found, to: &str, pairs: &[(&str, &str)]) -> Found {
    let pairs = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    table.foreign.push(Foreign { table: to.to_owned(), pairs });
    table
}

fn checked(map: &str, found: &[Found]) -> Result<super::check::Checked, Vec<String>> {
    check(&File::parse(map).expect("it reads"), found, &[])
}

fn complaint(map: &str, found: &[Found]) -> String {
    checked(map, found).expect_err("it does not fit").join("\n")
}

const KEYED: &str = "[tables.a]\ncolumn = 'target_id'";

#[test]
fn a_map_says_one_thing_of_each_table() {
    let file = File::parse(
        "version = 3\n[tables.a]\ncolumn = 'guild_id'\ntime = 't'\ntime_unit = 's'\nretention = '90days'\n\
         [tables.b]\nvia = 'a.id'\nby = 'a_id'\n[tables.c]\nglobal = true",
    )
    .expect("it reads");
    assert_eq!((file.version, file.tables.len()), (Some(3), 3));
    let a = &file.tables["a"];
    assert_eq!((a.time_unit, a.retention), (TimeUnit::Seconds, Some(Duration::from_secs(90 * 86_400))));
    for (bad, says) in [
        ("[tables.a]", "say one of"),
        ("[tables.a]\ncolumn = 'x'\nglobal = true", "say one of"),
        ("[tables.a]\nvia = 'b'", "table.column"),
        ("[tables.a]\ncolumn = 'x'\nby = 'y'", "by goes with via"),
        ("[tables.a]\ncolumn = 'x'\nretention = '1day'", "retention needs time"),
        ("[tables.a]\ncolumn = 'x'\ntime = 't'\nretention = '0s'", "every row"),
        ("[tables.a]\ncolumn = 'x'\ntime = 't'\nretention = 'long'", "schema.toml"),
        ("[tables.a]\nglobal = true\ntime = 't'\nretention = '1day'", "migrations' alone"),
        ("[tables.a]\ncolumns = 'x'", "columns"),
        ("[tables.a]\ncolumn = 'x'\ntime_unit = 'hours'", "hours"),
        ("tables = 3", "schema.toml"),
    ] {
        let why = File::parse(bad).expect_err("it does not read").to_string();
        assert!(why.contains(says), "{bad}: {why}");
    }
}

#[test]
fn each_complaint_names_the_table_and_what_to_do() {
    let good = table("a", &["target_id INTEGER 1", "id TEXT 2"]);
    assert!(checked(KEYED, std::slice::from_ref(&good)).is_ok());
    for (map, found, says) in [
        ("", vec![good.clone()], "table a: schema.toml does not say whose its rows are"),
        (KEYED, vec![], "table a: schema.toml names it, but no migration makes it"),
        (KEYED, vec![table("a", &["id TEXT 1"])], "it has no column target_id"),
        (KEYED, vec![table("a", &["target_id TEXT 1", "id TEXT 2"])], "must be a plain INTEGER column"),
        (KEYED, vec![table("a", &["id TEXT 1", "target_id INTEGER 2"])], "must begin with target_id"),
        (KEYED, vec![table("a", &["id TEXT 1", "target_id INTEGER"])], "must begin with target_id"),
        ("[tables.a]\ncolumn = 'x'", vec![good.clone()], "it has no column x"),
        ("[tables.a]\ncolumn = 'target_id'\ntime = 't'", vec![good.clone()], "it has no column t"),
        ("[tables.KV]\nglobal = true", vec![], "this name is Berth's own"),
        ("[tables.a]\nvia = 'b.id'", vec![good.clone()], "its parent b is no table of the bot's"),
        ("[tables.a]\nvia = 'a.id'\nby = 'id'", vec![table("a", &["id TEXT 1"])], "go round in a circle"),
    ] {
        let why = complaint(map, &found);
        assert!(why.contains(says), "{map}: {why}");
    }
}

#[test]
fn numbers_that_each_pod_counts_for_itself_are_no_ids() {
    let mut counted = table("a", &["id INTEGER 1", "guild_id TEXT"]);
    counted.without_rowid = false;
    let map = "[tables.a]\ncolumn = 'guild_id'";
    assert!(complaint(map, &[counted.clone()]).contains("use PRIMARY KEY (guild_id, id), or an id that is unique"));
    assert!(checked("[tables.a]\ncolumn = 'id'", &[counted]).is_ok(), "a number that the platform gives is one");
    assert!(checked(map, &[table("a", &["id TEXT 1", "guild_id TEXT"])]).is_ok());
}

#[test]
fn a_unique_index_over_all_targets_is_noticed() {
    let mut found = table("a", &["target_id INTEGER 1", "id TEXT 2", "name TEXT"]);
    let index = |columns: &[&str]| Index {
        name: "a_name".into(),
        unique: true,
        partial: false,
        columns: columns.iter().map(|&column| column.into()).collect(),
    };
    found.indexes = vec![index(&["name"])];
    assert!(complaint(KEYED, &[found.clone()]).contains("its unique index a_name"));
    found.indexes = vec![index(&["target_id", "name"])];
    assert!(checked(KEYED, &[found]).is_ok());
}

#[test]
fn a_parents_row_is_found_by_a_foreign_key_or_by_what_the_map_says() {
    let parent = table("p", &["id TEXT 1", "guild_id TEXT"]);
    let child = table("c", &["id TEXT 1", "p_id TEXT", "other TEXT"]);
    let map = |by: &str| format!("[tables.p]\ncolumn = 'guild_id'\n[tables.c]\nvia = 'p.id'\n{by}");
    let says = |by: &str, child: &Found| complaint(&map(by), &[child.clone(), parent.clone()]);
    assert!(says("", &child).contains("table c: it has no foreign key to p(id); say by"));
    assert!(says("by = 'x'", &child).contains("it has no column x"));
    let declared = with_key(child.clone(), "p", &[("p_id", "id")]);
    let twice = with_key(declared.clone(), "p", &[("other", "id")]);
    assert!(says("", &twice).contains("several foreign keys"));
    for (by, child) in [("by = 'p_id'", &child), ("", &declared)] {
        let checked = checked(&map(by), &[child.clone(), parent.clone()]).expect("it fits");
        let names: Vec<&str> = checked.map.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["p", "c"], "parents first");
        assert_eq!(checked.shadows, ["p", "c"]);
        let via = Belongs::Via { by: "p_id".into(), parent: "p".into(), column: "id".into() };
        assert_eq!(checked.map.table("C").expect("there").belongs, via);
        assert!(checked.indexes.iter().any(|(name, _, columns)| name == "berth_c_via" && columns == &["p_id"]));
    }
    let several = table("p", &["id TEXT 1", "n TEXT 2", "guild_id TEXT"]);
    assert!(complaint(&map("by = 'p_id'"), &[child, several]).contains("make it UNIQUE"));
}

#[test]
fn no_foreign_key_leads_to_another_targets_rows() {
    let a = table("a", &["target_id INTEGER 1", "id TEXT 2"]);
    let b = table("b", &["target_id INTEGER 1", "id TEXT 2", "a TEXT"]);
    let map = |of_a: &str, of_b: &str| format!("[tables.a]\n{of_a}\n[tables.b]\n{of_b}");
    let (keyed, global, everywhere) = ("column = 'target_id'", "global = true", "everywhere = true");
    let whole = with_key(b.clone(), "a", &[("target_id", "target_id"), ("a", "id")]);
    let half = with_key(b.clone(), "a", &[("a", "id")]);
    for (of_a, of_b, b, says) in [
        (keyed, keyed, &whole, ""),
        (keyed, keyed, &half, "could name a row of another target"),
        (global, keyed, &half, ""),
        (everywhere, keyed, &half, "stay behind when a target moves"),
        (keyed, everywhere, &half, "its rows are no target's"),
        (keyed, global, &half, "its rows are no target's"),
        (everywhere, everywhere, &half, ""),
        (global, everywhere, &half, ""),
    ] {
        match checked(&map(of_a, of_b), &[a.clone(), b.clone()]) {
            Ok(_) => assert_eq!(says, "", "{of_a} {of_b}"),
            Err(why) => assert!(!says.is_empty() && why.join("\n").contains(says), "{of_a} {of_b}: {why:?}"),
        }
    }
    let round = with_key(a, "b", &[("target_id", "target_id"), ("id", "id")]);
    assert!(complaint(&map(keyed, keyed), &[round, whole]).contains("tables a, b: their foreign keys or via go round"));
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    let names = |names: &[&str]| {
        let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, "SELECT 1")).collect();
        Tables::embedded(&files, "").migrations().map(|all| all.len()).map_err(|why| why.to_string())
    };
    assert_eq!(names(&["0002_b.sql", "0001_a.sql"]), Ok(2));
    for (bad, says) in [
        (&["0001_a.sql", "0003_c.sql"][..], "number 0002 is missing"),
        (&["0002_b.sql"], "number 0001 is missing"),
        (&["0001_a.sql", "0001_b.sql"], "there twice"),
        (&["1_a.sql"], "called like 0001_what_it_does.sql"),
        (&["begin.sql"], "called like"),
    ] {
        let why = names(bad).expect_err("refused");
        assert!(why.contains(says), "{bad:?}: {why}");
    }
}

/// A real bot's schema of twenty tables, where somebody has it: what the checker says of it is what its author would read.
#[test]
fn a_real_bots_schema_is_mapped_as_far_as_it_can_be() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/modbot/schema.sql");
    let Ok(sql) = std::fs::read_to_string(&path) else {
        return eprintln!("skipped: {} is not there", path.display());
    };
    let by_guild = [
        "message_stats",
        "guild_subscriptions",
        "user_threads",
        "reported_messages",
        "escalations",
        "reactji_channeler_config",
        "honeypot_config",
        "deletion_log_threads",
        "message_cache",
        "mod_actions",
    ];
    let everywhere = ["users", "sessions", "channel_info", "kysely_migration", "kysely_migration_lock"];
    let mut map: String = by_guild.iter().map(|name| format!("[tables.{name}]\ncolumn = 'guild_id'\n")).collect();
    map.extend(everywhere.iter().map(|name| format!("[tables.{name}]\neverywhere = true\n")));
    map.push_str(
        "[tables.guilds]\ncolumn = 'id'\n[tables.escalation_records]\nvia = 'escalations.id'\nby = 'escalation_id'\n",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let open = |map: &str| {
        let tables = Tables::embedded(&[("0001_all.sql", &sql)], map);
        crate::store::Store::open_for_tests(folder.path(), &tables)
    };
    let why = open(&map).expect_err("one is not mapped").to_string();
    assert_eq!(why.matches("table ").count(), 1, "{why}");
    assert!(why.contains("table tickets_config: schema.toml does not say whose its rows are"), "{why}");
    map.push_str("[tables.tickets_config]\neverywhere = true\n");
    let store = open(&map).expect("it fits");
    assert_eq!(store.map().of_targets().count(), 12);
    let mut late = map.replace(
        "[tables.mod_actions]\n",
        "[tables.mod_actions]\ntime = 'created_at'\ntime_unit = 'text'\nretention = '90days'\n",
    );
    drop(store);
    assert!(open(&late).is_ok());
    late = late.replace("time = 'created_at'", "time = 'made_at'");
    assert!(open(&late).expect_err("refused").to_string().contains("table mod_actions: it has no column made_at"));
}
