//! Statements made at random never change another target's rows.

use super::*;
use proptest::prelude::*;

fn id() -> impl Strategy<Value = String> {
    prop_oneof![Just("w1"), Just("w2"), Just("e10"), Just("e20"), Just("v10"), Just("v20"), Just("n1"), Just("new")]
        .prop_map(|id| format!("'{id}'"))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![Just("1"), Just("2"), Just("NULL"), Just(":target"), Just("'10'"), Just("'20'"), Just(":target_key")]
        .prop_map(str::to_owned)
}

fn verb() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("INSERT"), Just("REPLACE"), Just("INSERT OR IGNORE"), Just("INSERT OR FAIL")]
}

fn end() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" ON CONFLICT DO NOTHING"), Just(" ON CONFLICT DO UPDATE SET id = 'other'")]
}

fn statement() -> impl Strategy<Value = String> {
    let insert = (verb(), id(), number(), id(), end()).prop_flat_map(|(verb, id, number, other, end)| {
        prop_oneof![
            Just(format!("{verb} INTO warnings VALUES ({number}, {id}, 'p', 1){end}")),
            Just(format!("{verb} INTO notes VALUES ({number}, {id}, {other}){end}")),
            Just(format!("{verb} INTO escalations (id, guild_id) VALUES ({id}, {number}){end}")),
            Just(format!(
                "{verb} INTO escalations (id, guild_id, target_id) VALUES ({id}, :target_key, {number}){end}"
            )),
            Just(format!("{verb} INTO votes (id, escalation_id) VALUES ({id}, {other}){end}")),
        ]
    });
    let table = prop_oneof![Just("warnings"), Just("notes"), Just("escalations"), Just("votes")];
    let column = prop_oneof![Just("id"), Just("target_id"), Just("guild_id"), Just("escalation_id"), Just("warning")];
    let or = prop_oneof![Just(""), Just("OR REPLACE "), Just("OR IGNORE "), Just("OR ABORT ")];
    let wherever =
        (column.clone(), prop_oneof![id(), number()]).prop_map(|(column, value)| format!("{column} = {value}"));
    let wherever = prop_oneof![Just("1".to_owned()), wherever];
    let change = (or, table, column, prop_oneof![id(), number()], wherever, any::<bool>()).prop_map(
        |(or, table, column, value, wherever, delete)| {
            if delete {
                format!("DELETE FROM {table} WHERE {wherever}")
            } else {
                format!("UPDATE {or}{table} SET {column} = {value} WHERE {wherever}")
            }
        },
    );
    prop_oneof![insert, change]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_statements_never_change_another_targets_rows(statements in prop::collection::vec(statement(), 1..24)) {
        let two = Two::new();
        let before = two.rows(1);
        for sql in &statements {
            let _ = two.execute(0, sql);
            prop_assert_eq!(&two.rows(1), &before, "{}", sql);
            prop_assert_eq!(two.ownerless(), 0, "{}", sql);
        }
        prop_assert_eq!(two.query(1, "SELECT count(*) FROM warnings").expect("read").first().cloned(), Some(Value::Integer(2)));
    }
}
