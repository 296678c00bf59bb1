use super::*;
use proptest::prelude::*;

fn fleet(count: usize) -> Vec<Candidate> {
    (0..count).map(|n| candidate(n, 0)).collect()
}

fn candidate(ordinal: usize, targets: u64) -> Candidate {
    Candidate {
        pod: format!("gateway-{ordinal}").parse().expect("valid"),
        capacity: 1.0,
        open: true,
        ready: true,
        targets,
        fresh: 0,
        track: Track::Stable,
        load: Load::default(),
    }
}

fn guild(id: usize) -> Wanted {
    Wanted::of(format!("discord:guild:{id}").parse().expect("valid"))
}

fn placed(fleet: &[Candidate], wanted: &[Wanted]) -> HashMap<TargetId, PodId> {
    let decisions = place(fleet, &Policy::default(), wanted, |_| None, |_| None);
    decisions.into_iter().map(|(want, pod)| (want.target, pod.expect("a pod is ready"))).collect()
}

#[test]
fn a_child_goes_where_its_parent_is() {
    let parent: TargetId = "discord:guild:1".parse().expect("valid");
    let child = |id: usize| Wanted {
        target: format!("discord:channel:{id}").parse().expect("valid"),
        parent: Some(parent.clone()),
        beside: None,
    };
    let home: PodId = "gateway-2".parse().expect("valid");
    let known = place(&fleet(3), &Policy::default(), &[child(7)], |_| Some(&home), |_| None);
    assert_eq!(known, [(child(7), Ok(home.clone()))]);

    let both = place(&fleet(3), &Policy::default(), &[child(7), child(8)], |_| None, |_| None);
    assert_eq!(both[0].0, Wanted::of(parent.clone()), "the parent gets a home of its own first");
    assert!(both.iter().all(|(_, pod)| *pod == both[0].1) && both.len() == 3);

    let mut away = fleet(3);
    away[2].ready = false;
    let refused = place(&away, &Policy::default(), &[child(7)], |_| Some(&home), |_| None);
    assert_eq!(refused[0].1, Err(Refused::ParentNotReady), "never away from the parent");
}

#[test]
fn only_ready_pods_with_capacity_are_asked() {
    let mut pods = fleet(3);
    pods[0].ready = false;
    pods[1].capacity = 0.0;
    let wanted: Vec<_> = (0..200).map(guild).collect();
    assert!(placed(&pods, &wanted).values().all(|pod| pod.as_str() == "gateway-2"));
    pods[2].ready = false;
    assert!(
        place(&pods, &Policy::default(), &wanted, |_| None, |_| None)
            .iter()
            .all(|(_, pod)| *pod == Err(Refused::NoReadyPod))
    );
}

#[test]
fn what_a_pod_says_it_carries_counts() {
    let mut pods = fleet(2);
    pods[0].load.events_per_second = 1_900.0;
    let wanted: Vec<_> = (0..100).map(guild).collect();
    assert!(placed(&pods, &wanted).values().all(|pod| pod.as_str() == "gateway-1"));
}

#[test]
fn what_comes_until_the_pods_tell_their_load_again_does_not_all_go_to_the_least_busy_one() {
    let mut pods = fleet(3);
    for (pod, events) in pods.iter_mut().zip([400.0, 420.0, 440.0]) {
        (pod.targets, pod.load.events_per_second) = (100, events);
    }
    // One request at a time, as they come: what each pod was given is known, what that does is not.
    for n in 0..90 {
        let to = placed(&pods, &[guild(n)]).into_values().next().expect("one");
        let pod = pods.iter_mut().find(|pod| pod.pod == to).expect("one of them");
        (pod.targets, pod.fresh) = (pod.targets + 1, pod.fresh + 1);
    }
    let given: Vec<_> = pods.iter().map(|pod| pod.fresh).collect();
    assert!(given.iter().all(|given| (20..=40).contains(given)) && given.is_sorted_by(|a, b| a > b), "{given:?}");
    let batch: Vec<_> = (0..90).map(guild).collect();
    let at_once = placed(&fleet(3), &batch).into_values().filter(|pod| pod.as_str() == "gateway-0").count();
    assert!((25..=35).contains(&at_once), "{at_once}");
}

#[test]
fn shares_follow_capacity() {
    let mut pods = fleet(10);
    pods[3].capacity = 2.0;
    let wanted: Vec<_> = (0..11_000).map(guild).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for pod in placed(&pods, &wanted).into_values() {
        *counts.entry(pod.to_string()).or_default() += 1;
    }
    for (pod, count) in counts {
        let share = if pod == "gateway-3" { 2_000 } else { 1_000 };
        assert!(count.abs_diff(share) * 100 <= share * 2, "{pod} has {count} of {share}");
    }
}

/// A fleet whose pods hold the shards of a bot, one after the other.
struct Bot {
    pods: Vec<Candidate>,
    holders: Vec<PodId>,
    /// Guilds that came, and those of them that are where their shard is.
    came: usize,
    beside: usize,
}

impl Bot {
    fn new(pods: usize, shards: usize) -> Self {
        let mut pods = fleet(pods);
        let holders = (0..shards).map(|shard| pods[shard % pods.len()].pod.clone()).collect();
        for shard in 0..shards {
            let at = shard % pods.len();
            pods[at].targets += 1;
        }
        Self { pods, holders, came: 0, beside: 0 }
    }

    /// A shard's guilds come, so many at once; it says that it has `of`.
    fn comes(&mut self, shard: usize, guilds: usize, of: u64) {
        let target: TargetId = format!("discord:shard:{shard}-{}", self.holders.len()).parse().expect("valid");
        let holder = self.holders[shard].clone();
        for first in (0..guilds).step_by(50) {
            let beside = Some(Beside { target: target.clone(), of });
            let names = first..guilds.min(first + 50);
            let wanted: Vec<_> = names.map(|n| Wanted { beside: beside.clone(), ..guild(self.came + n) }).collect();
            let owner = |asked: &TargetId| (*asked == target).then_some(&holder);
            for (_, pod) in place(&self.pods, &Policy::default(), &wanted, owner, |_| None) {
                let pod = pod.expect("a pod is ready");
                self.beside += usize::from(pod == holder);
                let found = self.pods.iter_mut().find(|found| found.pod == pod).expect("one of them");
                (found.targets, found.fresh) = (found.targets + 1, found.fresh + 1);
            }
        }
        self.came += guilds;
    }

    fn targets(&self) -> Vec<u64> {
        self.pods.iter().map(|pod| pod.targets).collect()
    }

    /// Whether nobody is outside the band, so that nothing is moved for an even share.
    fn is_even(&self) -> bool {
        let targets = self.targets();
        let mean = targets.iter().sum::<u64>() as f64 / targets.len() as f64;
        let band = Policy::default().band;
        targets.iter().all(|targets| (mean * (1.0 - band)..=mean * (1.0 + band)).contains(&(*targets as f64)))
    }
}

#[test]
fn guilds_are_placed_beside_their_shards_where_that_is_an_even_share() {
    let mut bot = Bot::new(3, 6);
    (0..6).for_each(|shard| bot.comes(shard, 500, 500));
    assert_eq!(bot.beside, 3_000, "{:?}", bot.targets());
    // Five shards on three pods: two of these have more guilds of their own than is their share.
    let mut bot = Bot::new(3, 5);
    (0..5).for_each(|shard| bot.comes(shard, 600, 600));
    assert!(bot.is_even(), "{:?}", bot.targets());
    assert!(bot.beside >= 2_500, "{} of {}", bot.beside, bot.came);
    // Fewer shards than pods.
    let mut bot = Bot::new(4, 2);
    (0..2).for_each(|shard| bot.comes(shard, 1_000, 1_000));
    assert!(bot.is_even(), "{:?}", bot.targets());
    assert!(bot.beside >= 800, "{} of {}", bot.beside, bot.came);
}

#[test]
fn who_does_not_say_how_many_are_to_come_is_given_no_more_than_others_have() {
    let mut bot = Bot::new(3, 3);
    bot.comes(0, 300, 0);
    assert!(bot.is_even(), "{:?}", bot.targets());
    // A shard that has all guilds that there are is no reason either.
    let mut bot = Bot::new(3, 1);
    bot.comes(0, 900, 900);
    assert!(bot.is_even(), "{:?}", bot.targets());
    assert!(bot.beside >= 300, "{} of {}", bot.beside, bot.came);
}

#[test]
fn a_few_guilds_are_beside_their_shard_when_nobody_would_be_less_full_with_them() {
    let mut bot = Bot::new(2, 2);
    bot.comes(1, 1, 0);
    assert_eq!((bot.beside, bot.targets()), (1, vec![1, 2]));
    bot.comes(1, 1, 0);
    assert_eq!((bot.beside, bot.targets()), (1, vec![2, 2]));
}

#[test]
fn a_pod_that_takes_no_targets_is_given_none_for_being_beside_something() {
    let holder: PodId = "gateway-1".parse().expect("valid");
    let want =
        Wanted { beside: Some(Beside { target: "discord:shard:0-1".parse().expect("valid"), of: 1_000 }), ..guild(1) };
    let to = |pods: &[Candidate], owner: Option<&PodId>| {
        let decisions = place(pods, &Policy::default(), std::slice::from_ref(&want), |_| owner, |_| None);
        decisions[0].1.clone().expect("a pod is ready")
    };
    let mut pods = fleet(2);
    assert_eq!(to(&pods, Some(&holder)), holder);
    assert_eq!(to(&pods, None), placed(&pods, &[guild(1)])[&guild(1).target], "nobody has the shard");
    let closes: [fn(&mut Candidate); 4] =
        [|pod| pod.ready = false, |pod| pod.open = false, |pod| pod.capacity = 0.0, |pod| pod.track = Track::Canary];
    for close in closes {
        let mut pods = pods.clone();
        close(&mut pods[1]);
        assert_eq!(to(&pods, Some(&holder)).as_str(), "gateway-0");
    }
    // Others do less.
    pods[1].load.events_per_second = 1_500.0;
    assert_eq!(to(&pods, Some(&holder)).as_str(), "gateway-0");
}

proptest! {
    #[test]
    fn the_same_question_has_the_same_answer_in_any_order_of_pods(pods in 1_usize..12, targets in 1_usize..60, seed: u64) {
        let wanted: Vec<_> = (0..targets).map(guild).collect();
        let mut shuffled = fleet(pods);
        let mut rng = shared::backoff::Rng::seeded(seed);
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, usize::try_from(rng.next_u64() % (i as u64 + 1)).expect("small"));
        }
        prop_assert_eq!(placed(&fleet(pods), &wanted), placed(&shuffled, &wanted));
    }

    #[test]
    fn a_pod_that_comes_takes_first_places_only_for_itself(pods in 1_usize..12, id: usize) {
        let target = guild(id).target;
        let first = |count: usize| {
            let scored = fleet(count).into_iter().map(|pod| (score(&target, &pod.pod, 1.0), pod.pod));
            scored.max_by(|a, b| a.0.total_cmp(&b.0)).expect("not empty").1
        };
        let (before, after) = (first(pods), first(pods + 1));
        let newcomer = format!("gateway-{pods}");
        prop_assert!(after == before || after.as_str() == newcomer);
    }

    #[test]
    fn a_batch_stays_balanced(pods in 1_usize..20, per_pod in 20_usize..100) {
        let wanted: Vec<_> = (0..pods * per_pod).map(guild).collect();
        let mut counts: HashMap<PodId, usize> = HashMap::new();
        for pod in placed(&fleet(pods), &wanted).into_values() {
            *counts.entry(pod).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or_default();
        prop_assert!(most <= per_pod + 6, "{} targets on one pod, mean {}", most, per_pod);
    }

    #[test]
    fn a_score_is_finite_and_positive(id in "[a-z0-9]{1,30}", pod in 0_usize..1_000, weight in 0.001_f64..100.0) {
        let target: TargetId = format!("webhook:key:{id}").parse().expect("valid");
        let value = score(&target, &candidate(pod, 0).pod, weight);
        prop_assert!(value.is_finite() && value > 0.0);
    }
}
