//! The contract with handlers over HTTP, version "1": what is asked, what may be answered, and how a wrong answer is
//! named. Pure: bytes in, types out. Knows no connection and no database.

mod answer;
mod ask;
mod describe;
mod place;

pub(crate) use answer::{parse as parse_answer, parse_query};
pub(crate) use ask::{Access, ask};
pub(crate) use describe::{Description, Unusable, parse as parse_description};

/// The version of the contract that this gateway speaks.
pub(crate) const API: &str = "1";
/// Where a handler says what it is.
pub(crate) const DESCRIBE: &str = "/v1/describe";
/// Where a handler takes events.
pub(crate) const EVENTS: &str = "/v1/events";

#[cfg(test)]
mod tests;
