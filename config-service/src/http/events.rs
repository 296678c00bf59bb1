//! The audit: who did what, when and why.

use super::{
    Api,
    auth::Reader,
    body::Params,
    docs::{Doc, Routes},
    page::{Cursor, Limit, cut, position, size},
};
use crate::store::EventFilter;
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use shared::{
    Problem,
    wire::admin::{Event, EventList},
};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let text = "Newest first. Entries are kept for as long as the setting `audit-retention` says.";
    let doc = Doc::new("List what was done, by whom and why").text(text);
    routes.get("/v1/events", list, doc.answers::<EventList>().fails(&["bad-cursor"]).asks_replica())
}

/// Which entries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only this action, for example `accept-data-loss`.
    kind: Option<String>,
    /// Only what was done to this pod, target with its events and calls, token or setting.
    subject: Option<String>,
    /// Only what this one did.
    actor: Option<String>,
    /// Most entries of the page; 100 when it is left out.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

async fn list(State(api): State<Api>, _: Reader, Params(page): Params<Filter>) -> Result<Json<EventList>, Problem> {
    let size = size(page.limit);
    // PostgreSQL cannot even be asked for a NUL; nothing in the audit has one.
    let plain = |text: Option<String>| text.map(|text| text.replace('\0', "\u{FFFD}"));
    let wanted = EventFilter {
        action: plain(page.kind),
        subject: plain(page.subject),
        actor: plain(page.actor),
        before: position(page.cursor.as_ref())?,
    };
    let mut events = api.control.events(wanted, size + 1).await?;
    let next = cut(&mut events, size, |last: &Event| last.id);
    Ok(Json(EventList { events, next }))
}
