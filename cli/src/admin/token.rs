//! `berth token`: who else may ask the admin API, and for what. A secret is printed once, when it is made; config-service
//! keeps only its hash.

use super::{Api, Common, because::Because, now_ms, pages::percent_encode};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use shared::wire::admin::{CreateToken, Role, TokenCreated, TokenInfo, TokenList, TokenRevoked};
use std::time::Duration;

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth token create deploy --role operator --reason 'the deploy pipeline'")]
pub(crate) enum Verb {
    /// List tokens, without their secrets
    List(List),
    /// Make a token and print its secret, this once
    Create(Create),
    /// Make a token count no more
    Revoke(Revoke),
}

/// Flags of `berth token list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth token create`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  berth token create deploy --role operator --reason 'the deploy pipeline'\n  berth token create mara --role viewer --ttl 30days --reason 'on call' -o name > token"
)]
pub(crate) struct Create {
    /// What it is for; the name that stands in the audit
    #[arg(value_name = "NAME")]
    name: String,
    /// What its holder may do: viewer, operator or admin
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// How long it counts; for ever when it is left out
    #[arg(long, value_name = "TIME", value_parser = shared::settings::duration)]
    ttl: Option<Duration>,
    /// Why.
    #[command(flatten)]
    because: Because,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth token revoke`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth token revoke deploy --reason 'the pipeline is gone'")]
pub(crate) struct Revoke {
    /// Its name or its id
    #[arg(value_name = "NAME")]
    which: String,
    /// Why.
    #[command(flatten)]
    because: Because,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(args).await,
        Verb::Create(args) => create(args).await,
        Verb::Revoke(args) => revoke(args).await,
    }
}

const HEAD: [&str; 7] = ["NAME", "ROLE", "ID", "MADE", "BY", "USED", "ENDS"];

fn cells(token: &TokenInfo, now: u64) -> Vec<String> {
    let before = |at: u64| format!("{} ago", ago(now.saturating_sub(at)));
    vec![
        token.name.clone(),
        token.role.to_string(),
        token.id.clone(),
        before(token.created_ms),
        token.created_by.clone(),
        token.used_ms.map_or_else(|| "-".to_owned(), before),
        match token.expires_ms {
            None => "-".to_owned(),
            Some(at) if at <= now => "over".to_owned(),
            Some(at) => format!("in {}", ago(at - now)),
        },
    ]
}

async fn list(args: List) -> Result<(), Failure> {
    let list: TokenList = args.common.api()?.get("/v1/tokens").await?;
    let now = now_ms();
    output::rows(args.common.output, &list, &list.tokens, &HEAD, |token| cells(token, now))
}

async fn create(args: Create) -> Result<(), Failure> {
    let api = args.common.api()?;
    let ttl_ms = args.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    let path = args.because.path("/v1/tokens");
    let asked = CreateToken { name: args.name, role: args.role, ttl_ms, reason: args.because.reason };
    let made: TokenCreated = api.post(&path, &asked).await?;
    let secret = made.secret.as_deref().unwrap_or_default();
    match args.common.output {
        Format::Json => output::print(&output::json(&made)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[made], &[], |_| Vec::new()),
        // For scripts: what there is to keep.
        Format::Name => output::print(&format!("{secret}\n")),
        _ if made.dry_run => output::print(&format!("{} would be made\n", made.token.name)),
        _ => {
            output::print(&format!("{secret}\n"))?;
            eprintln!("{} may do what {} may; keep the token, it is not shown again", made.token.name, made.token.role);
            Ok(())
        }
    }
}

async fn revoke(args: Revoke) -> Result<(), Failure> {
    let api = args.common.api()?;
    let id = id_of(&api, &args.which).await?;
    let tried = if args.because.dry_run { "&dry_run=true" } else { "" };
    let path = format!("/v1/tokens/{id}?reason={}{tried}", percent_encode(&args.because.reason));
    let gone: TokenRevoked = api.delete(&path).await?;
    match args.common.output {
        Format::Json => output::print(&output::json(&gone)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[gone], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", output::plain(&gone.token.name))),
        _ => {
            let what = if gone.dry_run { "would count no more" } else { "counts no more" };
            output::print(&format!("{} {what}\n", output::plain(&gone.token.name)))
        }
    }
}

/// Finds the id of a token by its name, or by the id itself.
async fn id_of(api: &Api, said: &str) -> Result<String, Failure> {
    let list: TokenList = api.get("/v1/tokens").await?;
    let found = list.tokens.into_iter().find(|token| token.name == said || token.id == said);
    found.map(|token| token.id).ok_or_else(|| Failure::new(Code::NotFound, format!("there is no token {said}")))
}
