//! Which paths there are, and which bucket each belongs to. Knows nothing of what they do.

/// A path with its method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Gateway,
    GatewayBot,
    Me,
    Channel(u64),
    Typing(u64),
    /// POST a message.
    Create(u64),
    Read(u64, u64),
    Edit(u64, u64),
    Delete(u64, u64),
    /// The first answer to an interaction: its id and token.
    Callback(u64, String),
    /// A message through an interaction's token: the application and the token.
    Followup(u64, String),
    /// One of those messages, the original without an id: what is done with it, then the same.
    OfWebhook(Verb, u64, String, Option<u64>),
}

/// What is done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Edit,
    Delete,
}

impl Route {
    /// Interactions are answered by whoever has their token.
    pub(crate) fn needs_bot(&self) -> bool {
        !self.of_interaction()
    }

    /// Whether it is an interaction's, which the bot's global limit leaves alone.
    pub(crate) fn of_interaction(&self) -> bool {
        matches!(self, Self::Callback(..) | Self::Followup(..) | Self::OfWebhook(..))
    }

    /// The bucket's name, and the part of the path that splits it.
    pub(crate) fn bucket(&self) -> (&'static str, String) {
        match self {
            Self::Gateway => ("gateway", String::new()),
            Self::GatewayBot => ("gateway-bot", String::new()),
            Self::Me => ("me", String::new()),
            Self::Channel(id) => ("channel", id.to_string()),
            Self::Typing(id) => ("typing", id.to_string()),
            Self::Create(channel) => ("message-create", channel.to_string()),
            Self::Read(channel, _) => ("message-read", channel.to_string()),
            Self::Edit(channel, _) => ("message-edit", channel.to_string()),
            Self::Delete(channel, _) => ("message-delete", channel.to_string()),
            Self::Callback(_, token) => ("callback", token.clone()),
            Self::Followup(_, token) => ("webhook", token.clone()),
            Self::OfWebhook(_, _, token, _) => ("webhook-message", token.clone()),
        }
    }
}

/// Takes `/v10` off.
pub(crate) fn versionless(path: &str) -> &str {
    let rest = path.strip_prefix("/v").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Finds what a method and a path mean. Some clients write `@` as it stands, some as `%40`.
pub(crate) fn find(method: &str, path: &str) -> Option<Route> {
    let path = path.replace("%40", "@");
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let id = |text: &str| text.parse::<u64>().ok();
    let verb = match method {
        "GET" => Some(Verb::Read),
        "PATCH" => Some(Verb::Edit),
        "DELETE" => Some(Verb::Delete),
        _ => None,
    };
    Some(match (method, parts.as_slice()) {
        ("GET", ["gateway"]) => Route::Gateway,
        ("GET", ["gateway", "bot"]) => Route::GatewayBot,
        ("GET", ["users", "@me"]) => Route::Me,
        ("GET", ["channels", channel]) => Route::Channel(id(channel)?),
        ("POST", ["channels", channel, "typing"]) => Route::Typing(id(channel)?),
        ("POST", ["channels", channel, "messages"]) => Route::Create(id(channel)?),
        (_, ["channels", channel, "messages", message]) => match verb? {
            Verb::Read => Route::Read(id(channel)?, id(message)?),
            Verb::Edit => Route::Edit(id(channel)?, id(message)?),
            Verb::Delete => Route::Delete(id(channel)?, id(message)?),
        },
        ("POST", ["interactions", interaction, token, "callback"]) => {
            Route::Callback(id(interaction)?, (*token).to_owned())
        }
        ("POST", ["webhooks", application, token]) => Route::Followup(id(application)?, (*token).to_owned()),
        (_, ["webhooks", application, token, "messages", "@original"]) => {
            Route::OfWebhook(verb?, id(application)?, (*token).to_owned(), None)
        }
        (_, ["webhooks", application, token, "messages", message]) => {
            Route::OfWebhook(verb?, id(application)?, (*token).to_owned(), Some(id(message)?))
        }
        _ => return None,
    })
}
