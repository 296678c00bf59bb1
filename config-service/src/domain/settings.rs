//! The settings that an operator changes while the cluster runs: which there are, what their values look like, what is in
//! force. What is needed to start is a flag, not a setting.

use super::SettingRecord;
use serde_json::Value;
use shared::{settings::duration, wire::admin::SettingStatus};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `true` or `false`.
    Switch,
    /// A time like `90days`, at least this.
    Time(Duration),
    /// `at-once`, `by-hand`, or a time.
    When,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from 1 to this.
    Count(u32),
}

/// When what a dead pod had is restored from its replica (OWNERSHIP.md, Data 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestoreWhen {
    /// As soon as it has other owners.
    #[default]
    AtOnce,
    /// So long after that.
    After(Duration),
    /// When an operator says so.
    ByHand,
}

impl RestoreWhen {
    /// Reads the setting's value.
    fn of(text: &str) -> Result<Self, String> {
        match text {
            AT_ONCE => Ok(Self::AtOnce),
            BY_HAND => Ok(Self::ByHand),
            text => duration(text).map(Self::After),
        }
    }
}

const AT_ONCE: &str = "at-once";
const BY_HAND: &str = "by-hand";

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    form: Form,
    default: &'static str,
}

const AUTOSCALER_MAX: Setting = Setting {
    name: "autoscaler-max",
    help: "The most pods that the autoscaler asks for",
    form: Form::Count(10_000),
    default: "10",
};
const AUTOSCALER_MIN: Setting = Setting {
    name: "autoscaler-min",
    help: "The fewest pods that the autoscaler leaves",
    form: Form::Count(10_000),
    default: "1",
};
const AUTOSCALER_MODE: Setting = Setting {
    name: "autoscaler-mode",
    help: "Whether the autoscaler only says how many pods there should be (recommend), sees to it (act), or does nothing (off)",
    form: Form::Word(&["off", "recommend", "act"]),
    default: "recommend",
};
const AUDIT: Setting = Setting {
    name: "audit-retention",
    help: "How long entries of the audit are kept",
    form: Form::Time(DAY),
    default: "365days",
};
const HISTORY: Setting = Setting {
    name: "history-retention",
    help: "How long it is remembered who owned a target, from the end of the ownership on",
    form: Form::Time(DAY),
    default: "90days",
};
const ANSWERS: Setting = Setting {
    name: "idempotency-retention",
    help: "How long the answer to a request with an Idempotency-Key is kept",
    form: Form::Time(MINUTE),
    default: "1day",
};
const MOVES: Setting = Setting {
    name: "move-retention",
    help: "How long moves are kept after their end",
    form: Form::Time(DAY),
    default: "30days",
};
const PAUSED: Setting = Setting {
    name: "placement-paused",
    help: "Whether targets that have no home yet are refused one; their events are parked and then refused",
    form: Form::Switch,
    default: "false",
};
const REBALANCE_PAUSED: Setting = Setting {
    name: "rebalance-paused",
    help: "Whether the leader moves nothing by itself for an even share; drains, plans and failovers are not concerned",
    form: Form::Switch,
    default: "false",
};
const READ_ONLY: Setting = Setting {
    name: "read-only",
    help: "Whether the admin API refuses every change but to this setting; pods and routers are not concerned",
    form: Form::Switch,
    default: "false",
};

const RESTORE: Setting = Setting {
    name: "restore",
    help: "When targets of a dead pod are restored from its replica: at-once, by-hand, or a time after they got other owners",
    form: Form::When,
    default: AT_ONCE,
};

/// All settings, by name.
pub const SETTINGS: [Setting; 11] = [
    AUDIT,
    AUTOSCALER_MAX,
    AUTOSCALER_MIN,
    AUTOSCALER_MODE,
    HISTORY,
    ANSWERS,
    MOVES,
    PAUSED,
    READ_ONLY,
    REBALANCE_PAUSED,
    RESTORE,
];

impl Setting {
    /// Returns the setting of that name.
    pub fn named(name: &str) -> Option<Self> {
        SETTINGS.into_iter().find(|setting| setting.name == name)
    }

    /// Returns whether it is `true` or `false`.
    pub fn is_switch(&self) -> bool {
        self.form == Form::Switch
    }

    /// Returns a value as it is kept.
    ///
    /// # Errors
    /// A sentence that says what the value looks like.
    pub fn check(&self, value: &Value) -> Result<String, String> {
        match (self.form, value) {
            (Form::Switch, Value::Bool(on)) => Ok(on.to_string()),
            (Form::Switch, _) => Err(format!("{} is true or false", self.name)),
            (Form::Time(least), Value::String(text)) => {
                let time = duration(text).map_err(|why| format!("{}: {why}", self.name))?;
                if (least..=CENTURY).contains(&time) {
                    return Ok(text.clone());
                }
                Err(format!("{} is a time from {} s to 100 years", self.name, least.as_secs()))
            }
            (Form::When, Value::String(text)) => match RestoreWhen::of(text) {
                Ok(RestoreWhen::After(time)) if time > CENTURY => Err(format!("{} is at most 100 years", self.name)),
                Ok(_) => Ok(text.clone()),
                Err(why) => Err(format!("{} is {AT_ONCE}, {BY_HAND} or a time: {why}", self.name)),
            },
            (Form::Word(words), Value::String(text)) if words.contains(&text.as_str()) => Ok(text.clone()),
            (Form::Word(words), _) => Err(format!("{} is one of {}", self.name, words.join(", "))),
            (Form::Count(most), value) => match value.as_u64() {
                Some(count) if (1..=u64::from(most)).contains(&count) => Ok(count.to_string()),
                _ => Err(format!("{} is a number from 1 to {most}", self.name)),
            },
            (Form::Time(_) | Form::When, _) => Err(format!("{} is a text like {:?}", self.name, self.default)),
        }
    }

    /// Returns a kept value as it is shown.
    pub fn shown(&self, text: &str) -> Value {
        match self.form {
            Form::Switch => Value::Bool(text == "true"),
            Form::Count(_) => text.parse::<u32>().map_or(Value::Null, Value::from),
            Form::Time(_) | Form::When | Form::Word(_) => Value::String(text.to_owned()),
        }
    }

    /// Returns what is in force when nobody has set it.
    pub fn default(&self) -> Value {
        self.shown(self.default)
    }

    /// Returns what is in force, as it is kept.
    pub fn text<'a>(&self, set: Option<&'a SettingRecord>) -> &'a str {
        set.map_or(self.default, |set| &set.value)
    }

    /// Returns the setting as it is shown to operators.
    pub fn status(&self, set: Option<&SettingRecord>) -> SettingStatus {
        SettingStatus {
            name: self.name.to_owned(),
            value: self.shown(self.text(set)),
            default: self.default(),
            help: self.help.to_owned(),
            set_by: set.map(|set| set.actor.clone()),
            reason: set.map(|set| set.reason.clone()),
            set_ms: set.map(|set| set.at_ms),
        }
    }
}

/// What the autoscaler may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoscalerValues {
    /// `off`, `recommend` or `act`.
    pub mode: String,
    /// The fewest pods.
    pub min: u32,
    /// The most pods.
    pub max: u32,
}

/// The values in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// How long entries of the audit are kept.
    pub audit: Duration,
    /// How long ownerships are remembered after their end.
    pub history: Duration,
    /// How long answers are kept under their keys.
    pub answers: Duration,
    /// How long moves are kept after their end.
    pub moves: Duration,
    /// Whether nothing new is placed.
    pub paused: bool,
    /// Who forbade changes and why; none when they are allowed.
    pub read_only: Option<(String, String)>,
    /// When replicas are restored.
    pub restore: RestoreWhen,
    /// What the autoscaler may do.
    pub autoscaler: AutoscalerValues,
    /// Who has paused the rebalancer and why; none when it is not paused.
    pub rebalance_paused: Option<(String, String)>,
}

impl Values {
    /// Returns what is in force when `set` was set.
    pub fn new<'a>(set: impl Iterator<Item = &'a SettingRecord>) -> Self {
        let set: Vec<_> = set.collect();
        let record = |setting: &Setting| set.iter().copied().find(|record| record.name == setting.name);
        let text = |setting: &Setting| setting.text(record(setting));
        let time = |setting: &Setting| {
            // What cannot be read was written by another version: the default is what this one knows.
            duration(text(setting)).or_else(|_| duration(setting.default)).unwrap_or(DAY)
        };
        let on = |setting: &Setting| text(setting) == "true";
        let count = |setting: &Setting| text(setting).parse().unwrap_or(1);
        let who = |setting: &Setting| {
            record(setting).filter(|_| on(setting)).map(|record| (record.actor.clone(), record.reason.clone()))
        };
        Self {
            audit: time(&AUDIT),
            history: time(&HISTORY),
            answers: time(&ANSWERS),
            moves: time(&MOVES),
            paused: on(&PAUSED),
            read_only: who(&READ_ONLY),
            rebalance_paused: who(&REBALANCE_PAUSED),
            restore: RestoreWhen::of(text(&RESTORE)).unwrap_or_default(),
            autoscaler: AutoscalerValues {
                mode: text(&AUTOSCALER_MODE).to_owned(),
                min: count(&AUTOSCALER_MIN),
                max: count(&AUTOSCALER_MAX),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_defaults_are_values_that_could_be_set() {
        for setting in SETTINGS {
            assert_eq!(setting.check(&setting.default()).as_deref(), Ok(setting.default), "{}", setting.name);
        }
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.name));
        let values = Values::new([].iter());
        assert!(!values.paused && values.read_only.is_none() && values.audit > values.history);
    }

    #[test]
    fn a_value_of_another_form_is_refused_with_what_it_should_be() {
        let refused = |setting: Setting, value| setting.check(&value).expect_err("refused");
        assert_eq!(refused(READ_ONLY, json!("true")), "read-only is true or false");
        assert_eq!(refused(AUDIT, json!("1s")), "audit-retention is a time from 86400 s to 100 years");
        assert!(refused(AUDIT, json!("soon")).contains("6s or 250ms"));
        assert!(refused(AUDIT, json!(7)).contains("365days"));
        assert!(refused(AUTOSCALER_MODE, json!("on")).contains("off, recommend, act"));
        assert!(refused(AUTOSCALER_MAX, json!(0)).contains("from 1 to 10000"));
        assert_eq!(AUTOSCALER_MIN.check(&json!(3)).as_deref(), Ok("3"));
        assert!(refused(RESTORE, json!("later")).starts_with("restore is at-once, by-hand or a time"));
        assert_eq!(RESTORE.check(&json!("30s")).as_deref(), Ok("30s"));
        assert_eq!(RestoreWhen::of("30s"), Ok(RestoreWhen::After(Duration::from_secs(30))));
    }
}
