//! The page for operators: what the control plane knows, as HTML without a script. Pure: facts and the time come in, markup
//! goes out; who may see it and where the facts come from is `http::pages`'s.
//!
//! Markup is written with maud, which escapes every value where it is put in: there is no other way to put one in.

mod actions;
mod bar;
mod changes;
mod deed;
mod facts;
mod find;
mod health;
mod layout;
mod moves;
mod notice;
mod overview;
mod plans;
mod pod;
mod sign_in;
mod target;
mod words;

pub(crate) use deed::{DeedFacts, deed};
pub(crate) use facts::{
    Actions, Changes, Facts, Listing, Moves, OwnerSays, Ownerships, PodFacts, Standing, TargetFacts,
};
pub(crate) use find::{Found, find};
pub(crate) use layout::{Frame, Session, content_security_policy};
pub(crate) use notice::notice;
pub(crate) use overview::overview;
pub(crate) use plans::{PlansFacts, plan, plans};
pub(crate) use pod::pod;
pub(crate) use sign_in::{SignIn, sign_in};
pub(crate) use target::{target, targets};

#[cfg(test)]
mod tests;
