//! Numbers, times and foreign text as people read them.

use maud::{Markup, Render, html};
use std::time::{Duration, UNIX_EPOCH};

/// The last moment that is written with a year of four digits.
const END_OF_TIME_MS: u64 = 253_402_300_799_000;

/// Returns a number with commas between its thousands.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of things: `1 target`, `2 targets`.
pub(super) fn things(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Returns a length of time in its two largest units.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let two = |large: u64, l: &str, small: u64, s: &str| match small {
        0 => format!("{large} {l}"),
        _ => format!("{large} {l} {small} {s}"),
    };
    match seconds {
        0..10 => format!("{}.{} s", seconds, ms % 1_000 / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// Returns a moment of the wall clock (milliseconds since the Unix epoch), for people and for programs.
pub(super) fn moment(ms: u64) -> Markup {
    let moment = UNIX_EPOCH + Duration::from_millis(ms.min(END_OF_TIME_MS));
    let machine = humantime::format_rfc3339_seconds(moment).to_string();
    let people = machine.replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(machine) { (people) } }
}

/// Returns how long ago a moment was; nothing for one that lies ahead, as another machine's clock may have it.
pub(super) fn ago(now_ms: u64, ms: u64) -> String {
    now_ms.checked_sub(ms).map(|age| format!("{} ago", span(age))).unwrap_or_default()
}

/// Returns a size in bytes with three digits.
pub(super) fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1_000.0, larger);
    }
    if unit == "B" || value >= 99.5 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// Returns a part of a whole in per cent.
pub(super) fn share(part: u64, whole: u64) -> String {
    match part as f64 * 100.0 / whole.max(1) as f64 {
        0.0 => "0 %".to_owned(),
        few if few < 0.1 => "< 0.1 %".to_owned(),
        some if some < 9.95 => format!("{some:.1} %"),
        many => format!("{many:.0} %"),
    }
}

/// Text that others wrote. It is set apart, so that a right-to-left name cannot turn the words around it; what would not
/// be seen, or would turn itself around, is shown as a mark.
pub(super) struct Foreign<'a>(pub(super) &'a str);

impl Render for Foreign<'_> {
    fn render(&self) -> Markup {
        let visible: String = self.0.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect();
        html! { bdi { (visible) } }
    }
}

/// Returns whether a character controls the text around it instead of being seen.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
