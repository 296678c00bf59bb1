use super::*;
use proptest::prelude::*;

const RATE: Rate = Rate::of(5, Duration::from_secs(10));

#[test]
fn so_many_pass_and_the_next_is_told_how_long_to_wait() {
    let (mut window, start) = (Window::default(), Mono::from_nanos(1_000));
    for left in (0..5).rev() {
        assert_eq!(window.take(RATE, start).expect("within the limit").uses, left);
    }
    let later = start.after(Duration::from_secs(4));
    assert_eq!(window.take(RATE, later), Err(Duration::from_secs(6)));
    let over = start.after(Duration::from_secs(10));
    assert_eq!(window.take(RATE, over), Ok(Left { uses: 4, reset_after: Duration::from_secs(10) }));
}

#[test]
fn the_first_two_uses_at_one_moment_are_two() {
    let (mut window, start) = (Window::default(), Mono::from_nanos(1_000));
    window.take(RATE, start).expect("the first");
    assert_eq!(window.take(RATE, start).expect("the second").uses, 3);
}

proptest! {
    /// However the uses lie in time, a window never lets more through than its rate says.
    #[test]
    fn never_more_in_one_window(gaps in prop::collection::vec(0_u64..4_000, 1..200)) {
        let (mut window, mut now) = (Window::default(), Mono::from_nanos(1));
        let (mut began, mut passed) = (now, 0);
        for gap in gaps {
            now = now.after(Duration::from_millis(gap));
            if window.take(RATE, now).is_ok() {
                if now.since(began) >= RATE.period || passed == 0 {
                    (began, passed) = (now, 0);
                }
                passed += 1;
                prop_assert!(passed <= RATE.most);
            }
        }
    }
}
