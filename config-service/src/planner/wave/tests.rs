use super::*;

const LIMITS: Limits = Limits { in_flight: 6, per_source: 4, per_destination: 3 };

fn pods() -> [PodId; 4] {
    [0, 1, 2, 3].map(|n| format!("gateway-{n}").parse().expect("valid"))
}

/// Moves between pods by number, each with its family.
fn wave(moves: &[(Option<u32>, usize, usize)], under_way: &[(usize, usize)]) -> Vec<usize> {
    let pods = pods();
    let mut traffic = Traffic::default();
    under_way.iter().for_each(|(from, to)| traffic.add(Some(&pods[*from]), &pods[*to]));
    let ready = moves.iter().enumerate().map(|(at, (family, from, to))| {
        let (from, to) = (Some(&pods[*from]), &pods[*to]);
        Ready { at, family: *family, from, to }
    });
    next_wave(ready, &traffic, &LIMITS)
}

#[test]
fn the_first_go_first_and_others_where_those_have_no_room() {
    let many = [(None, 0, 1); 5].into_iter().chain([(None, 0, 2), (None, 0, 2), (None, 3, 2), (None, 3, 2)]);
    let many: Vec<_> = many.collect();
    assert_eq!(wave(&many, &[]), [0, 1, 2, 5, 7, 8], "3 to one pod, 4 from one, 6 in all");
    assert_eq!(wave(&many, &[(2, 1), (2, 1)]), [0, 5, 6, 7]);
    assert_eq!(wave(&many, &[(1, 3); 6]), [] as [usize; 0]);
}

#[test]
fn a_family_begins_whole_or_waits_and_nobody_behind_takes_its_room() {
    let guild = [(Some(0), 0, 1), (Some(0), 0, 1), (Some(0), 0, 1)];
    assert_eq!(wave(&guild, &[]), [0, 1, 2]);
    assert_eq!(wave(&guild, &[(2, 1)]), [] as [usize; 0], "two would fit, and the third would be away from them");
    let others: Vec<_> = guild.into_iter().chain([(None, 2, 1), (None, 0, 3), (None, 2, 3)]).collect();
    assert_eq!(wave(&others, &[(2, 1)]), [5], "only what needs none of its room");
}

#[test]
fn a_family_larger_than_the_limits_begins_alone_as_far_as_there_is_room() {
    let large = [(Some(7), 0, 1); 5];
    assert_eq!(wave(&large, &[]), [0, 1, 2]);
    assert_eq!(wave(&large, &[(2, 1)]), [] as [usize; 0]);
    let huge: Vec<_> = [(Some(7), 0, 1); 9].into_iter().chain([(None, 2, 3)]).collect();
    assert_eq!(wave(&huge, &[(2, 3)]), [] as [usize; 0], "it waits until nothing else is under way");
    assert_eq!(wave(&huge, &[]), [0, 1, 2, 9]);
}
