//! A short form of names, by which pages are told apart without looking at the names themselves. Of two names the smaller one
//! never has the larger form; names that are alike for long have the same.

use shared::{Kind, Platform};
use std::sync::LazyLock;

/// How names begin, in their order.
static BEGINNINGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let pairs = Platform::ALL.iter().flat_map(|platform| Kind::ALL.iter().map(move |kind| (platform, kind)));
    let mut all: Vec<_> = pairs.map(|(platform, kind)| format!("{platform}:{kind}:")).collect();
    all.sort_unstable();
    all
});

/// Returns the short form of any text: the number of its beginning, and the first bytes behind that.
pub(super) fn short(name: &str) -> u128 {
    let begun = BEGINNINGS.partition_point(|beginning| beginning.as_str() <= name);
    let beginning = begun.checked_sub(1).map(|at| BEGINNINGS[at].as_str());
    let mut form = [0; 16];
    match beginning.map(|beginning| name.strip_prefix(beginning)) {
        Some(Some(id)) => {
            let known = id.len().min(15);
            form[1..=known].copy_from_slice(&id.as_bytes()[..known]);
        }
        // Behind all that begin so.
        Some(None) => form = [u8::MAX; 16],
        None => {}
    }
    form[0] = u8::try_from(begun).unwrap_or(u8::MAX);
    u128::from_be_bytes(form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Names, beginnings of names, and what is near them.
    fn text() -> impl Strategy<Value = String> {
        let beginning = (0..BEGINNINGS.len(), 0_usize..20).prop_map(|(at, cut)| {
            let whole = &BEGINNINGS[at];
            whole[..whole.len().saturating_sub(cut)].to_owned()
        });
        let rest = prop_oneof!["[0-9]{0,18}", "[ -~]{0,20}", Just("1111111111111111".to_owned()), "\\PC{0,3}"];
        (prop_oneof![3 => beginning, 1 => Just(String::new())], rest).prop_map(|(beginning, rest)| beginning + &rest)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn the_smaller_name_never_has_the_larger_form(a in text(), b in text()) {
            prop_assert!(a > b || short(&a) <= short(&b), "{a:?} {b:?}");
            prop_assert!(a < b || short(&a) >= short(&b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn names_that_differ_early_have_different_forms() {
        assert!(short("discord:guild:81384788765712384") < short("discord:guild:81384788765713384"));
        assert!(short("discord:channel:9") < short("discord:guild:1"));
        assert!(short("slack:guild:T1") < short("telegram:channel:-1001234567890"));
    }
}
