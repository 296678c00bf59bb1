//! An errand: a change of tokens or settings, or only an entry in the audit for something that was done elsewhere. Says
//! whether it may be done, and what is to be written. Pure.

use super::{ControlError, plans::unpinned};
use crate::domain::{Batch, By, Edit, Model, Setting};
use serde::Serialize;
use shared::TargetId;

/// What an operator wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Errand {
    /// What is changed; none when it only stands in the audit.
    pub(crate) edit: Option<Edit>,
    /// What it is called in the audit; none when nobody needs to know it was done.
    pub(crate) action: Option<&'static str>,
    /// What it is done to.
    pub(crate) subject: String,
    /// On whose word.
    pub(crate) by: By,
    /// The target that is pinned no more by it.
    pub(crate) unpins: Option<TargetId>,
    /// Whether it ends the canary: no target is named for it any more.
    pub(crate) unnames: bool,
    /// The answer, as JSON, in case it is asked for again.
    answer: serde_json::Value,
}

impl Errand {
    /// Makes an errand that is answered with `answer` and its revision.
    pub(crate) fn new(
        action: &'static str,
        subject: impl Into<String>,
        edit: Option<Edit>,
        by: By,
        answer: &impl Serialize,
    ) -> Self {
        let answer = serde_json::to_value(answer).unwrap_or_default();
        Self { edit, action: Some(action), subject: subject.into(), by, unpins: None, unnames: false, answer }
    }

    /// Makes an errand that leaves no entry in the audit: the cluster remembers something for itself.
    pub(crate) fn note(edit: Edit, by: By) -> Self {
        Self {
            edit: Some(edit),
            action: None,
            subject: String::new(),
            by,
            unpins: None,
            unnames: false,
            answer: serde_json::Value::Null,
        }
    }

    /// Ends a target's pin.
    pub(crate) fn unpins(self, target: TargetId) -> Self {
        Self { unpins: Some(target), ..self }
    }

    /// Ends the canary: no target is named for it any more.
    pub(crate) fn unnames(self) -> Self {
        Self { unnames: true, ..self }
    }

    /// Adds what is to be written. The audit says what a setting was and is, before the reason.
    pub(super) fn board(&self, model: &Model, batch: &mut Batch) {
        batch.edits.extend(self.edit.clone());
        batch.writes.extend(self.unpins.as_ref().and_then(|target| unpinned(model, target)));
        if self.unnames {
            batch.writes.extend(model.canary_unnamed());
        }
        let Some(action) = self.action else { return };
        let mut entry = self.by.audit(action, self.subject.as_str());
        if let Some((setting, after)) = self.edit.as_ref().and_then(of_setting) {
            let before = setting.text(model.setting(setting.name));
            entry.reason = format!("from {before} to {after}: {}", entry.reason);
        }
        batch.audits.push(entry);
        batch.kept.extend(self.by.keep(&self.answer));
    }
}

/// Returns the setting that an edit changes, and the value it gets.
fn of_setting(edit: &Edit) -> Option<(Setting, &str)> {
    match edit {
        Edit::Set(record) => Some((Setting::named(&record.name)?, &record.value)),
        Edit::Clear(name) => Setting::named(name).map(|setting| (setting, setting.text(None))),
        _ => None,
    }
}

/// Says whether an errand may be done after what stands in `batch` already.
///
/// # Errors
/// Why not.
pub(super) fn check(errand: &Errand, model: &Model, batch: &Batch, max_tokens: usize) -> Result<(), ControlError> {
    if let Some(target) = errand.unpins.as_ref().filter(|target| unpinned(model, target).is_none()) {
        let known = model.owner(target).is_some();
        let target = target.clone();
        return Err(if known { ControlError::NotPinned(target) } else { ControlError::UnknownTarget(target) });
    }
    if errand.unnames && !model.canary().runs() {
        return Err(ControlError::NoCanary);
    }
    match &errand.edit {
        Some(Edit::AddToken(new)) => {
            if model.tokens().any(|token| token.name == new.name) {
                return Err(ControlError::TokenExists(new.name.clone()));
            }
            let coming = batch.edits.iter().filter(|edit| matches!(edit, Edit::AddToken(_))).count();
            if model.tokens().len() + coming >= max_tokens {
                return Err(ControlError::TooManyTokens(model.tokens().len()));
            }
            Ok(())
        }
        Some(Edit::RemoveToken(id)) if model.token(id).is_none() => Err(ControlError::UnknownToken(id.clone())),
        _ => Ok(()),
    }
}
