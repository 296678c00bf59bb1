//! The form that takes a token, and what it says when the token is not taken.

use super::Frame;
use maud::{Markup, html};

/// What became of the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignIn {
    /// There was none.
    Asked,
    /// The token is not valid here.
    WrongToken,
    /// Only the leader could say whether the token is valid.
    NotHere,
    /// The form was not sent from this page.
    WrongOrigin,
}

/// Returns the form. `next` is the path on this service to go to afterwards.
pub(crate) fn sign_in(frame: &Frame, last: SignIn, next: &str) -> Markup {
    let wrong = match last {
        SignIn::Asked => None,
        SignIn::WrongToken => {
            Some("This token is not valid here. It may have been revoked, or have been cut when it was copied.")
        }
        SignIn::NotHere => Some("This service does not lead, and only the leader knows this token. Sign in there."),
        SignIn::WrongOrigin => Some("This form was not sent from this page. Send it from here."),
    };
    let main = html! {
        h1 { "Sign in" }
        p { "Reading this cluster takes a token. Any token that may read will do; one with the role viewer is enough." }
        @if let Some(wrong) = wrong { p.error #wrong role="alert" { (wrong) } }
        form.sign-in method="post" action="/sign-in" {
            label for="token" { "Token" }
            div.field {
                input #token type="password" name="token" required autocomplete="current-password" maxlength="1000"
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")];
                input type="hidden" name="next" value=(next);
                button type="submit" { "Sign in" }
            }
        }
        p.aside { "The browser keeps a pass for the page that ends with the browser, or after twelve hours. It opens nothing but these pages, and what they do as far as the token may; the token itself is not kept." }
    };
    let title = if wrong.is_some() { "Not signed in" } else { "Sign in" };
    frame.document(title, "Asked at", &main)
}
