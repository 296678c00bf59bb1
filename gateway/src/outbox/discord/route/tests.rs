use super::*;

const TOKEN: &str = "Bot ODEzODQ3.x.y";

fn route(method: &str, path: &str) -> Route {
    let url = format!("https://discord.com/api/v10{path}");
    Api::new("https://discord.com/api/v10").route(method, &url, Some(TOKEN)).expect("Discord's")
}

#[test]
fn calls_to_discord_are_known_by_host_and_path_in_every_version() {
    let api = Api::new("http://127.0.0.1:9/api/v10");
    let known = |url: &str| api.route("GET", url, None).map(|route| route.template);
    for url in [
        "http://127.0.0.1:9/api/v10/users/@me",
        "http://127.0.0.1:9/api/users/@me",
        "https://discord.com/api/v9/users/@me",
        "https://canary.discord.com/api/users/@me",
    ] {
        assert_eq!(known(url).as_deref(), Some("GET/users/@me"), "{url}");
    }
    for url in ["https://example.com/api/v10/users/@me", "https://discord.com/users/1", "http://127.0.0.1:8/api/v10/x"]
    {
        assert_eq!(known(url), None, "{url}");
    }
    let bare = Api::new("http://127.0.0.1:9").route("GET", "http://127.0.0.1:9/users/@me", None);
    assert_eq!(bare.map(|route| route.template).as_deref(), Some("GET/users/@me"));
}

#[test]
fn what_shares_a_limit_is_one_template_and_is_split_by_channel_guild_and_webhook() {
    for (method, path, template, major) in [
        ("post", "/channels/1/messages", "POST/channels/:/messages", "813847/1"),
        ("PATCH", "/channels/2/messages/77", "PATCH/channels/:/messages/:", "813847/2"),
        (
            "PUT",
            "/channels/2/messages/7/reactions/%F0%9F%94%A5/@me",
            "PUT/channels/:/messages/:/reactions/:",
            "813847/2",
        ),
        ("PUT", "/guilds/3/bans/9", "PUT/guilds/:/bans/:", "813847/3"),
        ("POST", "/webhooks/4/abc", "POST/webhooks/:/:", "813847/4/abc"),
        ("GET", "/invites/aBcD", "GET/invites/:", "813847/"),
        ("POST", "/users/@me/channels", "POST/users/@me/channels", "813847/"),
    ] {
        let route = route(method, path);
        assert_eq!((route.template.as_str(), route.major.as_str()), (template, major), "{method} {path}");
    }
}

#[test]
fn a_bot_is_its_id_whatever_its_token_and_who_names_none_is_one() {
    assert_eq!(bot_of(Some(TOKEN)), "813847");
    assert_eq!(bot_of(Some("Bot ODEzODQ3.other.z")), "813847");
    assert_ne!(fingerprint(TOKEN), fingerprint("Bot ODEzODQ3.other.z"));
    assert_eq!(bot_of(Some("Bearer of-a-user")), "no-bot");
    assert_eq!(bot_of(None), "no-bot");
    assert!(bot_of(Some("Bot double.token")).starts_with("token-"));
}

#[test]
fn an_interaction_is_known_by_its_address_and_can_be_answered_for_fifteen_minutes() {
    let id = (1_700_000_000_000 - DISCORD_EPOCH_MS) << 22 | 5;
    let over = 1_700_000_900_000;
    let token = STANDARD_NO_PAD.encode(format!("interaction:{id}:a-random-rest-of-it"));
    let callback = route("POST", &format!("/interactions/{id}/{token}/callback")).interaction.expect("one");
    assert_eq!(callback.over_ms(1), over);
    let followup = route("POST", &format!("/webhooks/1/{token}")).interaction.expect("one");
    assert_eq!(followup.over_ms(1), over);
    // Where the token does not say so, the call's own time counts.
    let original = route("PATCH", "/webhooks/1/tok/messages/@original").interaction.expect("one");
    assert_eq!(original.over_ms(1_000), 901_000);
    let odd = route("POST", &format!("/webhooks/1/{INTERACTION}ä")).interaction.expect("one");
    assert_eq!(odd.over_ms(1_000), 901_000);
    assert_eq!(route("POST", "/webhooks/1/of-a-channel").interaction, None);
    assert_eq!(route("POST", "/channels/1/messages").interaction, None);
}

#[test]
fn only_a_new_message_may_have_a_nonce() {
    assert!(route("POST", "/channels/1/messages").message);
    assert!(!route("PATCH", "/channels/1/messages/2").message);
    assert!(!route("POST", "/channels/1/messages/bulk-delete").message);
}
