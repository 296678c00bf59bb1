//! The double as it runs: its port, its clock, and what tests tell it and ask it. What happens is the rules' business; here
//! it is only carried to the sockets, in order.

mod http;
mod pack;
mod page;
mod socket;

use crate::{
    gateway::{Effect, Entrance, WireId},
    ids::Now,
    objects::User,
    record::{Call, Closed, Connected, Identify, Resume, Sent, Session},
    rest::{Interaction, Reply, Request},
    settings::Settings,
    world::{Deed, World},
};
use serde_json::Value;
use shared::{
    clock::{BootClock, Clock},
    shutdown::Shutdown,
};
use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

/// A Discord of one's own. It stops when it is dropped.
#[derive(Debug)]
pub struct DiscordDouble {
    shared: Arc<Shared>,
    port: u16,
    token: String,
    _tasks: JoinSet<()>,
}

/// What the port's tasks share with the handle.
struct Shared {
    clock: Arc<dyn Clock>,
    /// How often a connection's heartbeat is looked at.
    tick: Duration,
    stop: Shutdown,
    state: Mutex<State>,
}

struct State {
    world: World,
    wires: BTreeMap<WireId, UnboundedSender<Effect>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("tick", &self.tick).finish_non_exhaustive()
    }
}

impl Shared {
    /// Applies the rules, and hands on what they want done before anybody else applies them.
    fn with<T>(&self, act: impl FnOnce(&mut World, Now) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Now { mono: self.clock.now(), wall_ms: self.clock.wall_ms() };
        let result = act(&mut state.world, now);
        for effect in state.world.take_effects() {
            let (Effect::Say(wire, _)
            | Effect::Blurt(wire, _)
            | Effect::Pack(wire)
            | Effect::Close(wire, _)
            | Effect::Cut(wire)) = &effect;
            if let Some(orders) = state.wires.get(wire) {
                let _ = orders.send(effect);
            }
        }
        result
    }

    fn connect(&self, entrance: Entrance) -> (WireId, UnboundedReceiver<Effect>) {
        let (orders, taken) = unbounded_channel();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Now { mono: self.clock.now(), wall_ms: self.clock.wall_ms() };
        let id = state.world.gateway.connect(entrance, now);
        // What is said to a connection before it is known here is said to nobody else.
        for effect in state.world.take_effects() {
            let _ = orders.send(effect);
        }
        state.wires.insert(id, orders);
        (id, taken)
    }

    fn receive(&self, wire: WireId, bytes: &[u8]) {
        self.with(|world, now| world.gateway.receive(&world.guilds, wire, bytes, now));
    }

    fn tick(&self, wire: WireId) {
        self.with(|world, now| world.gateway.tick(wire, now));
    }

    fn gone(&self, wire: WireId, code: Option<u16>) {
        self.with(|world, now| world.gateway.gone(wire, code, now));
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wires.remove(&wire);
    }

    fn rest(&self, request: &Request) -> Reply {
        self.with(|world, now| world.rest(request, now))
    }

    fn is_stale(&self) -> bool {
        self.with(|world, _| world.stale_resume_url)
    }
}

impl Drop for DiscordDouble {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Starting, and where it is.
impl DiscordDouble {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        Self::start_with(settings, Arc::new(BootClock)).await
    }

    /// Starts with a clock of the caller's: limits, replays and times go by it; only heartbeats are looked at by the
    /// machine's own time.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_with(settings: Settings, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::run(TcpListener::bind(("127.0.0.1", 0)).await?, settings, clock)
    }

    /// Starts on a socket that listens already, on an address of this machine.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn start_on(listener: std::net::TcpListener, settings: Settings) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::run(TcpListener::from_std(listener)?, settings, Arc::new(BootClock))
    }

    fn run(listener: TcpListener, settings: Settings, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let port = listener.local_addr()?.port();
        let now = Now { mono: clock.now(), wall_ms: clock.wall_ms() };
        let tick = (settings.heartbeat / 4).max(Duration::from_millis(10));
        let token = settings.token.clone();
        let world = World::new(settings, format!("ws://127.0.0.1:{port}"), now);
        let state = Mutex::new(State { world, wires: BTreeMap::new() });
        let shared = Arc::new(Shared { clock, tick, stop: Shutdown::new(), state });
        let mut tasks = JoinSet::new();
        tasks.spawn(http::serve(listener, Arc::clone(&shared)));
        Ok(Self { shared, port, token, _tasks: tasks })
    }

    /// Returns the gateway's URL.
    pub fn gateway_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Returns the URL that REST begins with, before `/v10`.
    pub fn rest_url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }

    /// Returns the URL of the page on which somebody can type.
    pub fn page_url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Returns the bot's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    fn with<T>(&self, act: impl FnOnce(&mut World, Now) -> T) -> T {
        self.shared.with(act)
    }
}

/// What happens in the guilds.
impl DiscordDouble {
    /// Invites the bot to a guild with one text channel, and returns the channel's id.
    pub fn add_guild(&self, guild: u64, name: &str) -> u64 {
        self.with(|world, now| world.add_guild(guild, name, now))
    }

    /// Adds a text channel to a guild, and returns its id; none when there is no such guild.
    pub fn add_channel(&self, guild: u64, name: &str) -> Option<u64> {
        self.with(|world, now| world.add_channel(guild, name, now))
    }

    /// Throws the bot out of a guild.
    pub fn remove_guild(&self, guild: u64) {
        self.with(|world, _| world.remove_guild(guild));
    }

    /// Begins (`true`) or ends an outage of a guild.
    pub fn outage(&self, guild: u64, out: bool) {
        self.with(|world, _| world.outage(guild, out));
    }

    /// Lets a user write in a channel, and returns the message's id; none when there is no such channel.
    pub fn say(&self, channel: u64, user: &User, text: &str) -> Option<u64> {
        self.with(|world, now| world.say(channel, user, text, now))
    }

    /// Pins something in a channel, at a time of the caller's as Discord writes it; says whether there is such a channel. What is
    /// told of it carries no id.
    pub fn pin(&self, channel: u64, at: &str) -> bool {
        self.with(|world, _| world.pin(channel, at))
    }

    /// Recommends another number of shards from now on.
    pub fn recommend(&self, shards: u32) {
        self.with(|world, _| world.settings.shards = shards);
    }

    /// Returns the channel between the bot and a user.
    pub fn direct_channel(&self, user: &User) -> u64 {
        self.with(|world, now| world.direct(user, now))
    }

    /// Lets a user call a slash command with `options` as the gateway has them; none when there is no such channel.
    pub fn command(&self, channel: u64, user: &User, name: &str, options: &Value) -> Option<Interaction> {
        self.with(|world, now| world.interact(&Deed::Command(channel, name, options), user, now))
    }

    /// Lets a user type at a slash command, which wants completion; none when there is no such channel.
    pub fn complete(&self, channel: u64, user: &User, name: &str, options: &Value) -> Option<Interaction> {
        self.with(|world, now| world.interact(&Deed::Complete(channel, name, options), user, now))
    }

    /// Lets a user press a button under a message; none when there is no such message.
    pub fn press(&self, message: u64, user: &User, button: &str) -> Option<Interaction> {
        self.with(|world, now| world.interact(&Deed::Press(message, button), user, now))
    }

    /// Returns the messages of a channel, oldest first.
    pub fn messages(&self, channel: u64) -> Vec<Value> {
        self.with(|world, _| {
            let here = world.rest.messages.values().filter(|(place, _)| place.channel == channel);
            here.map(|(_, message)| message.clone()).collect()
        })
    }

    /// Returns an interaction as it stands now.
    pub fn interaction(&self, token: &str) -> Option<Interaction> {
        self.with(|world, _| world.rest.interactions.get(token).cloned())
    }
}

/// What goes wrong. A shard's number means all connections of that number; each says how many there were.
impl DiscordDouble {
    /// Closes with a code.
    pub fn close(&self, shard: u32, code: u16) -> usize {
        self.with(|world, now| world.gateway.close_shard(shard, code, now))
    }

    /// Ends connections without a close frame.
    pub fn cut(&self, shard: u32) -> usize {
        self.with(|world, now| world.gateway.cut(shard, now))
    }

    /// Asks clients to reconnect (op 7).
    pub fn ask_to_reconnect(&self, shard: u32) -> usize {
        self.with(|world, _| world.gateway.ask_to_reconnect(shard))
    }

    /// Asks clients for a heartbeat at once (op 1).
    pub fn ask_for_beat(&self, shard: u32) -> usize {
        self.with(|world, _| world.gateway.ask_for_beat(shard))
    }

    /// Says that the session is invalid (op 9), and whether it can be resumed.
    pub fn invalidate(&self, shard: u32, resumable: bool) -> usize {
        self.with(|world, now| world.gateway.invalidate(shard, resumable, now))
    }

    /// Leaves connections open and does nothing more with them: no acknowledgement, no event. What happens waits for the
    /// session to resume.
    pub fn zombify(&self, shard: u32) -> usize {
        self.with(|world, now| world.gateway.zombify(shard, now))
    }

    /// Sends these very characters, which need not be a payload.
    pub fn send_raw(&self, shard: u32, text: &str) -> usize {
        self.with(|world, _| world.gateway.raw(shard, &text.into()))
    }

    /// Sends these very bytes, past any compression that was agreed on.
    pub fn send_bytes(&self, shard: u32, bytes: &[u8]) -> usize {
        self.with(|world, _| world.gateway.blurt(shard, &bytes.into()))
    }

    /// Sends an event of any name and data, numbered and replayed as any other.
    pub fn send_event(&self, shard: u32, name: &str, data: &Value) -> usize {
        self.with(|world, _| world.gateway.event(shard, name, &data.to_string()))
    }

    /// Accepts new connections and never says HELLO (`true`), or greets them again.
    pub fn set_silent(&self, silent: bool) {
        self.with(|world, _| world.gateway.set_silent(silent));
    }

    /// Answers 503 behind the resume URL (`true`), or serves it again.
    pub fn set_stale_resume_url(&self, stale: bool) {
        self.with(|world, _| world.stale_resume_url = stale);
    }

    /// Loses every session: all connections break and nothing can be resumed.
    pub fn forget_sessions(&self) {
        self.with(|world, _| world.gateway.forget());
    }

    /// Answers the next REST requests with these statuses, whatever they ask.
    pub fn fail_next(&self, statuses: &[u16]) {
        self.with(|world, _| world.rest.failing.extend(statuses));
    }

    /// Does what the next REST requests ask, so many of them, and loses the answers with their connections.
    pub fn lose_next(&self, many: usize) {
        self.with(|world, _| world.rest.losing += many);
    }

    /// Lets the bot use its limit up elsewhere for so long: 429 with the scope `global`.
    pub fn use_up_bot(&self, period: Duration) {
        self.with(|world, now| world.rest.limits.use_up(now.mono.after(period)));
    }

    /// Forbids the bot a channel: 403.
    pub fn forbid(&self, channel: u64) {
        self.with(|world, _| world.rest.forbidden.insert(channel));
    }

    /// Lets others use up a channel's rate limit for so long: 429 with the scope `shared`.
    pub fn use_up(&self, channel: u64, period: Duration) {
        self.with(|world, now| world.rest.limits.share(channel, now.mono.after(period)));
    }
}

/// What was asked of it.
impl DiscordDouble {
    /// Returns all connections so far.
    pub fn connected(&self) -> Vec<Connected> {
        self.with(|world, _| world.gateway.asked.connected.clone())
    }

    /// Returns all IDENTIFYs so far.
    pub fn identifies(&self) -> Vec<Identify> {
        self.with(|world, _| world.gateway.asked.identifies.clone())
    }

    /// Returns all RESUMEs so far.
    pub fn resumes(&self) -> Vec<Resume> {
        self.with(|world, _| world.gateway.asked.resumes.clone())
    }

    /// Returns what else clients have sent.
    pub fn sent(&self) -> Vec<Sent> {
        self.with(|world, _| world.gateway.asked.sent.clone())
    }

    /// Returns the connections with a session that clients have ended.
    pub fn closed(&self) -> Vec<Closed> {
        self.with(|world, _| world.gateway.asked.closed.clone())
    }

    /// Returns how many heartbeats came.
    pub fn beats(&self) -> usize {
        self.with(|world, _| world.gateway.asked.beats)
    }

    /// Returns the sessions as they are now.
    pub fn sessions(&self) -> Vec<Session> {
        self.with(|world, _| world.gateway.sessions())
    }

    /// Returns all REST requests so far.
    pub fn calls(&self) -> Vec<Call> {
        self.with(|world, _| world.rest.calls.clone())
    }

    /// Returns how many of them were invalid: answered 401, 403, or 429 for a limit that is not shared.
    pub fn invalid_requests(&self) -> usize {
        self.with(|world, _| world.rest.limits.invalid_requests)
    }
}
