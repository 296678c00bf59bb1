//! `berth completion`: what a shell needs to complete command lines. Knows only the command line.

use crate::{exit::Failure, output, roles};
use clap_complete::{Shell, generate};

/// A shell that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Known {
    /// bash, with its package for completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Flags of `berth completion`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  berth completion bash > ~/.local/share/bash-completion/completions/berth\n  berth completion zsh > ~/.zfunc/_berth          with ~/.zfunc in fpath before compinit\n  berth completion fish > ~/.config/fish/completions/berth.fish"
)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Known,
}

/// Prints it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    output::print(&script(args.shell))
}

fn script(shell: Known) -> String {
    let shell = match shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    generate(shell, &mut roles::command(), "berth", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_learns_the_verbs_and_no_hidden_flag() {
        for shell in [Known::Bash, Known::Zsh, Known::Fish] {
            let text = script(shell);
            for word in ["completion", "accept-data-loss", "config-url", "handler"] {
                assert!(text.contains(word), "{shell:?}: {word}");
            }
        }
    }
}
