//! One role of a cluster: a process that can be started again in place, with the same port and the same data.

use crate::{
    client::Client,
    process::{Process, berth, binary, clean},
    scrape,
    wait::eventually,
};
use rustix::process::Signal;
use std::{
    process::{Command, ExitStatus},
    time::Duration,
};

pub use crate::ports::{free_port, free_ports};

/// How long a role may take until it is ready: on a busy machine, and with a database to be restored first.
pub const READY: Duration = Duration::from_secs(120);

/// How long an orderly end may take on a busy machine.
const STOPS: Duration = Duration::from_secs(60);

/// Which binary a role is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Program {
    /// `berth` with the role's subcommand.
    #[default]
    Berth,
    /// A bot author's own binary: the bot of the stories, which takes a gateway's flags by itself.
    StoryBot,
}

/// How a role is started.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What it is called in messages: its role, or its pod.
    pub name: String,
    /// The role's subcommand.
    pub role: &'static str,
    /// The binary.
    pub program: Program,
    /// The setting of its address.
    pub listen: &'static str,
    /// Its settings.
    pub settings: Vec<(String, String)>,
    /// A program with its first arguments that is given the `berth` binary and its arguments, and becomes it.
    pub wrapper: Option<&'static [&'static str]>,
}

/// A role.
#[derive(Debug)]
pub struct Role {
    recipe: Recipe,
    port: u16,
    client: Client,
    process: Process,
}

impl Role {
    /// Starts a role on a free port; does not wait until it is ready.
    pub fn start(recipe: Recipe) -> Self {
        let port = free_port();
        let process = launch(&recipe, port);
        Self { recipe, port, client: Client::new(Duration::from_secs(10)), process }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Returns the process, for its logs and signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns whether a line of its logs contains `text`, since it was last started.
    pub fn logged(&self, text: &str) -> bool {
        self.process.stderr.contains(text)
    }

    /// Returns the first line of its logs that contains `text`, since it was last started.
    pub fn line(&self, text: &str) -> Option<String> {
        self.process.stderr.lines().into_iter().find(|line| line.contains(text))
    }

    /// Waits until `/readyz` says so. A port that somebody else took meanwhile is exchanged for another.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time.
    pub async fn ready(&mut self) {
        let name = self.recipe.name.clone();
        eventually(&format!("{name} is ready"), READY, async || {
            if self.process.ended().is_some() {
                // Its last line may come after its end.
                let status = self.process.end(STOPS).await;
                assert!(self.logged("is taken"), "{name} ended with {status} instead of becoming ready");
                self.port = free_port();
                self.process = launch(&self.recipe, self.port);
            }
            self.is_ready().await.then_some(())
        })
        .await;
    }

    /// Returns whether `/readyz` says so now.
    pub async fn is_ready(&self) -> bool {
        self.client.get(&self.url("/readyz")).await.is_ok_and(|reply| reply.status == 200)
    }

    /// Returns the sum of its samples called `name` that carry `labels`.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let reply = self.client.get(&self.url("/metrics")).await.expect("metrics answer");
        scrape::sum(&reply.text(), name, labels)
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Ends it in order with SIGTERM.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    pub async fn stop(&mut self) -> ExitStatus {
        self.stop_within(STOPS).await
    }

    /// The same, when it takes longer than `most`.
    ///
    /// # Panics
    /// When it does.
    pub async fn stop_within(&mut self, most: Duration) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.end(most).await
    }

    /// Starts it again on the same port with the same data; does not wait until it is ready.
    pub fn start_again(&mut self) {
        self.process = launch(&self.recipe, self.port);
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.recipe.settings.retain(|(own, _)| own != name);
        self.recipe.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a setting away for the next start.
    pub fn unset(&mut self, name: &str) {
        self.recipe.settings.retain(|(own, _)| own != name);
    }

    /// Returns how it is started.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Stops it from running, as a paused machine does; when this returns it stands still.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Lets it run again.
    pub fn resume(&mut self) {
        self.process.signal(Signal::CONT);
    }
}

fn launch(recipe: &Recipe, port: u16) -> Process {
    let binary = match recipe.program {
        Program::Berth => berth(),
        Program::StoryBot => binary("story-bot"),
    };
    let mut command = match recipe.wrapper {
        Some([program, arguments @ ..]) => {
            let mut command = clean(Command::new(program));
            command.args(arguments).arg(binary);
            command
        }
        _ => clean(Command::new(binary)),
    };
    if recipe.program == Program::Berth {
        command.arg(recipe.role);
    }
    command.arg("--exit-with-parent");
    command.env(recipe.listen, format!("127.0.0.1:{port}"));
    command.envs(recipe.settings.iter().map(|(name, value)| (name, value)));
    Process::start(&recipe.name, command)
}
