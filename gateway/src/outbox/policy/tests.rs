use super::*;

fn call(method: &str, url: &str) -> OutboxCall {
    OutboxCall { id: "1".into(), method: method.into(), url: url.into(), headers: vec![], body: String::new() }
}

#[test]
fn only_hosts_on_the_list_are_called_and_only_over_https() {
    let allowed = Allowed::new("hooks.slack.com, example.com:8443", "https://discord.com/api/v10", false);
    let check = |method: &str, url: &str| allowed.check_call(&call(method, url)).map(|_| ());
    assert_eq!(check("post", "https://hooks.slack.com/x"), Ok(()));
    assert_eq!(check("PATCH", "https://discord.com/api/v10/webhooks/1"), Ok(()));
    assert_eq!(check("GET", "https://EXAMPLE.com:8443/"), Ok(()));
    assert_eq!(check("GET", "https://example.com/"), Err(Refused::Host("example.com:443".into())));
    assert_eq!(check("GET", "http://hooks.slack.com/x"), Err(Refused::Plain));
    assert_eq!(check("GET", "https://hooks.slack.com@evil.example/"), Err(Refused::Url));
    assert_eq!(check("GET", "https://hooks.slack.com.evil.example/").map_err(|_| ()), Err(()));
    assert_eq!(check("GET", "file:///etc/passwd"), Err(Refused::Url));
    assert_eq!(check("CONNECT", "https://hooks.slack.com/x"), Err(Refused::Method));
}

#[test]
fn no_header_leads_a_call_to_another_host_or_changes_where_its_body_ends() {
    let allowed = Allowed::new("hooks.slack.com", "", false);
    let with = |name: &str| {
        let headers = vec![("accept".to_owned(), "*/*".to_owned()), (name.to_owned(), "x".to_owned())];
        allowed.check_call(&OutboxCall { headers, ..call("POST", "https://hooks.slack.com/x") }).map(|_| ())
    };
    for name in ["Host", "content-length", "Transfer-Encoding", "connection", "upgrade", "idempotency-key"] {
        assert_eq!(with(name), Err(Refused::Header(name.into())));
    }
    assert_eq!(with("authorization"), Ok(()));
}

#[test]
fn private_addresses_are_refused_however_they_are_written() {
    let hosts = "127.0.0.1,10.0.0.1,[::1],[::ffff:127.0.0.1],0x7f000001,2130706433";
    let (closed, open) = (Allowed::new(hosts, "", false), Allowed::new(hosts, "", true));
    for url in [
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.1/",
    ] {
        assert_eq!(closed.check_call(&call("GET", url)), Err(Refused::Address), "{url}");
        assert!(open.check_call(&call("GET", url)).is_ok(), "{url}");
    }
    for (address, public) in [
        ("8.8.8.8", true),
        ("2606:4700::1111", true),
        ("169.254.169.254", false),
        ("100.64.0.1", false),
        ("172.31.255.255", false),
        ("0.0.0.0", false),
        ("255.255.255.255", false),
        ("::", false),
        ("fe80::1", false),
        ("fd00::1", false),
        ("::ffff:10.0.0.1", false),
        ("::ffff:8.8.8.8", true),
        ("64:ff9b::a00:1", false),
        ("2002:7f00:1::", false),
        ("2001:db8::1", false),
        ("ff02::1", false),
    ] {
        assert_eq!(is_public(address.parse().expect("an address")), public, "{address}");
    }
}
