//! The moderation bot as a pod of its own: it takes the same flags as `berth gateway`.

use moderation_bot::ModerationBot;

fn main() -> std::process::ExitCode {
    gateway::run(ModerationBot)
}
