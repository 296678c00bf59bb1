//! The one screen `up` prints when everything is ready: where things are and what to try next. Every line to try works
//! when it is pasted where `up` was started.

use crate::home::{Cluster, Home};
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

/// Returns the screen.
pub(super) fn screen(cluster: &Cluster, home: &Home, invocation: &Invocation) -> String {
    let Cluster { http_url, config_url, gateways, .. } = cluster;
    let whole = std::fs::canonicalize(home.path()).unwrap_or_else(|_| home.path().to_owned());
    let pods: Vec<_> = gateways.iter().map(|gateway| format!("{} {}", gateway.pod, gateway.url)).collect();
    let berth = &invocation.0;
    let data =
        if home.is_default() { String::new() } else { format!(" --data {}", quoted(&home.path().to_string_lossy())) };
    format!(
        "\
berth is up: config-service, {count} gateway{s}, http-service

  webhooks   {http_url}/webhooks/discord, /discord/events, /telegram/demo, /slack, /standard/demo, /github
  admin API  {config_url}/v1/targets   reads are open; writes take the token in the data folder
  gateways   {pods}
  data       {whole}   secrets.json, logs/, one folder per process

Try in another terminal:

  {berth} send discord --guild 123 --command stats{data}
  {berth} target where discord:guild:123{data}
  {berth} status{data}
  curl -s {config_url}/v1/targets/discord:guild:123/state

Ctrl-C stops everything; the data stays.
",
        count = gateways.len(),
        s = if gateways.len() == 1 { "" } else { "s" },
        pods = pods.join("\n             "),
        whole = whole.display(),
    )
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
            gateways: vec![Gateway { pod: "gateway-0".into(), url: "http://127.0.0.1:3010".into() }],
            given: Vec::new(),
        }
    }

    #[test]
    fn lines_to_paste_name_the_folder_only_when_they_must() {
        let berth = Invocation::of("target/release/berth");
        let text = screen(&cluster(), &Home::at(Path::new("./.berth")), &berth);
        assert!(text.contains("\n  target/release/berth send discord --guild 123 --command stats\n"), "{text}");
        let text = screen(&cluster(), &Home::at(Path::new("/tmp/my data")), &Invocation::of("berth"));
        assert!(text.contains("\n  berth target where discord:guild:123 --data '/tmp/my data'\n"), "{text}");
        assert!(text.contains("1 gateway,"), "{text}");
        assert_eq!(quoted("it's"), r"'it'\''s'");
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
