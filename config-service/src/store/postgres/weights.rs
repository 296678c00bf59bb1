//! What PostgreSQL keeps of what targets weigh. Whole columns travel as arrays: a thousand targets are one statement.

use super::super::name;
use super::session::Failure;
use crate::domain::Weight;
use futures_util::TryStreamExt;
use shared::TargetId;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;

/// Reads what is kept, by target.
pub(super) async fn read(db: &mut PgConnection) -> Result<Vec<(TargetId, Weight)>, Failure> {
    let mut rows = sqlx::query("SELECT target, events, bytes, sockets FROM weight ORDER BY target").fetch(db);
    let mut weights = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let number = |at: usize| row.try_get::<f64, _>(at).map(|number| number as f32);
        let weight = Weight { events: number(1)?, bytes: number(2)?, sockets: number(3)? };
        weights.push((name(row.try_get(0)?)?, weight));
    }
    Ok(weights)
}

/// Writes what targets weigh, of one that is named twice what is said last; what weighs nothing is removed.
pub(super) async fn write(db: &mut PgConnection, weights: Vec<(TargetId, Weight)>) -> Result<(), Failure> {
    // One statement changes a row once.
    let last: BTreeMap<_, _> = weights.into_iter().collect();
    let (none, some): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, weight)| *weight == Weight::default());
    let names = |of: &[(TargetId, Weight)]| of.iter().map(|(target, _)| target.to_string()).collect::<Vec<_>>();
    let column = |of: fn(&Weight) -> f32| some.iter().map(|(_, weight)| f64::from(of(weight))).collect::<Vec<_>>();
    sqlx::query("DELETE FROM weight WHERE target = ANY($1)").bind(names(&none)).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO weight (target, events, bytes, sockets)
         SELECT * FROM unnest($1::text[], $2::double precision[], $3::double precision[], $4::double precision[])
         ON CONFLICT (target) DO UPDATE SET events = excluded.events, bytes = excluded.bytes, sockets = excluded.sockets",
    )
    .bind(names(&some))
    .bind(column(|weight| weight.events))
    .bind(column(|weight| weight.bytes))
    .bind(column(|weight| weight.sockets))
    .execute(db)
    .await?;
    Ok(())
}
