//! `berth context`: names for clusters, kept in a file of the user's, and which of them the operator's verbs ask. It keeps
//! where a token lies, never a token. What a verb does with it is decided in `admin::place`.

use crate::{
    exit::{Code, Failure},
    home::{read_json, write_private},
    output::{self, Format},
};
use serde::{Deserialize, Serialize};
use shared::settings::Secret;
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The longest name.
const MAX_NAME: usize = 64;

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// Its config-service.
    pub(crate) config_url: String,
    /// The file that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// The environment variable that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_env: Option<String>,
}

/// All contexts, and which is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// The one that is asked when nothing else is said.
    #[serde(default)]
    pub(crate) current: Option<String>,
    /// The contexts by name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// Where the file is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct File {
    /// The file of the contexts [default: berth/contexts.json in the user's folder for configuration]
    #[arg(long = "contexts", env = "BERTH_CONTEXTS", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The user's folder for configuration
    #[arg(long, env = "XDG_CONFIG_HOME", hide = true, value_name = "DIR")]
    config_home: Option<PathBuf>,
    /// The user's folder
    #[arg(long = "home", env = "HOME", hide = true, value_name = "DIR")]
    home: Option<PathBuf>,
}

impl File {
    /// Returns the path; `None` when neither the file nor a folder of the user's is known.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        given(&self.file).or_else(|| {
            let folder = given(&self.config_home).or_else(|| given(&self.home).map(|home| home.join(".config")))?;
            Some(folder.join("berth").join("contexts.json"))
        })
    }

    /// Reads the contexts; none when there is no file.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub(crate) fn read(&self) -> Result<Contexts, Failure> {
        self.path().map_or_else(|| Ok(Contexts::default()), |path| Ok(read_json(&path)?.unwrap_or_default()))
    }

    fn write(&self, contexts: &Contexts) -> Result<(), Failure> {
        let Some(path) = self.path() else {
            return Err(Failure::new(Code::Usage, "there is no place for contexts; name a file with --contexts"));
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|why| Failure::error(format!("cannot make {}: {why}", folder.display())))?;
        write_private(&path, output::json(contexts).as_bytes())
    }
}

impl Contexts {
    /// Returns the context of that name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn named(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            let known =
                if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
            Failure::new(Code::NotFound, format!("there is no context {name}; {known}; berth context set makes one"))
        })
    }
}

impl Context {
    /// Reads the token from where it lies; `None` when the context names no place.
    ///
    /// # Errors
    /// When the place is empty or cannot be read.
    pub(crate) fn token(&self) -> Result<Option<Secret>, Failure> {
        let said = match (&self.token_file, &self.token_env) {
            (Some(path), _) => fs::read_to_string(path)
                .map_err(|why| Failure::error(format!("cannot read the token from {}: {why}", path.display())))?,
            (None, Some(name)) => variable(name).unwrap_or_default(),
            (None, None) => return Ok(None),
        };
        match said.trim() {
            "" => {
                Err(Failure::new(Code::Forbidden, format!("{} holds no token", self.token_place().unwrap_or_default())))
            }
            token => Ok(Some(Secret::new(token))),
        }
    }

    /// Says where the token lies; `None` when the context names no place.
    pub(crate) fn token_place(&self) -> Option<String> {
        let file = self.token_file.as_ref().map(|path| path.display().to_string());
        file.or_else(|| self.token_env.as_ref().map(|name| format!("${name}")))
    }
}

#[expect(clippy::disallowed_methods, reason = "the user's context names the variable, so no flag can")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Checks that a URL holds no user and no password. URLs are shown; what is refused here is not.
///
/// # Errors
/// When it does.
pub(crate) fn without_user(url: &str) -> Result<(), Failure> {
    let has_user = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@')
    };
    if !url.split(',').any(has_user) {
        return Ok(());
    }
    let text = "the URL of config-service has a user or a password in it, which would be shown and is never sent; leave it \
                out, and put the token in a file: berth context set NAME --token-file PATH";
    Err(Failure::new(Code::Usage, text))
}

/// What to do with contexts.
#[derive(Debug, clap::Subcommand)]
#[command(
    before_help = "Example:\n  berth context set prod --config-url http://config:3001 --token-file ~/.berth-token\n  berth context use prod"
)]
pub(crate) enum Verb {
    /// List contexts
    List(List),
    /// Make a context, or change one
    Set(Set),
    /// Ask a context's cluster from now on
    Use(Use),
    /// Forget a context
    Delete(Delete),
}

/// Flags of `berth context list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// How to print
    #[arg(long, short, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
    /// Where they are.
    #[command(flatten)]
    file: File,
}

/// Flags of `berth context set`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth context set prod --config-url http://config:3001 --token-env PROD_TOKEN")]
pub(crate) struct Set {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// Its config-service, replicas with commas between them; as it was when the context exists and this is left out
    #[arg(long, value_name = "URL")]
    config_url: Option<String>,
    /// The file that holds the token
    #[arg(long, value_name = "PATH", conflicts_with = "token_env")]
    token_file: Option<PathBuf>,
    /// The environment variable that holds the token
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
    /// Where they are.
    #[command(flatten)]
    file: File,
}

/// Flags of `berth context use`.
#[derive(Debug, clap::Args)]
pub(crate) struct Use {
    /// Which
    #[arg(value_name = "NAME", required_unless_present = "none")]
    name: Option<String>,
    /// None: the cluster of the data folder again
    #[arg(long, conflicts_with = "name")]
    none: bool,
    /// Where they are.
    #[command(flatten)]
    file: File,
}

/// Flags of `berth context delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// Which
    #[arg(value_name = "NAME")]
    name: String,
    /// Where they are.
    #[command(flatten)]
    file: File,
}

/// A context as it is listed.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    name: &'a str,
    current: bool,
    #[serde(flatten)]
    context: &'a Context,
}

/// Does what the verb says.
pub(crate) fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(&args),
        Verb::Set(args) => set(args),
        Verb::Use(args) => r#use(args),
        Verb::Delete(args) => delete(&args),
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let all = args.file.read()?;
    let current = |name: &str| all.current.as_deref() == Some(name);
    let rows: Vec<_> =
        all.contexts.iter().map(|(name, context)| Listed { name, current: current(name), context }).collect();
    let cells = |row: &Listed<'_>| {
        let mark = if row.current { "*" } else { "" };
        vec![
            row.name.to_owned(),
            mark.to_owned(),
            row.context.config_url.clone(),
            row.context.token_place().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    output::rows(args.output, &rows, &rows, &["NAME", "CURRENT", "CONFIG-URL", "TOKEN"], cells)
}

fn set(args: Set) -> Result<(), Failure> {
    let mut all = args.file.read()?;
    let before = all.contexts.get(&args.name);
    let url = args.config_url.or_else(|| before.map(|before| before.config_url.clone()));
    let Some(url) = url else {
        return Err(Failure::new(
            Code::Usage,
            format!("say where {}'s config-service is: --config-url URL", args.name),
        ));
    };
    without_user(&url)?;
    // A URL that cannot be called is better refused here than at each verb.
    let client = shared::http::Client::new(&url, None, std::time::Duration::from_secs(1))?;
    let said = args.token_file.is_some() || args.token_env.is_some();
    let (token_file, token_env) = match before {
        Some(before) if !said => (before.token_file.clone(), before.token_env.clone()),
        _ => (args.token_file.map(|path| std::path::absolute(&path).unwrap_or(path)), args.token_env),
    };
    let context = Context { config_url: client.bases(), token_file, token_env };
    all.contexts.insert(args.name, context);
    args.file.write(&all)
}

fn r#use(args: Use) -> Result<(), Failure> {
    let mut all = args.file.read()?;
    if let Some(name) = &args.name {
        all.named(name)?;
    }
    all.current = args.name;
    args.file.write(&all)
}

fn delete(args: &Delete) -> Result<(), Failure> {
    let mut all = args.file.read()?;
    all.named(&args.name)?;
    all.contexts.remove(&args.name);
    all.current = all.current.filter(|current| *current != args.name);
    args.file.write(&all)
}

fn name(said: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match (1..=MAX_NAME).contains(&said.len()) && said.bytes().all(fits) {
        true => Ok(said.to_owned()),
        false => Err(format!("a name has 1 to {MAX_NAME} letters, digits, dots, underscores or dashes")),
    }
}

#[cfg(test)]
mod tests;
