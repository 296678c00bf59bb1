//! Reading verified JSON strictly and without a tree: only the fields that routing needs, borrowed from the body.

use super::verdict::Reason;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, marker::PhantomData};

/// The deepest nesting of a body. What handlers read bodies with stops at the same depth.
pub const MAX_DEPTH: usize = 127;

/// Checks that a body is UTF-8 and nests at most [`MAX_DEPTH`] deep.
pub(super) fn text(body: &[u8]) -> Result<&str, Reason> {
    let text = std::str::from_utf8(body).map_err(|_| Reason::NotUtf8)?;
    if depth_exceeds(body, MAX_DEPTH) { Err(Reason::TooDeep) } else { Ok(text) }
}

/// Reads an object's fields. A field of `T` that stands twice is an error.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Reason> {
    serde_json::from_str::<Obj<T>>(text).map(|object| object.0).map_err(|_| Reason::MalformedBody)
}

fn depth_exceeds(body: &[u8], most: usize) -> bool {
    // Fewer openings than the limit cannot nest deeper; this count runs over whole words at a time.
    if body.iter().filter(|b| matches!(b, b'{' | b'[')).count() <= most {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A `T` that is written as an object. A derived reader would take an array of its fields' values as well.
#[derive(Debug, Default)]
pub(super) struct Obj<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Obj<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Only<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
            type Value = Obj<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Obj<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Obj)
            }
        }
        deserializer.deserialize_map(Only(PhantomData))
    }
}

/// An id: a string, or a whole number as written, so that one beyond 2^53 keeps all its digits.
#[derive(Debug, Clone)]
pub(super) struct Id<'a>(Cow<'a, str>);

impl Id<'_> {
    /// Returns the id; an empty one counts as none.
    pub(super) fn get(&self) -> Option<&str> {
        Some(self.0.as_ref()).filter(|id| !id.is_empty())
    }
}

/// Returns the id, when there is one that is not empty.
pub(super) fn id<'a>(id: &'a Option<Id<'_>>) -> Option<&'a str> {
    id.as_ref().and_then(Id::get)
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = Id<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id: a string or a whole number")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Id<'de>, E> {
                Ok(Id(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id<'de>, E> {
                Ok(Id(Cow::Owned(text.to_owned())))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id<'de>, E> {
                Ok(Id(Cow::Owned(number.to_string())))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id<'de>, E> {
                Ok(Id(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(AsText)
    }
}

/// An object of which only the id counts.
#[derive(Debug, Deserialize)]
pub(super) struct Ref<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Id<'a>>,
}

/// Returns the id of an object that has one.
pub(super) fn ref_id<'a>(object: &'a Option<Obj<Ref<'_>>>) -> Option<&'a str> {
    object.as_ref().and_then(|object| id(&object.0.id))
}

/// Returns the scalar at a JSON pointer (RFC 6901), given as its parts, as text: a string's content, a number or a
/// boolean as written. `None` when nothing, `null`, an object or an array is there.
pub(super) fn at_pointer(text: &str, path: &[String]) -> Result<Option<String>, Reason> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Walk(path).deserialize(&mut reader).and_then(|found| reader.end().map(|()| found));
    found.map_err(|_| Reason::MalformedBody)
}

/// Walks down a path. A key of the path that stands twice in its object is an error.
struct Walk<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if !self.0.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw).map(Some).map_err(de::Error::custom),
            Some(b'{' | b'[' | b'n') | None => Ok(None),
            Some(_) => Ok(Some(raw.to_owned())),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut seen, mut found) = (false, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if Some(key.as_ref()) != self.0.first().map(String::as_str) {
                map.next_value::<IgnoredAny>()?;
            } else if seen {
                return Err(de::Error::custom("a key of the pointer stands twice"));
            } else {
                (seen, found) = (true, map.next_value_seed(Walk(&self.0[1..]))?);
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0.first().and_then(|part| part.parse::<usize>().ok());
        let (mut at, mut found) = (0, None);
        loop {
            if Some(at) == wanted {
                match seq.next_element_seed(Walk(&self.0[1..]))? {
                    Some(value) => found = value,
                    None => return Ok(found),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
