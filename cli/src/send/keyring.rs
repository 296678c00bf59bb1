//! Where `send` finds the secret to sign with: what was said on the command line, else what `up` made. Knows which of
//! them `up` does not have, and says so instead of signing with something else.

use crate::{
    exit::{Code, Failure},
    home::{Cluster, Home},
    secrets::Made,
};
use shared::settings;

/// The secrets of a data folder.
#[derive(Debug)]
pub(crate) struct Keyring {
    folder: String,
    made: Option<Made>,
    cluster: Option<Cluster>,
}

impl Keyring {
    /// Reads what a data folder has.
    ///
    /// # Errors
    /// When its files are damaged or belong to another user.
    pub(crate) fn open(home: &Home) -> Result<Self, Failure> {
        let folder = home.path().display().to_string();
        Ok(Self { folder, made: Made::load(home)?, cluster: home.cluster()? })
    }

    /// Makes a keyring of made secrets only.
    pub(crate) const fn of(made: Made) -> Self {
        Self { folder: String::new(), made: Some(made), cluster: None }
    }

    /// Returns what is recorded of the folder's cluster.
    pub(crate) const fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Returns the secret to sign with: `said` when it was, else the made one. `setting` is the name of http-service's
    /// setting for it, `flag` the one that says it here.
    ///
    /// # Errors
    /// When there is none, or the cluster was started with another one.
    pub(crate) fn secret(
        &self,
        said: Option<String>,
        setting: &str,
        flag: &str,
        pick: impl Fn(&Made) -> &str,
    ) -> Result<String, Failure> {
        if let Some(said) = said {
            return Ok(said);
        }
        let folder = &self.folder;
        if self.cluster.as_ref().is_some_and(|cluster| cluster.gave(setting)) {
            let text =
                format!("the cluster in {folder} was started with your own {setting}; give the secret with {flag}");
            return Err(Failure::error(text));
        }
        self.made.as_ref().map(|made| pick(made).to_owned()).ok_or_else(|| {
            let text = format!(
                "no secrets in {folder}: start berth up, name its folder with --data, or give the secret with {flag}"
            );
            Failure::new(Code::Usage, text)
        })
    }
}

/// Returns the first value of a list of secrets, the one in use.
pub(crate) fn first(said: Option<&str>) -> Option<String> {
    settings::list(said?).next().map(str::to_owned)
}

/// Returns the secret of `name` from what was said: `name=secret,…` or, without a name, the secret itself.
pub(crate) fn named(said: Option<&str>, name: &str, whole: impl Fn(&str) -> bool) -> Option<String> {
    let said = said.map(str::trim).filter(|said| !said.is_empty())?;
    if whole(said) {
        return first(Some(said));
    }
    settings::list(said)
        .find_map(|part| part.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value.to_owned())
}
