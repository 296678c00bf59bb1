//! What all pages share: the document around them, the style sheet, and the policy that lets nothing else run.

use super::words::moment;
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// An anchor, drawn in the style's accent; in the page itself, so that nothing else is fetched.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cg fill='none' \
                    stroke='%230b6b76' stroke-width='3' stroke-linecap='round'%3E%3Ccircle cx='16' cy='6.5' r='3.5'/%3E\
                    %3Cpath d='M16 10v18M9 14h14M4 19c1 6 6 9 12 9s11-3 12-9'/%3E%3C/g%3E%3C/svg%3E";

/// Returns the policy of every page: its own style sheet and icon, forms to where it came from, and nothing else.
pub(crate) fn content_security_policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; frame-ancestors 'none'; \
         base-uri 'none'"
    )
}

/// Whether somebody has signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Everybody may read, or nobody is known yet: there is nothing to end.
    None,
    /// Somebody who may sign out.
    SignedIn,
}

/// What is around a page.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// The time, in milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// Path and query of the page, percent-encoded as they came.
    pub(crate) here: String,
    /// Who looks.
    pub(crate) session: Session,
}

impl Frame {
    /// Returns the whole document. `age` says how old the data is.
    pub(super) fn document(&self, title: &str, age: &str, main: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · Berth" }
                    style { (PreEscaped(STYLE)) }
                    link rel="icon" href=(ICON);
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { "Berth" }
                        nav aria-label="Pages" { (self.link("/", "Overview")) (self.link("/targets", "Targets")) (self.link("/plans", "Plans")) }
                        @if self.session == Session::SignedIn {
                            form method="post" action="/sign-out" { button.quiet type="submit" { "Sign out" } }
                        }
                    }
                    main #main tabindex="-1" { (main) }
                    footer {
                        p { (age) " " (moment(self.now_ms)) ". " a href=(self.here) { "Reload" } }
                    }
                }
            }
        }
    }

    fn link(&self, path: &str, name: &str) -> Markup {
        let here = self.here.split('?').next() == Some(path);
        html! { a href=(path) aria-current=[here.then_some("page")] { (name) } }
    }
}
