//! What somebody is about to do: what it means and what to mind, before a form with a reason and a button that names the verb. Pure.

use super::{
    Frame, Session,
    target::pod_link,
    words::{Foreign, count, things},
};
use maud::{Markup, html};
use shared::{PodId, Revision};

/// The most pods that are named one by one.
const MOST: usize = 50;

/// What is known of it before it is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeedFacts {
    /// What it is, as on the button: "Drain gateway-1".
    pub(crate) name: String,
    /// Where the form goes.
    pub(crate) path: String,
    /// Where to go when it is done, or is not wanted.
    pub(crate) back: String,
    /// What it means, in sentences.
    pub(crate) means: Vec<String>,
    /// What to mind.
    pub(crate) minds: Vec<String>,
    /// How many targets would go where.
    pub(crate) shares: Vec<(PodId, u64)>,
    /// The revision that was looked at, of what changes with time.
    pub(crate) revision: Option<Revision>,
    /// The same as a line of `berth`.
    pub(crate) line: String,
    /// Why it cannot be done by whoever looks.
    pub(crate) refused: Option<String>,
    /// Why it was not done when it was tried.
    pub(crate) wrong: Option<String>,
    /// The reason that was given then.
    pub(crate) reason: String,
}

/// Returns the page that asks whether it is to be done.
pub(crate) fn deed(frame: &Frame, facts: &DeedFacts) -> Markup {
    let refused = facts.refused.as_deref();
    let main = html! {
        h1 { (facts.name) "?" }
        @for says in &facts.means { p { (Foreign(says)) } }
        @if !facts.shares.is_empty() { (shares(&facts.shares)) }
        @for mind in &facts.minds { p.mind { (Foreign(mind)) } }
        @if let Some(wrong) = &facts.wrong { p.error #wrong role="alert" { "It was not done: " (Foreign(wrong)) } }
        form.deed method="post" action=(facts.path) {
            label for="reason" { "Why" }
            div.field {
                input #reason name="reason" required maxlength="1000" autocomplete="off" value=(facts.reason) disabled[refused.is_some()]
                    aria-invalid=[facts.wrong.as_ref().map(|_| "true")] aria-describedby=[facts.wrong.as_ref().map(|_| "wrong")];
                @if let Some(revision) = facts.revision { input type="hidden" name="revision" value=(revision); }
                button type="submit" disabled[refused.is_some()] { (facts.name) }
            }
        }
        @if let Some(why) = refused {
            p.empty { "You cannot do this here: " (Foreign(why)) "." }
            @if frame.session == Session::None { p { a href={ "/sign-in?next=" (facts.path) } { "Sign in" } } }
        }
        p.aside { "The same from a shell: " code { (facts.line) } }
        p { a href=(facts.back) { "Back, and leave it as it is" } }
    };
    frame.document(&facts.name, "As the leader knew it at", &main)
}

fn shares(shares: &[(PodId, u64)]) -> Markup {
    let all: u64 = shares.iter().map(|(_, targets)| targets).sum();
    html! {
        table role="table" {
            caption {
                "Where " (things(all, "target")) " would go"
                @if shares.len() > MOST { ", the " (MOST) " pods that would get most" }
            }
            thead role="rowgroup" {
                tr role="row" {
                    th role="columnheader" scope="col" { "Pod" }
                    th.num role="columnheader" scope="col" { "Targets" }
                }
            }
            tbody role="rowgroup" {
                @for (pod, targets) in shares.iter().take(MOST) {
                    tr role="row" {
                        th role="rowheader" scope="row" { (pod_link(pod)) }
                        td.num role="cell" data-label="Targets" { (count(*targets)) }
                    }
                }
            }
        }
    }
}

/// Returns the ways to what may be done with something: each asks before it does anything.
pub(super) fn ways(of: &str, which: &dyn std::fmt::Display, ways: &[(&str, &str)]) -> Markup {
    html! {
        @if !ways.is_empty() {
            div.deeds {
                @for (verb, name) in ways { a href={ "/do/" (of) "/" (which) "/" (verb) } { (name) "…" } }
            }
        }
    }
}
