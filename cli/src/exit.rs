//! How a command ends: the exit codes of OPERATORS.md and the one line that goes with them.

use shared::http::ClientError;
use std::{fmt, process::ExitCode};

/// Exit codes; scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Something went wrong.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// Something else changed in between, or holds what is needed.
    Conflict = 4,
    /// Not allowed.
    Forbidden = 5,
    /// The service does not answer.
    Unreachable = 6,
    /// A safety rule was not met.
    Refused = 7,
    /// Some of it worked, and some did not.
    Partial = 8,
    /// It takes longer than was waited for, and goes on.
    StillRunning = 9,
    /// A gateway whose lineage is over: `berth gateway prepare`, and start it again.
    Again = gateway::boot::EX_TEMPFAIL as isize,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command failed. Its text is one line that says what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: Code,
    text: String,
}

impl Failure {
    /// Makes a failure with a code; line feeds in `text` are folded, so that it stays one line.
    pub(crate) fn new(code: Code, text: impl fmt::Display) -> Self {
        let text = text.to_string();
        let parts: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Self { code, text: crate::output::plain(&parts.join("; ")) }
    }

    /// Makes a failure with exit code 1.
    pub(crate) fn error(text: impl fmt::Display) -> Self {
        Self::new(Code::Error, text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ClientError> for Failure {
    fn from(why: ClientError) -> Self {
        let code = match &why {
            ClientError::Url(_) => Code::Usage,
            ClientError::Unreachable { .. } => Code::Unreachable,
            ClientError::Answer { .. } => Code::Error,
            ClientError::Problem(problem) => match problem.status {
                404 => Code::NotFound,
                _ if problem.code == "not-confirmed" => Code::Refused,
                409 | 412 => Code::Conflict,
                401 | 403 => Code::Forbidden,
                502..=504 if problem.code == "owner-unreachable" => Code::Unreachable,
                _ => Code::Error,
            },
        };
        Self::new(code, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::Problem;

    #[test]
    fn scripts_can_tell_failures_apart() {
        let code = |problem: Problem| Failure::from(ClientError::Problem(problem)).code;
        assert_eq!(code(Problem::not_found("x")), Code::NotFound);
        assert_eq!(code(Problem::conflict("stale", "x")), Code::Conflict);
        assert_eq!(code(Problem::unauthorized("x")), Code::Forbidden);
        assert_eq!(code(Problem::unavailable("owner-unreachable", "x")), Code::Unreachable);
        assert_eq!(code(Problem::unavailable("not-leader", "x")), Code::Error);
        let gone = ClientError::Unreachable { url: "http://x".into(), detail: "refused".into(), sent: false };
        assert_eq!(Failure::from(gone).code, Code::Unreachable);
    }

    #[test]
    fn a_failure_is_one_line_without_control_characters() {
        let failure = Failure::error("first\n  second\n\u{1b}[2Jthird");
        assert_eq!(failure.to_string(), "first; second; \\u{1b}[2Jthird");
    }
}
