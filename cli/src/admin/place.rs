//! Which config-service the operator's verbs ask, and with which token: what is said on the line, else a context, else the
//! cluster of the data folder. A token is shown only to whom it belongs. `berth config` says what came of it.

use super::Common;
use crate::{
    context::{Context, Contexts, without_user},
    exit::Failure,
    home::{Cluster, DEFAULT, Home},
    output::{self, Format},
    secrets::Made,
};
use serde::Serialize;
use shared::{http::Tokens, settings::Secret};
use std::path::{Path, PathBuf};

/// Where config-service listens when nobody says anything.
const USUAL: &str = "http://127.0.0.1:3001";

/// What the verbs use, and where each part of it comes from.
#[derive(Debug)]
pub(super) struct Place {
    /// config-service.
    pub(super) url: String,
    /// The token, if there is one; or why it cannot be read.
    pub(super) token: Found,
    /// Whether nobody said which cluster is meant: it is the data folder's, or the usual one.
    pub(super) implied: bool,
    /// The cluster of the data folder, if there is one.
    pub(super) cluster: Option<Cluster>,
    /// The data folder.
    pub(super) data: PathBuf,
    /// The context that was asked, if one was.
    context: Option<String>,
    url_from: String,
    token_from: String,
}

/// Finds the place.
///
/// # Errors
/// When a context that is named does not exist, or a file cannot be read.
pub(super) fn find(said: &Common) -> Result<Place, Failure> {
    let data = said.data.clone().unwrap_or_else(|| DEFAULT.into());
    let home = Home::at(&data);
    let cluster = home.cluster()?;
    let contexts = said.contexts.read()?;
    let context = chosen(said, &contexts)?;
    let known = cluster.as_ref().map(|cluster| cluster.config_url.as_str());
    let line = said.config_url.as_deref().map(|url| url.trim_end_matches('/'));
    let (url, url_from) = match (line, &context, known) {
        (Some(url), ..) => (url, "--config-url".to_owned()),
        (None, Some((name, context)), _) => (context.config_url.as_str(), format!("context {name}")),
        (None, None, Some(known)) => (known, format!("data folder {}", data.display())),
        (None, None, None) => (USUAL, "default".to_owned()),
    };
    without_user(url)?;
    let (token, token_from) = match (&said.token, &context) {
        (Some(token), _) => (Ok(Tokens::parse(token).current().cloned()), "--token or BERTH_ADMIN_TOKENS".to_owned()),
        // A context's token is for the context's cluster only.
        (None, Some((name, context))) if context.config_url == url => {
            let place = context.token_place().unwrap_or_else(|| "which names none".to_owned());
            (context.token(), format!("context {name}, {place}"))
        }
        (None, _) if known == Some(url) => made(&home, cluster.as_ref())?,
        _ => (Ok(None), "none for this URL".to_owned()),
    };
    let implied = line.is_none() && context.is_none();
    let (url, context) = (url.to_owned(), context.map(|(name, _)| name.to_owned()));
    Ok(Place { url, token, implied, cluster, data, context, url_from, token_from })
}

/// Chooses the context: the one on the line; else, unless the line names a data folder, the one in use.
fn chosen<'a>(said: &'a Common, contexts: &'a Contexts) -> Result<Option<(&'a str, &'a Context)>, Failure> {
    let implied = if said.data.is_none() { contexts.current.as_deref() } else { None };
    match said.context.as_deref().filter(|name| !name.is_empty()).or(implied) {
        Some(name) => Ok(Some((name, contexts.named(name)?))),
        None => Ok(None),
    }
}

/// A token, none, or why it cannot be read.
type Found = Result<Option<Secret>, Failure>;

/// Returns the token that `berth up` made, unless the user gave another, which is nowhere in the folder.
fn made(home: &Home, cluster: Option<&Cluster>) -> Result<(Found, String), Failure> {
    let data = home.path().display();
    if cluster.is_some_and(|cluster| cluster.gave("BERTH_ADMIN_TOKENS")) {
        return Ok((Ok(None), format!("the cluster of {data} was given its own")));
    }
    Ok(match Made::load(home)? {
        Some(made) => (Ok(Some(Secret::new(made.admin_token))), format!("data folder {data}")),
        None => (Ok(None), format!("none in {data}")),
    })
}

/// Flags of `berth config`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth config --context prod")]
pub(crate) struct Args {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// One line of `berth config`.
#[derive(Debug, Serialize)]
struct Line {
    setting: &'static str,
    value: String,
    from: String,
}

/// Prints what the verbs would use.
pub(crate) fn show(args: &Args) -> Result<(), Failure> {
    let common = &args.common;
    let place = find(common)?;
    let line = |setting, value: String, from: &str| Line { setting, value, from: from.to_owned() };
    let dash = || "-".to_owned();
    let file = common.contexts.path();
    let (token, token_from) = match place.token {
        Ok(Some(_)) => ("***".to_owned(), place.token_from),
        Ok(None) => (dash(), place.token_from),
        Err(why) => (dash(), why.to_string()),
    };
    let lines = [
        line(
            "context",
            place.context.unwrap_or_else(dash),
            if common.context.is_some() { "--context" } else { "in use" },
        ),
        line("config-url", place.url, &place.url_from),
        line("token", token, &token_from),
        line("data", place.data.display().to_string(), if common.data.is_some() { "--data" } else { "default" }),
        line("timeout", format!("{}ms", common.timeout.as_millis()), "--timeout"),
        line("contexts", file.as_deref().map_or_else(dash, |path| Path::display(path).to_string()), "--contexts"),
    ];
    match common.output {
        Format::Json => output::print(&output::json(&lines)),
        format => output::rows(format, &lines, &lines, &["SETTING", "VALUE", "FROM"], |line| {
            vec![line.setting.to_owned(), line.value.clone(), line.from.clone()]
        }),
    }
}

#[cfg(test)]
mod tests;
