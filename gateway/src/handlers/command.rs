//! Reads commands and messages out of events, whatever platform they come from. Pure; what is no command is `None`, never
//! an error, since events are written by strangers.

use super::{GuildStanding, guild};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use shared::event::{Event, EventKind};
use shared::platform::form_field;
use std::borrow::Cow;

/// A command that somebody gave: `/warn @bob being rude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its name, without the slash.
    pub name: String,
    /// Who gave it: the platform's id of the user, or their name where there is no id.
    pub user: String,
    /// What follows the name. Options of Discord stand here in their order, separated by spaces.
    pub args: String,
}

impl Command {
    /// Returns the first word of the arguments and what follows it. A mention (`<@123>`, `<@U1|bob>`, `@bob`) is reduced
    /// to what it mentions.
    pub fn first(&self) -> Option<(&str, &str)> {
        let args = self.args.trim();
        let (word, rest) = args.split_once(char::is_whitespace).unwrap_or((args, ""));
        let word = word.trim_start_matches("<@").trim_start_matches(['!', '&', '@']).trim_end_matches('>');
        let word = word.split_once('|').map_or(word, |(id, _)| id);
        (!word.is_empty()).then_some((word, rest.trim()))
    }

    fn parse(text: &str, user: String) -> Option<Self> {
        let text = text.trim().strip_prefix('/')?;
        let (name, args) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        // Telegram adds the bot's name in groups: /stats@my_bot.
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        (!name.is_empty()).then(|| Self { name: name.to_ascii_lowercase(), user, args: args.trim().to_owned() })
    }
}

/// A plain message that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it, as in [`Command::user`].
    pub user: String,
    /// What they wrote.
    pub text: String,
}

/// What an event says, in words that are the same on every platform.
pub trait EventExt {
    /// Returns the command, if the event is one: a Discord application command, a Telegram or GitHub text that begins
    /// with `/`, such a message that Discord's gateway told of, a Slack slash command, or JSON like `{"command":"warn","args":"bob rude","user":"alice"}`.
    fn command(&self) -> Option<Command>;

    /// Returns the message, if the event is a plain one: a Telegram text, a Slack message, one that Discord's gateway sent
    /// and no bot wrote, or JSON like
    /// `{"message":"hello","user":"alice"}`.
    fn message(&self) -> Option<Message>;

    /// Returns what became of the guild as a whole, if Discord's gateway tells of that: a GUILD_CREATE or a GUILD_DELETE. An
    /// outage is no removal.
    fn guild(&self) -> Option<GuildStanding>;
}

impl EventExt for Event {
    fn command(&self) -> Option<Command> {
        match self.kind {
            EventKind::DiscordCommand => discord(&self.body),
            EventKind::DiscordDispatch => {
                discord_message(&self.body).and_then(|said| Command::parse(&said.text, said.user))
            }
            EventKind::TelegramUpdate => telegram(&self.body).and_then(|said| Command::parse(&said.text, said.user)),
            EventKind::SlackCommand => slack(&self.body),
            EventKind::StandardWebhook => generic(&self.body),
            EventKind::GithubEvent => generic(&self.body).or_else(|| github(&self.body)),
            _ => None,
        }
    }

    fn message(&self) -> Option<Message> {
        let said = match self.kind {
            EventKind::TelegramUpdate => telegram(&self.body),
            EventKind::SlackEvent => slack_message(&self.body),
            EventKind::DiscordDispatch => discord_message(&self.body),
            EventKind::StandardWebhook => {
                let sent: Value = serde_json::from_slice(&self.body).ok()?;
                Some(Message { user: word(sent.get("user")?)?, text: sent.get("message")?.as_str()?.to_owned() })
            }
            _ => None,
        }?;
        (!said.text.trim_start().starts_with('/')).then_some(said)
    }

    fn guild(&self) -> Option<GuildStanding> {
        guild::standing(self)
    }
}

#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Interaction<'a> {
    #[serde(borrow)]
    data: CommandData<'a>,
    #[serde(borrow)]
    member: Option<Member<'a>>,
    #[serde(borrow)]
    user: Option<Id<'a>>,
}

#[derive(Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    user: Id<'a>,
}

#[derive(Deserialize)]
struct CommandData<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    options: Vec<Choice>,
    target_id: Option<String>,
}

/// An option of a command, or a subcommand with options of its own.
#[derive(Deserialize)]
struct Choice {
    name: String,
    value: Option<Value>,
    #[serde(default)]
    options: Vec<Choice>,
}

#[derive(Deserialize)]
struct Dispatched {
    t: String,
    d: Value,
}

fn discord_message(body: &[u8]) -> Option<Message> {
    let sent: Dispatched = serde_json::from_slice(body).ok().filter(|sent: &Dispatched| sent.t == "MESSAGE_CREATE")?;
    let (author, text) = (sent.d.get("author")?, sent.d.get("content")?.as_str()?.to_owned());
    let is_bot = author.get("bot").and_then(Value::as_bool).unwrap_or(false);
    let user = word(author.get("id")?)?;
    (!is_bot && !text.is_empty()).then_some(Message { user, text })
}

fn discord(body: &[u8]) -> Option<Command> {
    let sent: Interaction<'_> = serde_json::from_slice(body).ok()?;
    let user = sent.member.map(|member| member.user).or(sent.user)?.id.into_owned();
    let mut words: Vec<String> = sent.data.target_id.into_iter().collect();
    words.extend(sent.data.options.iter().flat_map(flatten));
    Some(Command { name: sent.data.name.to_ascii_lowercase(), user, args: words.join(" ") })
}

/// Returns the named options of a Discord command, those of a subcommand too; none of other events.
pub(super) fn options(event: &Event) -> Map<String, Value> {
    fn gather(choices: Vec<Choice>, into: &mut Map<String, Value>) {
        for choice in choices {
            match choice.value {
                Some(value) => drop(into.insert(choice.name, value)),
                None => gather(choice.options, into),
            }
        }
    }
    let mut all = Map::new();
    if event.kind == EventKind::DiscordCommand
        && let Ok(sent) = serde_json::from_slice::<Interaction<'_>>(&event.body)
    {
        gather(sent.data.options, &mut all);
    }
    all
}

fn flatten(choice: &Choice) -> Vec<String> {
    match &choice.value {
        Some(value) => word(value).into_iter().collect(),
        None => std::iter::once(choice.name.clone()).chain(choice.options.iter().flat_map(flatten)).collect(),
    }
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    message: Option<Post<'a>>,
    #[serde(borrow)]
    channel_post: Option<Post<'a>>,
}

#[derive(Deserialize)]
struct Post<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    from: Option<Person<'a>>,
    #[serde(borrow)]
    sender_chat: Option<Person<'a>>,
}

#[derive(Deserialize)]
struct Person<'a> {
    id: i64,
    #[serde(borrow)]
    username: Option<Cow<'a, str>>,
}

/// People on Telegram mention each other by name, so the name is what they are known by; the id where there is none.
fn telegram(body: &[u8]) -> Option<Message> {
    let update: Update<'_> = serde_json::from_slice(body).ok()?;
    let post = update.message.or(update.channel_post)?;
    let from = post.from.or(post.sender_chat)?;
    let user = from.username.map_or_else(|| from.id.to_string(), Cow::into_owned);
    Some(Message { user, text: post.text?.into_owned() })
}

fn slack(body: &[u8]) -> Option<Command> {
    let text = format!("{} {}", form_field(body, "command")?, form_field(body, "text").unwrap_or_default());
    Command::parse(&text, form_field(body, "user_id")?)
}

fn slack_message(body: &[u8]) -> Option<Message> {
    let sent: Value = serde_json::from_slice(body).ok()?;
    let event = sent.get("event")?;
    let plain = event.get("type")? == "message" && event.get("subtype").is_none() && event.get("bot_id").is_none();
    let (user, text) = (event.get("user")?.as_str()?, event.get("text")?.as_str()?);
    plain.then(|| Message { user: user.to_owned(), text: text.to_owned() })
}

#[derive(Deserialize)]
struct Generic<'a> {
    command: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    user: Option<Value>,
}

fn generic(body: &[u8]) -> Option<Command> {
    let sent: Generic<'_> = serde_json::from_slice(body).ok()?;
    let args = match sent.args.map(|args| serde_json::from_str(args.get())).transpose().ok()? {
        Some(Value::Array(words)) => words.iter().filter_map(word).collect::<Vec<_>>().join(" "),
        Some(value) => word(&value).unwrap_or_default(),
        None => String::new(),
    };
    let user = sent.user.as_ref().and_then(word).unwrap_or_default();
    Command::parse(&format!("/{} {args}", sent.command.trim_start_matches('/')), user)
}

fn github(body: &[u8]) -> Option<Command> {
    let sent: Value = serde_json::from_slice(body).ok()?;
    if sent.get("action")? != "created" {
        return None;
    }
    Command::parse(sent.pointer("/comment/body")?.as_str()?, word(sent.pointer("/sender/login")?)?)
}

/// A value as a person would write it.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
