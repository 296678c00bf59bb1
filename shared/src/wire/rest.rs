//! One budget of REST requests for a bot on Discord: what a gateway says of its slice of it, and what config-service gives
//! (docs/adr/0032). A slot is the right to have one request out: it is taken when the request leaves, and free again a second after its
//! answer.

use crate::{Incarnation, PodId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/discord/rest`: a gateway says how many slots it keeps, and asks for what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestAsk {
    /// Who asks.
    pub pod: PodId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Whose budget: the bot's id, or what stands for a token that names none.
    #[schemars(length(min = 1, max = 64))]
    pub bot: String,
    /// The version of the slice that it heard of last; 0 when of none.
    pub version: u64,
    /// How many slots it uses at most until it hears more.
    pub slots: u32,
    /// How many of them it uses at most once the term is over.
    pub floor: u32,
    /// How many it could use.
    pub wants: u32,
    /// How long the bot has to pause, because Discord said so to this pod, in milliseconds.
    #[serde(default)]
    pub paused_ms: u64,
    /// How many of its requests were invalid in the last ten minutes.
    #[serde(default)]
    pub invalid: u32,
    /// Whether it sends nothing because of those.
    #[serde(default)]
    pub braked: bool,
    /// Whether Discord has refused the token.
    #[serde(default)]
    pub refused: bool,
}

impl RestAsk {
    /// Begins the question of a pod that has heard of no slice, keeps nothing and needs nothing.
    pub fn new(pod: PodId, incarnation: Incarnation, bot: String) -> Self {
        Self {
            pod,
            incarnation,
            bot,
            version: 0,
            slots: 0,
            floor: 0,
            wants: 0,
            paused_ms: 0,
            invalid: 0,
            braked: false,
            refused: false,
        }
    }
}

/// The answer: the pod's slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestSlice {
    /// The version of this slice.
    pub version: u64,
    /// How many slots the pod may use for the term, counted from before it asked.
    pub slots: u32,
    /// How many of them it may go on with when the term is over and nobody has answered.
    pub floor: u32,
    /// The term in milliseconds.
    pub term_ms: u64,
    /// How long the bot has to pause, in milliseconds.
    pub paused_ms: u64,
    /// How many invalid requests the pod may make in ten minutes.
    pub invalid: u32,
}

/// `GET /v1/discord/rest`: who has which part of the bots' budgets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestStatus {
    /// How many requests a second there are for each bot.
    pub limit: u32,
    /// How many invalid requests the cluster makes at most in ten minutes.
    pub invalid_limit: u32,
    /// The bots, by id.
    pub bots: Vec<RestBot>,
}

/// One bot's budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestBot {
    /// Its id.
    pub bot: String,
    /// How long it has to pause, in milliseconds.
    pub paused_ms: u64,
    /// The slices, by pod.
    pub pods: Vec<RestPod>,
}

/// What a pod has of a budget, as it said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestPod {
    /// The pod.
    pub pod: PodId,
    /// Its slots.
    pub slots: u32,
    /// Those that it keeps when nobody answers it.
    pub floor: u32,
    /// How many it could use.
    pub wants: u32,
    /// Its invalid requests in ten minutes.
    pub invalid: u32,
    /// Whether it sends nothing because of those.
    pub braked: bool,
    /// Whether Discord has refused its token.
    pub refused: bool,
    /// How long ago it asked, in milliseconds; none when this leader has not heard of it.
    pub asked_ms: Option<u64>,
}
