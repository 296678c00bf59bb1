//! `berth gateway prepare`: carries out what [`super::decide`] decides. Ends with the folder's lock given back.

use super::{
    BootError,
    decide::{Begin, Copies, Facts, Of, begin, hindrance},
    holder,
    note::{self, LineageNote},
    steps,
    wait::Plane,
};
use crate::{
    Options,
    folder::{Folder, kept::Identity},
    replica::{Base, Begun, Lineage, Litestream, ReplicaError, ReplicaStore, Seal, restore},
    store::{self, Thorough, life, verify},
};
use shared::{Clock, Epoch, Incarnation, clock::BootClock, shutdown::Shutdown, wire::control::LastLife};
use std::{
    fmt,
    io::{self, Write},
    time::Duration,
};
use tokio::time::Instant;

/// How long config-service and the store may take to say something of a lineage that could be gone on with without them.
const SHORTLY: Duration = Duration::from_secs(3);

/// The time between two lines about a restore.
const TELL: Duration = Duration::from_secs(2);

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prepared {
    /// Nothing: replication is off.
    Off,
    /// The lineage goes on.
    Continues(Lineage),
    /// Another one began.
    Begun {
        /// It.
        lineage: Lineage,
        /// With what.
        with: &'static str,
        /// Why the one before was not gone on with.
        since: &'static str,
    },
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("replication is off, nothing to prepare"),
            Self::Continues(lineage) => write!(f, "prepared: goes on with {lineage}"),
            Self::Begun { lineage, with, since } => write!(f, "prepared: begins {lineage} with {with}, since {since}"),
        }
    }
}

/// Prepares the data folder of a pod. `reaped`: whoever started this has seen the pod's last process end.
///
/// # Errors
/// [`BootError`]; it can be tried again.
pub(super) async fn prepare(options: &Options, reaped: bool, stop: &Shutdown) -> Result<Prepared, BootError> {
    if !options.replica.is_on() {
        return Ok(Prepared::Off);
    }
    let base = options.replica.base()?;
    let words = base.to_string();
    steps::socket(options, &options.data)?;
    Litestream::new(&options.replica).check().await?;
    let store = ReplicaStore::open(&options.replica)?;
    let plane = Plane::new(options)?;
    let folder = Folder::take(&options.data, &options.pod, options.pod_uid.as_deref())?;
    let (now, note) = (folder.kept().by().clone(), note::read(folder.path()));
    let db = life::look(folder.path()).unwrap_or_else(|why| {
        tracing::warn!(error = %why, "the database cannot be read, and is taken for lost");
        None
    });
    let asked = note.as_ref().filter(|note| note.base == words && note.lineage.pod == now.pod);
    let (life, copies) = tokio::join!(
        tokio::time::timeout(SHORTLY, plane.life()),
        tokio::time::timeout(SHORTLY, async { Some(copies_of(&store, &asked?.lineage).await) }),
    );
    let (life, copies) = (life.ok().and_then(Result::ok), copies.ok().flatten().and_then(Result::ok));
    let facts = Facts {
        now: &now,
        base: &words,
        note: note.as_ref(),
        db: db.as_ref(),
        txid: steps::position(folder.path()),
        life: life.as_ref(),
        copies,
    };
    let work = Work { options, base: &base, store: &store, folder: &folder };
    if let Some(since) = hindrance(&facts) {
        let life = plane.wait(&facts, reaped, stop).await?;
        let facts = Facts { life: Some(&life), ..facts };
        if hindrance(&facts).is_some() {
            return work.begin(&facts, &life, since).await;
        }
    }
    work.go_on(&facts)
}

async fn copies_of(store: &ReplicaStore, lineage: &Lineage) -> Result<Copies, ReplicaError> {
    let (sealed, listing) = tokio::try_join!(store.sealed(lineage), store.list(lineage))?;
    Ok(Copies { sealed: sealed.is_some(), last_txid: listing.last_txid })
}

/// What the steps work with.
#[derive(Debug, Clone, Copy)]
struct Work<'a> {
    options: &'a Options,
    base: &'a Base,
    store: &'a ReplicaStore,
    folder: &'a Folder,
}

impl Work<'_> {
    fn go_on(&self, facts: &Facts<'_>) -> Result<Prepared, BootError> {
        let Some(note) = facts.note else { return Err(BootError::Unprepared("there is no lineage".to_owned())) };
        if note.by != *facts.now {
            note::write(self.folder.path(), &LineageNote { by: facts.now.clone(), ..note.clone() })?;
        }
        steps::empty_scratch(self.folder.path())?;
        steps::write_config(self.options, self.folder.path(), self.base, &note.lineage)?;
        Ok(Prepared::Continues(note.lineage.clone()))
    }

    /// Begins another lineage. Until `lineage.json` is written the gateway does not start; whatever ends this before then, it
    /// can be done again.
    async fn begin(&self, facts: &Facts<'_>, life: &LastLife, since: &'static str) -> Result<Prepared, BootError> {
        let path = self.folder.path();
        // Nobody writes to the old path any more, and what it held last is uploaded.
        let lock = holder::take(path).await?;
        let facts = Facts { txid: steps::position(path), ..*facts };
        let scratch = steps::empty_scratch(path)?;
        let own = self.sealed(facts.db.map(|db| &db.incarnation), facts.now, life).await?;
        let last = self.sealed(life.incarnation.as_ref(), facts.now, life).await?;
        let copies = |found: &Option<(Lineage, Copies)>| found.as_ref().map(|(_, copies)| *copies);
        let is_whole = facts.db.is_some() && self.is_whole().await;
        let decided = begin(&facts, life, copies(&own), copies(&last), is_whole);
        let source = match decided {
            Begin::Restore(Of::Last) => last,
            _ => own.or(last),
        };
        let previous = source.map(|(lineage, _)| lineage);
        let with = match (decided, &previous) {
            (Begin::Restore(_), Some(previous)) => {
                let restored = scratch.join(store::FILE);
                self.restore(previous, &restored).await?;
                steps::put_in_place(path, &restored)?;
                "what was restored of the last one"
            }
            (Begin::Keep | Begin::Finish, _) => "the database that is here",
            _ => {
                steps::put_aside(path, BootClock.wall_ms())?;
                "an empty database"
            }
        };
        let incarnation = match facts.db {
            Some(db) if decided == Begin::Finish => db.incarnation.clone(),
            _ => life::begin(path, BootClock.wall_ms()).map_err(BootError::store(path))?,
        };
        self.folder.kept().drop_lease().map_err(BootError::io(path))?;
        steps::reset_litestream(path)?;
        let lineage = Lineage { generation: life.generation, pod: facts.now.pod.clone(), incarnation };
        let previous = previous.filter(|previous| previous.incarnation != lineage.incarnation);
        let empty = decided.is_empty(facts.db);
        let begun = Begun { empty, ..Begun::of(&lineage, previous.as_ref(), BootClock.wall_ms()) };
        self.store.begin(&begun).await?;
        steps::write_config(self.options, path, self.base, &lineage)?;
        let base = facts.base.to_owned();
        let note = LineageNote { lineage: lineage.clone(), previous, by: facts.now.clone(), base, over: false };
        note::write(path, &note)?;
        drop(lock);
        Ok(Prepared::Begun { lineage, with, since })
    }

    /// Finds the lineage of a life, seals it, and then lists it: what is acknowledged is in that list. The one of a life that was
    /// never written to, and that is in force, stays open.
    async fn sealed(
        &self,
        incarnation: Option<&Incarnation>,
        by: &Identity,
        life: &LastLife,
    ) -> Result<Option<(Lineage, Copies)>, BootError> {
        let Some(incarnation) = incarnation else { return Ok(None) };
        let Some(lineage) = self.store.find(&by.pod, incarnation).await? else { return Ok(None) };
        let before = copies_of(self.store, &lineage).await?;
        let is_over = life.buried && life.incarnation.as_ref() == Some(incarnation);
        if before.last_txid.is_none() && !is_over {
            return Ok(Some((lineage, before)));
        }
        let seal = Seal { epoch: Epoch(0), by: by.pod.clone(), at_ms: BootClock.wall_ms() };
        self.store.seal(&lineage, &seal).await?;
        let copies = copies_of(self.store, &lineage).await?;
        Ok(Some((lineage, copies)))
    }

    async fn is_whole(&self) -> bool {
        let file = self.folder.path().join(store::FILE);
        let checked = tokio::task::spawn_blocking(move || verify(&file, Thorough::Quick)).await;
        match checked {
            Ok(Ok(())) => true,
            Ok(Err(why)) => {
                tracing::warn!(error = %why, "the database has not passed a quick check, and is taken for lost");
                false
            }
            Err(_) => false,
        }
    }

    /// Restores, and says on standard output how far it is: whoever waits for a large one sees that it goes on.
    async fn restore(&self, previous: &Lineage, to: &std::path::Path) -> Result<(), BootError> {
        let (pod, files) = (&self.options.pod, self.store.list(previous).await?.bytes);
        let say = |text: String| {
            // Nobody may listen.
            let _ = writeln!(io::stdout(), "{pod}: restoring {previous}: {text}");
        };
        say(format!("its files have {files} bytes"));
        let mut said = Instant::now();
        let restored = restore(&self.options.replica, previous, to, |bytes| {
            if said.elapsed() >= TELL {
                said = Instant::now();
                say(format!("{bytes} bytes are written, its files have {files}"));
            }
        });
        let pod = pod.clone();
        let restored = restored.await.map_err(|source| BootError::Restore { pod, source })?;
        tracing::info!(lineage = %previous, bytes = restored.bytes, txid = restored.txid, by = %restored.by, took = ?restored.took, "restored");
        if let Err(why) = self.store.drilled(previous, BootClock.wall_ms()).await {
            tracing::warn!(error = %why, "cannot note in the replica's store that it was restored");
        }
        Ok(())
    }
}
