//! The reference of all settings, written from the flags themselves: `docs/configuration.md` is this text, and a test holds
//! the two together. Decides how it is laid out; says nothing of its own about any setting.

use crate::args::Cli;
use clap::{Arg, CommandFactory};
use std::fmt::Write as _;

const HEAD: &str = "\
<!-- Written by `berth configuration-reference`. Change the flag's own text in the code, then write this page again. -->

# Settings

Every setting is a flag with an environment name, and has a default that works, or stops the start with one line that says what
to set. A flag wins over the environment. `berth ROLE config` prints what a role would run with and where each value comes from;
secrets are masked there. Times are written like `250ms`, `6s` or `7days`; sizes are bytes.

A secret may also come from a file: the same name with `_FILE`. A value and a file for the same secret is refused.
";

/// The roles that have settings, with what each is.
const ROLES: [(&str, &str); 4] = [
    ("config-service", "The control plane."),
    ("gateway", "A pod; a bot's own binary takes the same flags."),
    ("http-service", "The tier that takes webhooks and web traffic."),
    ("up", "A whole cluster on one machine. The roles it starts take their own settings from the environment."),
];

/// Returns the page.
pub(crate) fn page() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = HEAD.to_owned();
    for (role, what) in ROLES {
        let Some(command) = cli.find_subcommand(role) else { continue };
        let _ = write!(page, "\n## berth {role}\n\n{what}\n");
        for (heading, args) in by_heading(command) {
            if let Some(heading) = heading {
                let _ = write!(page, "\n### {heading} of {role}\n");
            }
            page.push_str("\n| flag | environment | default | what it is |\n|---|---|---|---|\n");
            for arg in args {
                page.push_str(&row(arg));
            }
        }
    }
    page
}

/// Groups the flags by their headings, those without one first, each group in the order of the code.
fn by_heading(command: &clap::Command) -> Vec<(Option<&str>, Vec<&Arg>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Arg>)> = vec![(None, Vec::new())];
    let shown = |arg: &&Arg| !arg.is_hide_set() && arg.get_long().is_some_and(|long| long != "help");
    for arg in command.get_arguments().filter(shown) {
        match groups.iter_mut().find(|(heading, _)| *heading == arg.get_help_heading()) {
            Some((_, group)) => group.push(arg),
            None => groups.push((arg.get_help_heading(), vec![arg])),
        }
    }
    groups.retain(|(_, group)| !group.is_empty());
    groups
}

fn row(arg: &Arg) -> String {
    let long = arg.get_long().unwrap_or_default();
    let takes = arg.get_action().takes_values();
    let value = arg.get_value_names().and_then(<[_]>::first).filter(|_| takes);
    let flag = value.map_or_else(|| format!("--{long}"), |value| format!("--{long} {value}"));
    let environment = arg.get_env().map_or_else(|| "-".to_owned(), |name| format!("`{}`", name.to_string_lossy()));
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match default.join(",") {
        text if text.is_empty() || !takes => "-".to_owned(),
        text => format!("`{text}`"),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    format!("| `{flag}` | {environment} | {default} | {help} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_what_the_flags_say() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let kept = std::fs::read_to_string(file).expect("the page");
        let differs = page().lines().zip(kept.lines()).find(|(now, kept)| now != kept).map(|(now, _)| now.to_owned());
        let remedy = "cargo run -- configuration-reference > docs/configuration.md";
        assert!(page() == kept, "docs/configuration.md is old, first at {differs:?}; write it again: {remedy}");
    }

    #[test]
    fn every_bound_and_no_secret_stands_in_it() {
        let page = page();
        for setting in ["BERTH_MAX_BODY", "BERTH_WEB_IDLE", "BERTH_MAILBOX", "BERTH_SERVICE_TOKENS", "BERTH_UP_PODS"] {
            assert!(page.contains(&format!("`{setting}`")), "{setting}");
        }
        assert!(page.lines().filter(|line| line.starts_with("| `")).all(|line| !line.ends_with("|  |")), "no text");
    }
}
