//! PostgreSQL in a namespace of its own, reached over TCP as in production: with fsync, killed at once and started again.
//! Knows nothing of what is kept in it.

use crate::{command::run, net::Place, node::inside};
use anyhow::{Context, bail};
use berth_tests::postgres::{programs, unprivileged};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

const PORT: u16 = 5432;
const UP: Duration = Duration::from_secs(60);

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    place: Place,
    programs: PathBuf,
    data: PathBuf,
    user: String,
    log: File,
    child: Option<Child>,
}

impl Server {
    /// Makes a database cluster in `folder`, starts it, and makes the database `berth`.
    pub(crate) async fn start(place: Place, folder: &Path) -> anyhow::Result<Self> {
        let Some(programs) = programs() else {
            bail!("PostgreSQL's server programs are missing; install them: apt-get install postgresql");
        };
        let log = OpenOptions::new().create(true).append(true).open(folder.join("postgres.log"))?;
        let (own, data, user) = (folder.join("postgres"), folder.join("postgres/data"), unprivileged());
        std::fs::create_dir(&own)?;
        let (initdb, own, path) = (programs.join("initdb"), own.display().to_string(), data.display().to_string());
        run(&["chown", &user, &own])?;
        let group = run(&["id", "-g", &user])?;
        let as_user = ["setpriv", "--reuid", &user, "--regid", group.trim(), "--clear-groups", "--"];
        let initdb = initdb.display().to_string();
        let make = [initdb.as_str(), "-D", &path, "-U", "berth", "--auth=trust", "--encoding=UTF8", "--locale=C"];
        run(&[as_user.as_slice(), &make].concat())?;
        let access = data.join("pg_hba.conf");
        let rules = std::fs::read_to_string(&access)? + "host all all 10.213.0.0/24 trust\n";
        std::fs::write(&access, rules)?;
        let mut server = Self { place, programs, data, user, log, child: None };
        server.resume().await?;
        let mut session = server.connect("postgres").await?;
        sqlx::raw_sql("CREATE DATABASE berth").execute(&mut session).await?;
        session.close().await?;
        Ok(server)
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://berth@{}:{PORT}/berth", self.place.address())
    }

    /// Where it stands in the network.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Starts it again and waits until it answers; does nothing when it runs.
    pub(crate) async fn resume(&mut self) -> anyhow::Result<()> {
        if self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return Ok(());
        }
        let group = run(&["id", "-g", &self.user])?;
        let mut command = inside(&self.place, &self.log)?;
        command.args(["setpriv", "--reuid", &self.user, "--regid", group.trim(), "--clear-groups", "--"]);
        command.arg(self.programs.join("postgres")).arg("-D").arg(&self.data).arg("-k").arg(&self.data);
        command.args(["-c", "listen_addresses=*", "-c", "max_connections=100"]).stdin(Stdio::null());
        command.current_dir(&self.data);
        self.child = Some(command.spawn().context("PostgreSQL cannot be started")?);
        let deadline = tokio::time::Instant::now() + UP;
        while let Err(why) = self.connect("postgres").await {
            let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || tokio::time::Instant::now() > deadline {
                bail!("PostgreSQL does not come up: {why}; see postgres.log");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends it at once, without a word to its clients: they find their connections broken, it finds its log to replay.
    pub(crate) fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), Signal::QUIT);
            let _ = child.wait();
        }
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let address = self.place.address().to_string();
        let options = PgConnectOptions::new_without_pgpass().host(&address).port(PORT).username("berth");
        options.database(database).connect().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
    }
}
