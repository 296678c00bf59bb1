//! What verbs have that change something: why, and whether it is only tried.

/// Flags of a verb that changes something.
#[derive(Debug, clap::Args)]
pub(crate) struct Because {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
    /// Change nothing, and say what would be
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Because {
    /// Returns the path to ask.
    pub(super) fn path(&self, path: &str) -> String {
        let query = if self.dry_run { "?dry_run=true" } else { "" };
        format!("{path}{query}")
    }
}
