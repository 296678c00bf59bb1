//! `berth generation`: a database that was restored begins a new generation of the cluster.

use super::Common;
use crate::{
    exit::Failure,
    output::{self, Format},
};
use shared::wire::admin::{GenerationBegun, NewGeneration};

/// What to do with the cluster's generation.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth generation new --reason 'restored last night\'s backup'")]
pub(crate) enum Verb {
    /// Begin a new generation, after the database was restored: every pod says what it holds
    New(New),
}

/// Flags of `berth generation new`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Only after config-service's database was restored from a backup or lost its newest changes.\nExample:\n  berth generation new --reason 'restored last night\'s backup'"
)]
pub(crate) struct New {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Does what the verb says.
pub(crate) async fn run(Verb::New(args): Verb) -> Result<(), Failure> {
    let api = args.common.api()?;
    let begun: GenerationBegun = api.post("/v1/generation", &NewGeneration { reason: args.reason }).await?;
    match args.common.output {
        Format::Json => output::print(&output::json(&begun)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[begun], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", begun.generation)),
        Format::Table => {
            let pods: Vec<_> = begun.pods.iter().map(ToString::to_string).collect();
            output::print(&format!(
                "generation {} begins; nothing is placed before each of these has reported or was declared dead: {}\n",
                begun.generation,
                pods.join(", ")
            ))
        }
    }
}
