//! Sessions of a target: values that are gone when nobody has used them for a while. Decides when a session's time begins
//! anew: whenever it is read or written.

use super::{
    HandlerError,
    target::{MAX_KEY, MAX_VALUE, Target},
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// One session of a target. It lives for its TTL after its last use; a new one has what `--session-ttl` says.
#[derive(Debug)]
pub struct Session<'t, 'a, 'i> {
    pub(super) target: &'t mut Target<'a>,
    pub(super) id: &'i str,
}

impl Session<'_, '_, '_> {
    /// Returns the session's value, and lets its time begin anew; `None` when there is none, or its time was over.
    ///
    /// # Errors
    /// When the value does not read as a `T`, or the database fails.
    pub fn get<T: DeserializeOwned>(&mut self) -> Result<Option<T>, HandlerError> {
        let id = self.id;
        let text = self.target.run(|target| {
            target.store.session_touch(target.local, id, target.now_ms)?;
            target.store.session_get(target.local, id, target.now_ms)
        })?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|why| HandlerError::Refused(format!("the value of session {id}: {why}")))
    }

    /// Sets the session's value. A session that lives keeps its TTL.
    ///
    /// # Errors
    /// When id or value are too large (512 bytes, 1 MiB), or the database fails.
    pub fn set<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), HandlerError> {
        self.put(value, None)
    }

    /// Sets the session's value and its TTL.
    ///
    /// # Errors
    /// Like [`Session::set`].
    pub fn set_ttl<T: Serialize + ?Sized>(&mut self, value: &T, ttl: Duration) -> Result<(), HandlerError> {
        self.put(value, Some(millis(ttl)))
    }

    /// Lets the session's time begin anew. Returns whether there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn touch(&mut self) -> Result<bool, HandlerError> {
        let id = self.id;
        self.target.run(|target| target.store.session_touch(target.local, id, target.now_ms))
    }

    /// Ends the session. Returns whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn delete(&mut self) -> Result<bool, HandlerError> {
        let id = self.id;
        self.target.run(|target| target.store.session_delete(target.local, id, target.now_ms))
    }

    fn put<T: Serialize + ?Sized>(&mut self, value: &T, ttl_ms: Option<u64>) -> Result<(), HandlerError> {
        let id = self.id;
        let text = serde_json::to_string(value)
            .map_err(|why| HandlerError::Refused(format!("the value of session {id} cannot be written: {why}")))?;
        if id.is_empty() || id.len() > MAX_KEY || text.len() > MAX_VALUE {
            return Err(HandlerError::Refused(format!(
                "a session's id has 1 to {MAX_KEY} bytes, its value at most {MAX_VALUE}"
            )));
        }
        self.target.run(|target| {
            let default = millis(target.session_ttl);
            target.store.session_set(target.local, id, &text, ttl_ms, default, target.now_ms)
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
