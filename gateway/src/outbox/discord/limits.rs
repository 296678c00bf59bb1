//! What may leave for Discord now: every call waits for its bot's slots, for its bucket, for pauses that Discord asked for, and for the
//! brake that holds before Discord bans the address (docs/adr/0032). Pure: the time comes in.

use super::{
    answer::{Heard, Scope},
    bucket::Bucket,
    route::Route,
    slots::{Slots, Turn},
};
use shared::{
    Mono,
    wire::rest::{RestAsk, RestSlice},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

/// Discord counts invalid requests within this time.
const WINDOW: Duration = Duration::from_secs(600);

/// How exactly.
const CELL: Duration = Duration::from_secs(10);

/// How long to wait before it is looked again whether the brake holds, or a token is refused.
const LOOK: Duration = Duration::from_secs(1);

/// A process that has just begun is not the first of its pod: what the one before it sent may arrive still.
const BEGINS: Duration = Duration::from_secs(1);

/// Most bots in one pod.
const MOST_BOTS: usize = 64;

/// Most buckets and kinds of calls that are remembered beyond those in use.
const MOST_KNOWN: usize = 4_096;

/// Invalid requests that a pod may make before it was told how many.
const INVALID_UNTOLD: u32 = 100;

/// The slots of a bot in a pod that is alone: on a bench.
const ALONE: u32 = 49;

/// What a call has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    bucket: (String, String),
    /// Whether a slot of the bot was taken.
    counted: bool,
}

/// Something that an operator has to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Discord's front refuses the address.
    Banned(Duration),
    /// A bot is told to pause everywhere.
    Paused(String, Duration),
    /// Discord refuses a bot's token.
    Refused(String),
    /// Too many requests were invalid.
    Braked(u32),
}

/// One bot's part.
#[derive(Debug, Default)]
struct Bot {
    slots: Slots,
    /// Until when it pauses.
    paused: Mono,
    /// How many invalid requests it was told that the pod may make.
    invalid: Option<u32>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) slots: u32,
    pub(crate) used: u32,
    pub(crate) invalid: u32,
    pub(crate) braked: bool,
    pub(crate) paused: bool,
    pub(crate) refused: usize,
}

/// The limits.
#[derive(Debug)]
pub(crate) struct Limits {
    bots: BTreeMap<String, Bot>,
    /// The bucket of each kind of call, and how many requests it takes.
    kinds: HashMap<String, (String, u32)>,
    buckets: HashMap<(String, String), Bucket>,
    /// Tokens that Discord does not know, with whose they are.
    refused: BTreeSet<(String, u64)>,
    /// Invalid requests, by when.
    invalid: VecDeque<(Mono, u32)>,
    braked: bool,
    /// Until when the address is refused.
    banned: Mono,
    began: Mono,
    /// Whether slices are asked for.
    shared: bool,
    news: Vec<News>,
}

impl Limits {
    pub(crate) fn new(now: Mono) -> Self {
        Self {
            bots: BTreeMap::new(),
            kinds: HashMap::new(),
            buckets: HashMap::new(),
            refused: BTreeSet::new(),
            invalid: VecDeque::new(),
            braked: false,
            banned: Mono::ZERO,
            began: now,
            shared: false,
            news: Vec::new(),
        }
    }

    /// From now on a bot has the slots that it is given, and no others.
    pub(crate) fn share(&mut self) {
        self.shared = true;
    }

    /// Knows a bot before its first call.
    pub(crate) fn know(&mut self, bot: &str) {
        self.bots.entry(bot.to_owned()).or_default();
    }

    /// Lets a call leave, or says when to come back. `kept`: whether it was given a place in the line.
    pub(crate) fn admit(&mut self, route: &Route, kept: bool, now: Mono) -> Result<Taken, Turn> {
        let wait = |at| Turn { at, kept };
        if now < self.banned {
            return Err(wait(self.banned.min(now.after(LOOK * 10))));
        }
        if self.refused.iter().any(|(_, token)| Some(*token) == route.token) {
            return Err(Turn { at: now.after(LOOK * 10), kept: false });
        }
        if self.is_braked(now) {
            return Err(wait(now.after(LOOK)));
        }
        let counted = route.interaction.is_none();
        let key = self.bucket_of(route, now);
        if let Some(at) = self.buckets.get_mut(&key).and_then(|bucket| bucket.closed(now)) {
            return Err(Turn { at: at.min(now.after(LOOK * 60)), kept: false });
        }
        if !self.bots.contains_key(&route.bot) && self.bots.len() >= MOST_BOTS {
            return Err(Turn { at: now.after(LOOK * 10), kept: false });
        }
        let bot = self.bots.entry(route.bot.clone()).or_default();
        if now < bot.paused {
            return Err(wait(bot.paused.min(now.after(LOOK * 60))));
        }
        if counted {
            let used = bot.slots.used(now);
            if self.shared {
                if now < self.began.after(BEGINS) {
                    return Err(wait(self.began.after(BEGINS)));
                }
                if let Some(turn) = bot.slots.closed(kept, now) {
                    return Err(turn);
                }
            } else if used >= ALONE {
                return Err(wait(now.after(CELL / 100)));
            }
            bot.slots.take(now);
        }
        self.buckets.entry(key.clone()).or_default().take();
        Ok(Taken { bucket: key, counted })
    }

    /// Returns the bucket of a call: by name where that is known, else what its kind shares.
    fn bucket_of(&mut self, route: &Route, now: Mono) -> (String, String) {
        let (name, limit) = match self.kinds.get(&route.template) {
            Some((name, limit)) => (name.clone(), Some(*limit)),
            None => (route.template.clone(), None),
        };
        let key = (name, route.major.clone());
        if !self.buckets.contains_key(&key) {
            if self.buckets.len() >= MOST_KNOWN {
                self.buckets.retain(|_, bucket| !bucket.is_idle(now));
            }
            self.buckets.insert(key.clone(), Bucket::of(limit));
        }
        key
    }

    /// A call has ended. `heard`: Discord's answer, if there was one; `sent`: it may have arrived.
    pub(crate) fn ended(&mut self, route: &Route, taken: &Taken, (sent, heard): (bool, Option<&Heard>), now: Mono) {
        let bot = self.bots.entry(route.bot.clone()).or_default();
        if taken.counted {
            bot.slots.ended(sent, now);
        }
        if let Some(bucket) = self.buckets.get_mut(&taken.bucket) {
            if sent { bucket.ended(heard, now) } else { bucket.give_back() }
        }
        let Some(heard) = heard else { return };
        match heard.hit {
            Some((Scope::Global, after)) => {
                bot.paused = bot.paused.max(now.after(after));
                self.news.push(News::Paused(route.bot.clone(), after));
            }
            Some((Scope::Address, after)) => {
                self.banned = self.banned.max(now.after(after));
                self.news.push(News::Banned(after));
            }
            Some((Scope::User | Scope::Shared, _)) | None => {}
        }
        if heard.is_invalid() {
            match self.invalid.back_mut().filter(|(since, _)| now.since(*since) < CELL) {
                Some((_, count)) => *count += 1,
                None => self.invalid.push_back((now, 1)),
            }
        }
        // Who answers an interaction has its token, and needs no other.
        if let (401, None, Some(token)) = (heard.status, route.interaction, route.token)
            && self.refused.len() < MOST_BOTS
            && self.refused.insert((route.bot.clone(), token))
        {
            self.news.push(News::Refused(route.bot.clone()));
        }
        if let Some(told) = &heard.told {
            self.learn(route, (told.bucket.clone(), told.limit), heard, taken, now);
        }
    }

    /// Remembers which bucket a kind of call is in; what was heard of it is that bucket's.
    fn learn(&mut self, route: &Route, (name, limit): (String, u32), heard: &Heard, taken: &Taken, now: Mono) {
        if self.kinds.len() >= MOST_KNOWN && !self.kinds.contains_key(&route.template) {
            self.kinds.clear();
        }
        self.kinds.insert(route.template.clone(), (name.clone(), limit));
        let key = (name, route.major.clone());
        if key != taken.bucket {
            // Several kinds of calls may share one bucket.
            self.buckets.entry(key).or_default().hear(heard, now);
        }
    }

    fn invalid(&mut self, now: Mono) -> u32 {
        while self.invalid.front().is_some_and(|(since, _)| now.since(*since) >= WINDOW + CELL) {
            self.invalid.pop_front();
        }
        self.invalid.iter().map(|(_, count)| count).sum()
    }

    fn is_braked(&mut self, now: Mono) -> bool {
        let most = self.bots.values().filter_map(|bot| bot.invalid).min();
        let most = most.unwrap_or(if self.shared { INVALID_UNTOLD } else { u32::MAX });
        let invalid = self.invalid(now);
        let braked = invalid >= most.max(1);
        if braked && !self.braked {
            self.news.push(News::Braked(invalid));
        }
        self.braked = braked;
        braked
    }

    /// Returns the bots for which it makes sense to ask now; `all`: also those with nothing to do.
    pub(crate) fn asking(&self, all: bool, now: Mono) -> Vec<String> {
        let asks = |bot: &Bot| all || bot.slots.is_asking(now) || now < bot.paused;
        self.bots.iter().filter(|(_, bot)| asks(bot)).map(|(name, _)| name.clone()).collect()
    }

    /// Puts into words what a bot keeps, and what it could use. `ask` has the pod.
    pub(crate) fn claim(&mut self, ask: &mut RestAsk, now: Mono) {
        (ask.braked, ask.invalid) = (self.is_braked(now), self.invalid(now));
        ask.refused = self.refused.iter().any(|(bot, _)| *bot == ask.bot);
        if let Some(bot) = self.bots.get_mut(&ask.bot) {
            let claim = bot.slots.claim(now);
            (ask.version, ask.slots, ask.floor, ask.wants) = (claim.version, claim.slots, claim.floor, claim.wants);
            ask.paused_ms = u64::try_from(bot.paused.since(now).as_millis()).unwrap_or(u64::MAX);
        }
    }

    /// Hears a bot's slice, to a question asked at `asked`.
    pub(crate) fn hear(&mut self, name: &str, slice: &RestSlice, (asked, now): (Mono, Mono), settle: Duration) {
        let Some(bot) = self.bots.get_mut(name) else { return };
        bot.slots.hear(slice, asked, settle);
        bot.paused = bot.paused.max(now.after(Duration::from_millis(slice.paused_ms)));
        bot.invalid = Some(slice.invalid);
    }

    /// Takes what an operator has to hear.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Returns how it stands, of the bot with the most slots in use.
    pub(crate) fn standing(&mut self, now: Mono) -> Standing {
        let (invalid, braked) = (self.invalid(now), self.is_braked(now));
        let most = self.bots.values().max_by_key(|bot| (bot.slots.used(now), bot.slots.may_use(now)));
        Standing {
            slots: most.map_or(0, |bot| bot.slots.may_use(now)),
            used: most.map_or(0, |bot| bot.slots.used(now)),
            invalid,
            braked,
            paused: now < self.banned || self.bots.values().any(|bot| now < bot.paused),
            refused: self.refused.len(),
        }
    }
}

#[cfg(test)]
mod tests;
