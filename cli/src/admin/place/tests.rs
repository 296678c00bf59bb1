use super::*;
use crate::args::{Cli, Command};
use clap::Parser;

/// A folder with contexts, a data folder with a cluster, and a file with a token.
struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(ground.path("token"), "prods-token").expect("written");
        let home = Home::at(&ground.path("data"));
        home.create().expect("made");
        Made::load_or_make(&home).expect("made");
        let cluster = Cluster {
            running: true,
            supervisor: 1,
            http_url: "http://here:3000".into(),
            config_url: "http://here:3001".into(),
            scaled: None,
            gateways: Vec::new(),
            store: String::new(),
            given: Vec::new(),
        };
        home.record(&cluster).expect("recorded");
        let token = ground.path("token").display().to_string();
        ground.berth(&["context", "set", "prod", "--config-url", "http://prod:3001", "--token-file", &token]);
        ground.berth(&["context", "set", "bare", "--config-url", "http://bare:3001"]);
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn parse(&self, line: &[&str]) -> Command {
        let contexts = self.path("contexts.json").display().to_string();
        let line = [&["berth"], line, &["--contexts", &contexts]].concat();
        Cli::try_parse_from(line).expect("a valid line").command
    }

    fn berth(&self, line: &[&str]) {
        match self.parse(line) {
            Command::Context(verb) => crate::context::run(verb).expect("done"),
            other => panic!("{other:?}"),
        }
    }

    fn found(&self, line: &[&str]) -> Result<(String, Option<String>), Failure> {
        let Command::Config(args) = self.parse(&[&["config"], line].concat()) else { panic!("not config") };
        let place = find(&args.common)?;
        Ok((place.url, place.token?.map(|token| token.expose().to_owned())))
    }
}

#[test]
fn what_is_said_wins_over_a_context_and_that_over_the_data_folder() {
    let ground = Ground::new();
    let data = ground.path("data").display().to_string();
    let made = Made::load(&Home::at(&ground.path("data"))).expect("readable").expect("made").admin_token;
    let prod = || ("http://prod:3001".to_owned(), Some("prods-token".to_owned()));
    assert_eq!(ground.found(&["--data", &data]).expect("found"), ("http://here:3001".to_owned(), Some(made.clone())));
    assert_eq!(ground.found(&["--context", "prod"]).expect("found"), prod());
    ground.berth(&["context", "use", "prod"]);
    assert_eq!(ground.found(&[]).expect("found"), prod());
    let named = ground.found(&["--data", &data]).expect("found");
    assert_eq!(named, ("http://here:3001".to_owned(), Some(made)), "a folder that is named is meant");
    assert_eq!(ground.found(&["--data", &data, "--context", "prod"]).expect("found"), prod());
    assert_eq!(ground.found(&["--context", "bare"]).expect("found"), ("http://bare:3001".to_owned(), None));
    assert_eq!(ground.found(&["--token", "mine"]).expect("found").1.as_deref(), Some("mine"));
    ground.berth(&["context", "use", "--none"]);
    let data = ground.path("nothing").display().to_string();
    assert_eq!(ground.found(&["--data", &data]).expect("found"), (USUAL.to_owned(), None));
}

#[test]
fn a_token_is_shown_to_its_own_cluster_only() {
    let ground = Ground::new();
    let data = ground.path("data").display().to_string();
    let elsewhere = ["--config-url", "http://elsewhere:3001"];
    assert_eq!(ground.found(&[&elsewhere[..], &["--data", &data]].concat()).expect("found").1, None);
    assert_eq!(ground.found(&[&elsewhere[..], &["--context", "prod"]].concat()).expect("found").1, None);
    let secret = ground.found(&["--config-url", "http://mara:hunter2@prod:3001"]).expect_err("shown, and never sent");
    assert_eq!(secret.code, crate::exit::Code::Usage);
    assert_eq!(ground.found(&["--context", "nowhere"]).expect_err("unknown").code, crate::exit::Code::NotFound);
}
