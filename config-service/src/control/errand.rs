//! An errand: a change of tokens or settings, or only an entry in the audit for something that was done elsewhere. Says
//! whether it may be done, and what is to be written. Pure.

use super::ControlError;
use crate::domain::{Batch, By, Edit, Model, Setting};
use serde::Serialize;

/// What an operator wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Errand {
    /// What is changed; none when it only stands in the audit.
    pub(crate) edit: Option<Edit>,
    /// What it is called in the audit.
    pub(crate) action: &'static str,
    /// What it is done to.
    pub(crate) subject: String,
    /// On whose word.
    pub(crate) by: By,
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
        Self { edit, action, subject: subject.into(), by, answer }
    }

    /// Adds what is to be written. The audit says what a setting was and is, before the reason.
    pub(super) fn board(&self, model: &Model, batch: &mut Batch) {
        let mut entry = self.by.audit(self.action, self.subject.as_str());
        if let Some((setting, after)) = self.edit.as_ref().and_then(of_setting) {
            let before = setting.text(model.setting(setting.name));
            entry.reason = format!("from {before} to {after}: {}", entry.reason);
        }
        batch.edits.extend(self.edit.clone());
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
