//! Writes docs/cli.md from the command line itself, and minds when the two differ. Part of the tests only.

use crate::args::Cli;
use clap::{Arg, Command, CommandFactory};
use std::{fmt::Write as _, path::PathBuf};

const REWRITE: &str = "cargo test -p berth --lib -- --ignored rewrite_the_manual";

/// Commands whose flags are settings, listed in docs/configuration.md.
const ROLES: [&str; 3] = ["config-service", "gateway", "http-service"];

fn page() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = format!(
        "# The command line\n\nWritten by the command line itself; rewrite this page with `{REWRITE}`.\n\n\
         `berth COMMAND --help` shows the same. Data goes to standard output, everything else to standard error.\n\n{}\n",
        paragraph(&cli.get_after_help().map(ToString::to_string).unwrap_or_default())
    );
    let common = common(&cli);
    let _ = writeln!(page, "\n## Flags that all of the operator's verbs have\n");
    table(&mut page, &common.iter().collect::<Vec<_>>());
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
        section(&mut page, command, &format!("berth {}", command.get_name()), 2, &common);
    }
    page
}

/// The flags that `berth status` has are those that all verbs have.
fn common(cli: &Command) -> Vec<Arg> {
    let status = cli.find_subcommand("status").expect("there is berth status");
    shown(status).into_iter().cloned().collect()
}

fn shown(command: &Command) -> Vec<&Arg> {
    let hidden = |arg: &Arg| arg.is_hide_set() || ["help", "version"].contains(&arg.get_id().as_str());
    command.get_arguments().filter(|arg| !hidden(arg)).collect()
}

fn section(page: &mut String, command: &Command, path: &str, depth: usize, common: &[Arg]) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, "\n{} {path}\n\n{about}.", "#".repeat(depth));
    if let Some(example) = command.get_before_help() {
        let _ = writeln!(page, "\n```text\n{example}\n```");
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(page, "\n{after}");
    }
    if ROLES.contains(&command.get_name()) {
        let _ = writeln!(
            page,
            "\nIts flags are settings: [configuration.md](configuration.md) lists them. `{path} config` prints their values."
        );
        return;
    }
    let args = shown(command);
    let same =
        |arg: &Arg| common.iter().any(|other| other.get_id() == arg.get_id() && other.get_help() == arg.get_help());
    let (shared, own): (Vec<&Arg>, Vec<&Arg>) = args.into_iter().partition(|arg| same(arg));
    if !own.is_empty() {
        page.push('\n');
        table(page, &own);
    }
    if shared.len() == common.len() {
        let _ = writeln!(page, "\nAnd the flags that all verbs have.");
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        section(page, sub, &format!("{path} {}", sub.get_name()), (depth + 1).min(4), common);
    }
}

fn table(page: &mut String, args: &[&Arg]) {
    let _ = writeln!(page, "| | environment | default | |\n|---|---|---|---|");
    for arg in args {
        let value: String = arg.get_value_names().unwrap_or_default().iter().map(|name| format!(" {name}")).collect();
        let value = if arg.get_action().takes_values() { value } else { String::new() };
        let name = match (arg.get_short(), arg.get_long()) {
            (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
            (None, Some(long)) => format!("`--{long}{value}`"),
            _ => format!("`{}`", value.trim()),
        };
        let env = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let default: Vec<_> =
            arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        let default = if arg.get_action().takes_values() { default.join(", ") } else { String::new() };
        let values: Vec<_> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect();
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if !values.is_empty() && arg.get_action().takes_values() {
            let _ = write!(help, ": {}", values.join(", "));
        }
        let _ = writeln!(page, "| {name} | {env} | {default} | {} |", help.replace('|', "\\|"));
    }
}

fn paragraph(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md")
}

#[test]
fn the_manual_says_what_the_command_line_says() {
    let committed = std::fs::read_to_string(file()).unwrap_or_default();
    let now = page();
    let differs = committed.lines().zip(now.lines()).position(|(old, new)| old != new);
    assert!(committed == now, "docs/cli.md differs from line {differs:?} on (from 0); rewrite it with: {REWRITE}");
}

#[test]
#[ignore = "writes docs/cli.md"]
fn rewrite_the_manual() {
    std::fs::write(file(), page()).expect("written");
}
