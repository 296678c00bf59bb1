//! The settings that are changed while the cluster runs.

use super::{
    Api,
    auth::{Actor, Operator, Reader},
    body::Name,
    change::{Change, Removal},
    docs::{Doc, Routes},
    problems::unprocessable,
};
use crate::{
    control::Errand,
    domain::{By, Edit, SETTINGS, Setting, SettingRecord},
};
use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use shared::{
    Problem, Revision,
    wire::admin::{Role, SetSetting, SettingChanged, SettingList, SettingStatus},
};
use std::{borrow::Cow, convert::Infallible, str::FromStr};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let list_doc = Doc::new("List settings").text("With the value in force, its default, and who set it when and why.");
    let get_doc = Doc::new("Show a setting").answers::<SettingStatus>().fails(&["not-found"]);
    let set_doc = Doc::new("Set a setting")
        .text("In force as soon as it is answered. Times take role admin: what is older is removed for good.")
        .answers::<SettingChanged>()
        .fails(&["not-found", "bad-value"])
        .example(json!({ "value": true, "reason": "audit of the month" }));
    let clear_doc = Doc::new("Set a setting back to its default").text("Times take role admin.");
    routes
        .get("/v1/settings", list, list_doc.answers::<SettingList>().asks_replica())
        .get("/v1/settings/{name}", get, get_doc.asks_replica())
        .put("/v1/settings/{name}", set, set_doc.asks_leader())
        .delete("/v1/settings/{name}", clear, clear_doc.answers::<SettingChanged>().fails(&["not-found"]).asks_leader())
}

/// The name of a setting, or what somebody takes for one.
struct SettingName(String);

impl FromStr for SettingName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl JsonSchema for SettingName {
    fn schema_name() -> Cow<'static, str> {
        "SettingName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": SETTINGS.map(|setting| setting.name) })
    }
}

impl SettingName {
    fn setting(&self) -> Result<Setting, Problem> {
        let all = || SETTINGS.map(|setting| setting.name).join(", ");
        Setting::named(&self.0)
            .ok_or_else(|| Problem::not_found(format!("there is no such setting; there are {}", all())))
    }
}

async fn list(State(api): State<Api>, _: Reader) -> Result<Json<SettingList>, Problem> {
    let settings = api.control.look(|model| {
        let status = |setting: Setting| setting.status(model.setting(setting.name));
        SETTINGS.into_iter().map(status).collect()
    });
    Ok(Json(SettingList { settings: settings.await? }))
}

async fn get(State(api): State<Api>, _: Reader, Name(name): Name<SettingName>) -> Result<Json<SettingStatus>, Problem> {
    let setting = name.setting()?;
    Ok(Json(api.control.look(move |model| setting.status(model.setting(setting.name))).await?))
}

async fn set(
    State(api): State<Api>,
    Name(name): Name<SettingName>,
    change: Change<Operator, SetSetting>,
) -> Result<Json<SettingChanged>, Problem> {
    let setting = name.setting()?;
    may_change(&setting, &change.actor)?;
    let value = setting.check(&change.body.value).map_err(|why| unprocessable("bad-value", &why))?;
    let (actor, reason) = (change.by.actor.clone(), change.by.reason.clone());
    let record = SettingRecord { name: setting.name.to_owned(), value, actor, reason, at_ms: 0 };
    apply(&api, setting, change.body.value.clone(), Edit::Set(record), change.by.clone(), change.dry_run).await
}

async fn clear(
    State(api): State<Api>,
    Name(name): Name<SettingName>,
    removal: Removal<Operator>,
) -> Result<Json<SettingChanged>, Problem> {
    let setting = name.setting()?;
    may_change(&setting, &removal.actor)?;
    let edit = Edit::Clear(setting.name.to_owned());
    apply(&api, setting, setting.default(), edit, removal.by.clone(), removal.dry_run).await
}

fn may_change(setting: &Setting, actor: &Actor) -> Result<(), Problem> {
    if setting.is_switch() || actor.role == Role::Admin {
        return Ok(());
    }
    let text = format!("{} has role {}; {} takes role admin", actor.name, actor.role, setting.name);
    Err(Problem::new(http::StatusCode::FORBIDDEN, "forbidden", text))
}

/// Writes a change of a setting, on somebody's word.
///
/// # Errors
/// As every change.
pub(super) async fn apply(
    api: &Api,
    setting: Setting,
    value: Value,
    edit: Edit,
    by: By,
    dry_run: bool,
) -> Result<Json<SettingChanged>, Problem> {
    let action = if matches!(edit, Edit::Clear(_)) { "clear-setting" } else { "set-setting" };
    let mut changed = SettingChanged { name: setting.name.to_owned(), value, revision: Revision(0), dry_run };
    let errand = Errand::new(action, setting.name, Some(edit), by, &changed);
    changed.revision = api.perform(errand, dry_run).await?;
    Ok(Json(changed))
}
