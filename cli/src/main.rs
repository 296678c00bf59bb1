//! The `berth` binary. Decides nothing; everything is in the library, so that tests can use its parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    berth_cli::main()
}
