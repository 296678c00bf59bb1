//! Says where a JSON value differs from the shape it should have, every place with its path. Pure; the shapes themselves
//! are the judge's.

use serde_json::Value;
use std::fmt;

/// What a value should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// A whole number that is not negative.
    Whole,
    /// True or false.
    Flag,
    /// A list of values of one shape.
    List(&'static Shape),
    /// An object whose names are free and whose values have one shape.
    Map(&'static Shape),
    /// An object with these fields and no other; null counts as left out.
    Closed(&'static [Field]),
    /// An object with these fields; others do not matter.
    Open(&'static [Field]),
    /// A list or an object, of anything.
    ListOrMap,
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) shape: Shape,
    /// Whether it must be there.
    pub(super) needed: bool,
}

/// Makes a field that may be left out.
pub(super) const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, needed: false }
}

/// Makes a field that must be there.
pub(super) const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, needed: true }
}

/// A place that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Where, for example `timers[0].at`; empty for the whole.
    pub(super) path: String,
    /// What is there.
    pub(super) found: String,
    /// What should be.
    pub(super) wanted: String,
}

impl Complaint {
    /// Makes a complaint.
    pub(super) fn new(path: impl Into<String>, found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { path: path.into(), found: found.into(), wanted: wanted.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the answer" } else { &self.path };
        write!(f, "{path} is {}, wanted {}", self.found, self.wanted)
    }
}

/// Lists where `value` differs from `shape`.
pub(super) fn differences(shape: &Shape, value: &Value) -> Vec<Complaint> {
    let mut found = Vec::new();
    walk(shape, value, "", &mut found);
    found
}

fn walk(shape: &Shape, value: &Value, path: &str, out: &mut Vec<Complaint>) {
    let mut fits = |fits: bool, wanted: &str| {
        if !fits {
            out.push(Complaint::new(path, describe(value), wanted));
        }
    };
    match shape {
        Shape::Any => {}
        Shape::Text => fits(value.is_string(), "a text"),
        Shape::Whole => fits(whole(value).is_some(), "a whole number that is not negative"),
        Shape::Flag => fits(value.is_boolean(), "true or false"),
        Shape::ListOrMap => fits(value.is_array() || value.is_object(), "a list or an object"),
        Shape::List(inner) => match value.as_array() {
            Some(items) => {
                items.iter().enumerate().for_each(|(n, item)| walk(inner, item, &format!("{path}[{n}]"), out));
            }
            None => fits(false, "a list"),
        },
        Shape::Map(inner) => match value.as_object() {
            Some(map) => map.iter().for_each(|(name, item)| walk(inner, item, &below(path, name), out)),
            None => fits(false, "an object"),
        },
        Shape::Closed(fields) | Shape::Open(fields) => match value.as_object() {
            Some(map) => {
                for field in *fields {
                    match map.get(field.name).filter(|item| !item.is_null() || matches!(field.shape, Shape::Any)) {
                        Some(item) => walk(&field.shape, item, &below(path, field.name), out),
                        None if field.needed => {
                            out.push(Complaint::new(below(path, field.name), "missing", kind(&field.shape)));
                        }
                        None => {}
                    }
                }
                if matches!(shape, Shape::Closed(_)) {
                    unknown(fields, map.keys(), path, out);
                }
            }
            None => fits(false, "an object"),
        },
    }
}

/// Reads a whole number; languages without integers write 5.0 for 5.
pub(super) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
        (0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
    })
}

fn unknown<'a>(fields: &[Field], names: impl Iterator<Item = &'a String>, path: &str, out: &mut Vec<Complaint>) {
    let known: Vec<_> = fields.iter().map(|field| field.name).collect();
    for name in names.filter(|name| !known.contains(&name.as_str())) {
        out.push(Complaint::new(
            below(path, name),
            "a field Berth does not know",
            format!("one of {}", known.join(", ")),
        ));
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

const fn kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::Any => "a value",
        Shape::Text => "a text",
        Shape::Whole => "a whole number that is not negative",
        Shape::Flag => "true or false",
        Shape::List(_) => "a list",
        Shape::Map(_) | Shape::Closed(_) | Shape::Open(_) => "an object",
        Shape::ListOrMap => "a list or an object",
    }
}

/// The longest piece of somebody's value that is repeated, in characters.
const SHOWN: usize = 40;

/// Names a value in words.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text \"{}\"", cut(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Returns the beginning of a text that may be long.
pub(super) fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ITEM: Shape = Shape::Closed(&[must("id", Shape::Text), may("at", Shape::Whole)]);
    const WHOLE: Shape = Shape::Open(&[
        may("items", Shape::List(&ITEM)),
        may("names", Shape::Map(&Shape::Text)),
        may("said", Shape::Flag),
        may("params", Shape::ListOrMap),
    ]);

    #[test]
    fn every_difference_is_named_with_its_place() {
        let value = json!({
            "items": [{"id": "a", "at": 1}, {"at": -1, "att": 2}, 3],
            "names": {"x": 1, "y": "fine"}, "said": null, "params": [], "free": 1,
        });
        let found: Vec<_> = differences(&WHOLE, &value).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "items[1].id is missing, wanted a text",
                "items[1].at is the number -1, wanted a whole number that is not negative",
                "items[1].att is a field Berth does not know, wanted one of id, at",
                "items[2] is the number 3, wanted an object",
                "names.x is the number 1, wanted a text",
            ]
        );
        let found: Vec<_> = differences(&WHOLE, &json!(["x"]))
            .iter()
            .chain(&differences(&WHOLE, &json!({"params": 1, "said": 0})))
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_long_text_is_not_repeated_whole() {
        assert!(describe(&json!("é".repeat(5_000))).chars().count() < 60);
    }
}
