//! A throw-away PostgreSQL: its own cluster in a short-named temporary folder, reached over a private Unix socket only, run
//! as an unprivileged user when the tests run as root. It ends, and its folder goes, with the value, and also when the test
//! process is killed: the server's keeper is a shell that waits for the end of its standard input.

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tempfile::TempDir;

/// How long the server may take to come up or to go.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts the server and stops it at the end of input. The folder goes too, unless the last word was `keep`.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off \
    -c max_connections=60 -c log_min_messages=warning >>"$2/log" 2>&1 &
server=$!
read -r word
kill -INT "$server" 2>/dev/null
wait "$server"
[ "$word" = keep ] || rm -rf "$2"
"#;

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    user: Option<String>,
    keeper: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Panics
    /// When PostgreSQL's server programs are missing, with the line that installs them; when the server does not come up.
    pub async fn start() -> Self {
        let programs = programs().expect(
            "PostgreSQL's server programs are neither on PATH nor under /usr/lib/postgresql; install them with: apt-get install postgresql",
        );
        // Short, since a socket's path has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("berth-pg").tempdir_in("/tmp").expect("a folder in /tmp");
        let user = rustix::process::geteuid().is_root().then(unprivileged);
        let mut cluster = Self { programs, folder, user, keeper: None, databases: AtomicU32::new(0) };
        if let Some(user) = &cluster.user {
            run(Command::new("chown").arg(user).arg(cluster.folder.path()));
        }
        let data = cluster.folder.path().join("data");
        let mut make = cluster.command(&cluster.programs.join("initdb"));
        make.arg("-D").arg(data);
        run(make.args(["-U", "berth", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]));
        cluster.resume().await;
        cluster
    }

    /// Makes an empty database and returns its `postgres://` URL.
    ///
    /// # Panics
    /// When the server does not do it.
    pub async fn database(&self) -> String {
        let name = format!("berth_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut server = self.connect("postgres").await.expect("the server answers");
        let create = format!("CREATE DATABASE {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut server).await.expect("a new database");
        server.close().await.expect("closes");
        format!("postgres://berth@localhost/{name}?host={}", self.folder.path().display())
    }

    /// Stops the server, keeping what it holds.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn halt(&mut self) {
        self.end("keep\n");
    }

    /// Starts the server, again or for the first time.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn resume(&mut self) {
        let mut keeper = self.command(Path::new("sh"));
        keeper.args(["-c", KEEPER, "keeper"]).arg(&self.programs).arg(self.folder.path());
        self.keeper = Some(keeper.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("sh starts"));
        let log = self.folder.path().join("log");
        crate::within("PostgreSQL comes up", PATIENCE, async {
            while let Err(why) = self.connect("postgres").await {
                let ended = self.keeper.as_mut().and_then(|keeper| keeper.try_wait().ok().flatten());
                let said = || std::fs::read_to_string(&log).unwrap_or_default();
                assert!(ended.is_none(), "PostgreSQL ended: {why}\n{}", said());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Does what an SQL statement of the superuser says.
    ///
    /// # Panics
    /// When the server does not do it.
    pub async fn execute(&self, sql: &str) {
        let mut server = self.connect("postgres").await.expect("the server answers");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut server).await.expect("the statement is done");
        server.close().await.expect("closes");
    }

    /// Opens a connection as `user` and returns it, to hold it.
    ///
    /// # Errors
    /// When the server does not let it in.
    pub async fn hold(&self, database: &str, user: &str) -> Result<impl Sized + use<>, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass().socket(self.folder.path());
        options.username(user).database(database).connect().await
    }

    /// Returns the path of the socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnectOptions::new_without_pgpass()
            .socket(self.folder.path())
            .username("berth")
            .database(database)
            .connect()
            .await
    }

    /// A command that runs as the cluster's user, in its folder.
    fn command(&self, program: &Path) -> Command {
        let mut command = match &self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", &group(user), "--clear-groups", "--"]).arg(program);
                command
            }
        };
        command.current_dir(self.folder.path());
        command
    }

    fn end(&mut self, word: &str) {
        let Some(mut keeper) = self.keeper.take() else { return };
        if let Some(mut input) = keeper.stdin.take() {
            // A keeper that is gone needs no word.
            let _ = input.write_all(word.as_bytes());
        }
        keeper.wait().expect("the keeper ends");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end("go\n");
    }
}

/// Finds the folder that has `initdb` and `postgres`: by PATH, else the newest under /usr/lib/postgresql.
pub fn programs() -> Option<PathBuf> {
    let found = Command::new("sh").args(["-c", "command -v initdb"]).output().ok()?;
    let on_path = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim().to_owned());
    let on_path = on_path.canonicalize().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let packaged = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut packaged: Vec<_> = packaged.map(|version| version.path().join("bin")).collect();
    packaged.sort_by_key(|path| {
        let version = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    let whole = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    on_path.into_iter().chain(packaged.into_iter().rev()).find(whole)
}

/// The user a root process runs the server as: PostgreSQL refuses to be root.
pub fn unprivileged() -> String {
    let known = |name: &str| Command::new("id").args(["-u", name]).output().is_ok_and(|id| id.status.success());
    if known("postgres") { "postgres".to_owned() } else { "nobody".to_owned() }
}

fn group(user: &str) -> String {
    let id = Command::new("id").args(["-g", user]).output().expect("id runs");
    String::from_utf8_lossy(&id.stdout).trim().to_owned()
}

fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {}\n{said}", done.status);
}
