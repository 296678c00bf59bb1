use super::*;
use ed25519_dalek::{Signature, SigningKey, Verifier};

fn header<'a>(webhook: &'a Webhook, name: &str) -> &'a str {
    &webhook.headers.iter().find(|(key, _)| key == name).expect("header is there").1
}

#[test]
fn a_discord_signature_covers_the_timestamp_and_the_body() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let webhook = discord::sign(&key, "/webhooks/discord", 1_700_000_000, Bytes::from_static(b"{\"type\":1}"));
    let bytes: [u8; 64] =
        hex::decode(header(&webhook, "x-signature-ed25519")).expect("hex").try_into().expect("64 bytes");
    let signature = Signature::from_bytes(&bytes);
    assert!(key.verifying_key().verify(b"1700000000{\"type\":1}", &signature).is_ok());
    assert!(key.verifying_key().verify(b"1700000001{\"type\":1}", &signature).is_err());
}

#[test]
fn slack_github_and_standard_signatures_are_as_their_documents_show() {
    // The example of Slack's "Verifying requests from Slack".
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let webhook = slack::sign("8f742231b10e8888abcd99yyyzzz85a5", slack::FORM, 1_531_420_618, body.into());
    assert_eq!(
        header(&webhook, "x-slack-signature"),
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    );
    // The example of GitHub's "Validating webhook deliveries".
    let webhook = github::sign("It's a Secret to Everybody", "push", "1", Bytes::from_static(b"Hello, World!"));
    assert_eq!(
        header(&webhook, "x-hub-signature-256"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
    // The example of the Standard Webhooks specification's libraries.
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = Bytes::from_static(b"{\"test\": 2432232314}");
    let webhook = standard::sign(secret, "demo", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).expect("valid");
    assert_eq!(header(&webhook, "webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert!(standard::sign("plain", "demo", "1", 1, Bytes::new()).is_none());
}

#[test]
fn a_secret_said_for_one_source_is_not_used_for_another() {
    let named = |said| keyring::named(Some(said), "b", |said: &str| said.starts_with("whsec_"));
    assert_eq!(named("a=whsec_x=,b=whsec_y==").as_deref(), Some("whsec_y=="));
    assert_eq!(named("whsec_z=").as_deref(), Some("whsec_z="));
    assert_eq!(named("a=whsec_x="), None);
}

#[test]
fn a_cluster_with_a_secret_of_its_own_is_not_signed_for_with_a_made_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = Home::at(dir.path());
    home.create().expect("made");
    let made = secrets::Made::load_or_make(&home).expect("made");
    let cluster = Cluster {
        running: true,
        supervisor: 1,
        http_url: "http://127.0.0.1:1".into(),
        config_url: "http://127.0.0.1:2".into(),
        scaled: None,
        gateways: Vec::new(),
        store: String::new(),
        given: vec!["BERTH_DISCORD_PUBLIC_KEY".into()],
    };
    home.record(&cluster).expect("recorded");
    let keys = Keyring::open(&home).expect("readable");
    let refused = discord::key(None, &keys).expect_err("the private key is Discord's");
    assert!(refused.to_string().contains("BERTH_DISCORD_PUBLIC_KEY"), "{refused}");
    assert!(discord::key(Some(&made.discord_private_key), &keys).is_ok());
}

#[test]
fn a_played_interaction_routes_by_its_guild_and_names_the_users_it_mentions() {
    let options = vec![serde_json::json!({"type": 6, "name": "user", "value": "42"})];
    let said = discord::Said { guild: Some("123"), channel: "5", user: "6", command: "warn", options };
    let body = discord::interaction("9", &said);
    assert_eq!((&body["guild_id"], &body["data"]["name"]), (&"123".into(), &"warn".into()));
    assert_eq!(body["data"]["resolved"]["users"]["42"]["id"], "42");
    let direct = discord::interaction("9", &discord::Said { guild: None, ..said });
    assert!(direct.get("guild_id").is_none() && direct["user"]["id"] == "6");
}

#[test]
fn ids_of_one_millisecond_differ_by_their_random_part() {
    assert_eq!(snowflake(1_420_070_400_001, 5), (1 << 22) | 5);
    assert_ne!(snowflake(1_700_000_000_000, 1), snowflake(1_700_000_000_000, 2));
}
