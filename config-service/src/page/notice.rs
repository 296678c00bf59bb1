//! A page that has nothing to show, and says why.

use super::{Frame, words::Foreign};
use maud::{Markup, html};

/// Returns a page with a heading and a sentence.
pub(crate) fn notice(frame: &Frame, heading: &str, sentence: &str) -> Markup {
    let main = html! { h1 { (heading) } p { (Foreign(sentence)) } p { a href="/" { "To the overview" } } };
    frame.document(heading, "Asked at", &main)
}
