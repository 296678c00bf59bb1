//! The one screen `up` prints when everything is ready: where things are and what to try next. Every line to try works
//! when it is pasted where `up` was started.

use super::{discord::Discord, replicas::Replicas};
use crate::{
    home::{Cluster, Home},
    secrets::DEMO,
};
use std::path::Path;

/// How the user called this program, so that lines to paste call it the same way.
#[derive(Debug, Clone)]
pub(super) struct Invocation(String);

impl Invocation {
    /// Reads it off the name the process was started under.
    pub(super) fn of_this_process() -> Self {
        Self::of(&std::env::args_os().next().unwrap_or_default().to_string_lossy())
    }

    fn of(program: &str) -> Self {
        Self(if program.is_empty() { "berth".to_owned() } else { quoted(program) })
    }
}

/// What to send first, and which target it is for, by the setting whose secret `up` must have made for it to work.
const FIRST: [(&str, &str, &str); 5] = [
    ("BERTH_DISCORD_PUBLIC_KEY", "discord --guild 123 --command stats", "discord:guild:123"),
    ("BERTH_TELEGRAM_SECRETS", "telegram --chat -100123 --text /stats", "telegram:channel:-100123"),
    ("BERTH_SLACK_SIGNING_SECRET", "slack --team T123 --command stats", "slack:guild:T123"),
    ("BERTH_STANDARD_SECRETS", "standard --target 123 --command stats", "webhook:key:demo.123"),
    ("BERTH_GITHUB_SECRET", "github --repository 123", "github:key:repository.123"),
];

/// Returns the screen.
pub(super) fn screen(
    cluster: &Cluster,
    home: &Home,
    replicas: &Replicas,
    discord: Option<&Discord>,
    invocation: &Invocation,
) -> String {
    let Cluster { http_url, config_url, gateways, .. } = cluster;
    let whole = std::fs::canonicalize(home.path()).unwrap_or_else(|_| home.path().to_owned());
    let pods: Vec<_> = gateways.iter().map(|gateway| format!("{} {}", gateway.pod, gateway.url)).collect();
    let berth = &invocation.0;
    let data =
        if home.is_default() { String::new() } else { format!(" --data {}", quoted(&home.path().to_string_lossy())) };
    let named = |setting, made: &'static str, given: &'static str| if cluster.gave(setting) { given } else { made };
    let bot = named("BERTH_TELEGRAM_SECRETS", DEMO, "BOT");
    let source = named("BERTH_STANDARD_SECRETS", DEMO, "SOURCE");
    let mut text = format!(
        "\
berth is up: config-service, {count} gateway{s}, http-service

  webhooks   {http_url}/webhooks/discord, /discord/events, /telegram/{bot}, /slack, /standard/{source}, /github
  page       {config_url}/   the cluster, for your browser
{discord}  admin API  {config_url}/v1/targets   reads are open; writes take the token in the data folder
  gateways   {pods}
  data       {whole}   secrets.json, logs/, one folder per process
  replicas   {replicas}

Try in another terminal:

",
        count = gateways.len(),
        s = if gateways.len() == 1 { "" } else { "s" },
        pods = pods.join("\n             "),
        whole = whole.display(),
        replicas = replicas.line(),
        discord = discord.map_or_else(String::new, Discord::lines),
    );
    let mut line = |line: String| text.push_str(&format!("  {line}\n"));
    if let Some((_, send, target)) = FIRST.iter().find(|(setting, ..)| !cluster.gave(setting)) {
        line(format!("{berth} send {send}{data}"));
        line(format!("{berth} target where {target}{data}"));
        line(format!("curl -s {config_url}/v1/targets/{target}/state"));
    }
    line(format!("{berth} status{data}"));
    text.push_str("\nCtrl-C stops everything; the data stays.\n");
    text
}

/// Quotes a word for a shell where it needs it.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Returns the names of gateway folders that hold data but are not started: their targets wait for them.
pub(super) fn left_out(home: &Path, pods: u16) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(home) else { return Vec::new() };
    let mut numbers: Vec<u16> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("gateway-")?.parse().ok())
        .filter(|number| *number >= pods)
        .collect();
    numbers.sort_unstable();
    numbers.iter().map(|number| format!("gateway-{number}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Gateway;

    fn cluster() -> Cluster {
        Cluster {
            running: true,
            supervisor: 1,
            http_url: "http://127.0.0.1:3000".into(),
            config_url: "http://127.0.0.1:3001".into(),
            store: String::new(),
            scaled: None,
            gateways: vec![Gateway { pod: "gateway-0".into(), url: "http://127.0.0.1:3010".into() }],
            given: Vec::new(),
        }
    }

    fn none() -> Replicas {
        Replicas::None(String::new())
    }

    #[test]
    fn lines_to_paste_name_the_folder_only_when_they_must() {
        let berth = Invocation::of("target/release/berth");
        let text = screen(&cluster(), &Home::at(Path::new("./.berth")), &none(), None, &berth);
        assert!(text.contains("\n  target/release/berth send discord --guild 123 --command stats\n"), "{text}");
        let text = screen(&cluster(), &Home::at(Path::new("/tmp/my data")), &none(), None, &Invocation::of("berth"));
        assert!(text.contains("\n  berth target where discord:guild:123 --data '/tmp/my data'\n"), "{text}");
        assert!(text.contains("1 gateway,"), "{text}");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn what_cannot_be_played_is_not_proposed() {
        let given = ["BERTH_DISCORD_PUBLIC_KEY", "BERTH_TELEGRAM_SECRETS"].map(str::to_owned).to_vec();
        let text = screen(
            &Cluster { given, ..cluster() },
            &Home::at(Path::new("./.berth")),
            &none(),
            None,
            &Invocation::of("berth"),
        );
        assert!(!text.contains("send discord") && !text.contains("telegram/demo"), "{text}");
        assert!(text.contains("\n  berth send slack --team T123 --command stats\n"), "{text}");
    }

    #[test]
    fn folders_of_pods_that_are_not_started_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["gateway-0", "gateway-2", "gateway-10", "gateway-x", "logs"] {
            std::fs::create_dir(dir.path().join(name)).expect("made");
        }
        assert_eq!(left_out(dir.path(), 1), ["gateway-2", "gateway-10"]);
    }
}
