//! Guilds and their shards: no move is made for them, and of those that are made the ones that bring guilds there.

use super::*;

/// A fleet whose pod `n` holds shard `n`, with so many guilds of each shard on each pod: `guilds[pod][shard]`.
fn fleet(guilds: &[&[usize]], shards: bool) -> Snapshot {
    let count = guilds.len();
    let mut builder = Snapshot::of(Revision(7), pods(count), 0);
    let mut add = |target: TargetId, owner: usize| {
        let owner = builder.pod(&pod(owner));
        builder.add(Entry { target, parent: None, owner, weight: Weight::default(), rules: None });
    };
    for shard in 0..count {
        let kind = if shards { "shard" } else { "key" };
        add(format!("discord:{kind}:{shard}-{count}").parse().expect("valid"), shard);
    }
    let mut next = vec![0_usize; count];
    for (owner, of) in guilds.iter().enumerate() {
        for (shard, many) in of.iter().enumerate() {
            for _ in 0..*many {
                next[shard] += 1;
                add(guild((next[shard] * count + shard) << 22), owner);
            }
        }
    }
    builder.finish()
}

/// The shards, of which there are three, of what moves, and where it comes from and goes to.
fn moved(made: &Plan) -> Vec<(usize, u32, u32)> {
    let moves = made.moves.iter().filter_map(|step| {
        let id: usize = step.target.as_str().strip_prefix("discord:guild:")?.parse().ok()?;
        Some(((id >> 22) % 3, step.from.as_ref()?.ordinal()?, step.to.ordinal()?))
    });
    moves.collect()
}

#[test]
fn a_new_pod_is_filled_with_the_guilds_of_its_shard() {
    let guilds: &[&[usize]] = &[&[100, 100, 100], &[100, 100, 100], &[0, 0, 0]];
    let made = plan(&fleet(guilds, true), &Policy::default(), 0);
    let all = moved(&made);
    assert!(all.len() >= 190 && all.iter().all(|(shard, _, to)| (*shard, *to) == (2, 2)), "{all:?}");
    let without = plan(&fleet(guilds, false), &Policy::default(), 0);
    assert_eq!(made.moves.len(), without.moves.len(), "for a wish nothing more moves");
    assert!(!moved(&without).iter().all(|(shard, _, _)| *shard == 2), "else others go as well");
}

#[test]
fn what_a_pod_has_too_much_is_first_what_is_not_beside_its_shard() {
    let guilds: &[&[usize]] = &[&[150, 60, 60], &[0, 90, 0], &[0, 0, 90]];
    let made = plan(&fleet(guilds, true), &Policy::default(), 0);
    let all = moved(&made);
    assert!(all.len() >= 90 && all.iter().all(|(shard, from, _)| *from == 0 && *shard != 0), "{all:?}");
    let there = all.iter().filter(|(shard, _, to)| *shard as u32 == *to).count();
    assert!(there * 10 >= all.len() * 8, "{there} of {}", all.len());
    assert_eq!(made.moves.len(), plan(&fleet(guilds, false), &Policy::default(), 0).moves.len());
}

#[test]
fn being_beside_a_shard_is_worth_no_move() {
    let guilds: &[&[usize]] = &[&[0, 100, 0], &[0, 0, 100], &[100, 0, 0]];
    assert!(plan(&fleet(guilds, true), &Policy::default(), 0).is_empty());
}
