//! Who is asked, and whose words are told.

use jiff::Timestamp;
use leadsman_core::analysis::Outcome;
use serde_json::json;

use super::super::addresses::{Access, AddressPattern, Addresses};
use super::super::prometheus::{Asked, send};
use super::http::{allowing, error, one};
use super::server::{Reply, json, server};
use super::{outcomes, prometheus_of, question};

fn addresses(default: Option<&str>, allowed: &[&str]) -> Addresses {
    let allowed: Vec<AddressPattern> = allowed.iter().map(|text| text.parse().unwrap()).collect();
    Addresses::new(default.map(str::to_owned), &allowed)
}

fn access(allowed: &[&str], address: &str) -> Option<Access> {
    addresses(None, allowed).access(address).ok()
}

/// In every spelling that a URL may have.
const SPECIAL: [&str; 27] = [
    "http://127.0.0.1:9090",
    "http://127.8.9.1",
    "http://127.1",
    "http://2130706433",
    "http://0x7f.0.0.1",
    "http://017700000001",
    "http://[::1]:9090",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://[::127.0.0.1]",
    "http://[64:ff9b::127.0.0.1]",
    "http://[2002:7f00:1::]",
    "http://169.254.169.254/latest",
    "http://[::ffff:169.254.169.254]",
    "http://[64:ff9b::a9fe:a9fe]",
    "http://[fe80::1]",
    "http://[febf::1]",
    "http://0.0.0.0",
    "http://0.1.2.3",
    "http://[::]",
    "http://224.0.0.1",
    "http://255.255.255.255",
    "http://[ff02::1]",
    "http://[fd00:ec2::254]",
    "http://[fd20:ce::254]",
    "http://100.100.100.200",
    "https://168.63.129.16",
];

#[test]
fn special_addresses_are_refused_in_every_spelling_unless_they_are_listed() {
    for address in SPECIAL {
        for allowed in [&[][..], &["*"], &["10.0.0.0/8"], &["*.example.com", "https://thanos"]] {
            let failure = addresses(None, allowed).access(address).unwrap_err();
            assert!(failure.query_is_wrong && failure.message.contains("--metric-address-allow"), "{failure:?}");
        }
        assert_eq!(access(&["0.0.0.0/0", "::/0"], address), Some(Access::Vouched), "{address}");
    }
    assert_eq!(access(&["127.0.0.0/8"], "http://[::ffff:127.0.0.1]:9090"), Some(Access::Vouched));
    assert_eq!(access(&["http://127.0.0.1:9090"], "http://127.1:9090/path"), Some(Access::Vouched));
    assert_eq!(access(&["http://127.0.0.1:9090"], "http://127.0.0.1:6443"), None);
}

#[test]
fn without_a_list_every_other_address_may_be_asked_and_none_but_the_default_is_quoted() {
    let addresses = addresses(Some("http://prometheus.monitoring:9090/"), &[]);
    for address in ["http://10.96.0.12:9090", "https://thanos.example.com", "http://192.168.77.254", "http://[fd00::1]"]
    {
        assert_eq!(addresses.access(address), Ok(Access::Foreign), "{address}");
    }
    assert_eq!(addresses.access("http://prometheus.monitoring:9090"), Ok(Access::Vouched));
    for other in ["http://prometheus.monitoring:9090/admin", "http://prometheus.monitoring:8080", "http://prometheus"] {
        assert_eq!(addresses.access(other), Ok(Access::Foreign), "{other}");
    }
}

#[test]
fn a_default_on_this_machine_opens_no_other_port_of_it() {
    let addresses = addresses(Some("http://127.0.0.1:9090"), &[]);
    assert_eq!(addresses.access("http://127.0.0.1:9090"), Ok(Access::Vouched));
    assert!(addresses.access("http://127.0.0.1:6443").is_err());
}

#[test]
fn with_a_list_only_what_it_names_may_be_asked() {
    let allowed = ["https://thanos.example.com", "mimir.monitoring:8080", "*.prom.example.com", "10.1.0.0/16"];
    for (address, expected) in [
        ("https://thanos.example.com", Some(Access::Vouched)),
        ("https://THANOS.example.com./prefix", Some(Access::Vouched)),
        ("https://thanos.example.com:8443", Some(Access::Vouched)),
        ("http://thanos.example.com", Some(Access::InNetworks)),
        ("http://mimir.monitoring:8080", Some(Access::Vouched)),
        ("https://mimir.monitoring:8080", Some(Access::Vouched)),
        ("http://mimir.monitoring", Some(Access::InNetworks)),
        ("http://a.prom.example.com:9090", Some(Access::Guarded)),
        ("http://prom.example.com", Some(Access::InNetworks)),
        ("http://badprom.example.com", Some(Access::InNetworks)),
        ("http://10.1.2.3:9090", Some(Access::Vouched)),
        ("http://[::ffff:10.1.2.3]:9090", Some(Access::Vouched)),
        ("http://10.2.2.3:9090", None),
        ("http://[fd00::1]", None),
    ] {
        assert_eq!(access(&allowed, address), expected, "{address}");
    }
    assert_eq!(access(&["https://thanos.example.com"], "http://other.example.com"), None);
    assert_eq!(access(&["*"], "http://other.example.com"), Some(Access::Guarded));
    assert_eq!(access(&["*"], "http://10.2.2.3:9090"), Some(Access::Guarded));
}

#[test]
fn what_is_no_entry_of_a_list_is_refused_when_the_operator_starts() {
    for wrong in [
        "",
        "ftp://a",
        "http://a/path",
        "http://",
        "http://user@a",
        "a:b",
        "a:99999",
        "10.0.0.0/33",
        "10.0.0.0/x",
        "10.0.0.0/-1",
        "::1/129",
        "*a.example.com",
        "*.",
        "*.10.0.0.1",
        "a b",
        "[::1",
    ] {
        assert!(wrong.parse::<AddressPattern>().is_err(), "{wrong:?}");
    }
    for fine in
        ["a", "a.b:1", "[::1]:9090", "::1", "::1/128", "fd00::/8", "http://a/", "https://*.a:443", "*", "*:9090"]
    {
        assert!(fine.parse::<AddressPattern>().is_ok(), "{fine:?}");
    }
}

/// A name of this machine, as `/etc/hosts` has it.
#[tokio::test]
async fn a_name_that_leads_to_a_special_address_is_refused_when_the_connection_is_made() {
    let server = server(one("1")).await;
    let address = server.address.replace("127.0.0.1", "localhost");
    for allowed in [&[][..], &["*"], &["10.0.0.0/8"]] {
        let (query_is_wrong, message) =
            error(outcomes(&allowing(None, allowed), &question("m", &address)).await.remove(0));
        assert!(query_is_wrong && message.contains("localhost leads to"), "{message}");
        assert!(message.contains("--metric-address-allow"), "{message}");
    }
    assert!(server.requests.lock().unwrap().is_empty());
    for allowed in [&["localhost"][..], &[&address], &["127.0.0.0/8", "::1"]] {
        let outcome = outcomes(&allowing(None, allowed), &question("m", &address)).await.remove(0);
        assert!(matches!(outcome, Outcome::Samples(_)), "{allowed:?}: {outcome:?}");
    }
    let default = outcomes(&allowing(Some(&address), &[]), &question("m", &address)).await.remove(0);
    assert!(matches!(default, Outcome::Samples(_)), "{default:?}");
}

#[tokio::test]
async fn a_default_by_name_opens_no_other_port_of_its_host() {
    let server = server(one("1")).await;
    let address = server.address.replace("127.0.0.1", "localhost");
    let (query_is_wrong, message) =
        error(outcomes(&allowing(Some("http://localhost:1"), &[]), &question("m", &address)).await.remove(0));
    assert!(query_is_wrong && message.contains("localhost leads to"), "{message}");
    assert!(server.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_an_unlisted_address_says_is_judged_and_not_quoted() {
    let secret = "the-secret";
    let bad = json!({"status": "error", "errorType": "bad_data", "error": secret});
    let text = Reply { status: 403, content_type: "text/plain", body: secret.to_owned(), location: None };
    let elsewhere = Reply { status: 302, location: Some(format!("http://a/{secret}")), ..one("1") };
    for (reply, code, wrong) in [
        (Reply { status: 400, ..json(&bad) }, "HTTP 400 Bad Request", true),
        (text, "HTTP 403 Forbidden", false),
        (elsewhere, "HTTP 302 Found", false),
    ] {
        let server = server(reply).await;
        let (sources, mut question) = (allowing(None, &[]), question("m", &server.address));
        let asked =
            |access| Asked { query: "up", at: Timestamp::UNIX_EPOCH, counts: false, address: &server.address, access };
        let source = prometheus_of(&mut question).clone();
        let foreign = send(&sources.http, &source, &asked(Access::Foreign)).await.unwrap_err();
        assert_eq!(foreign.query_is_wrong, wrong, "{foreign:?}");
        let message = foreign.message;
        assert!(message.contains(code) && message.contains("--metric-address-allow"), "{message}");
        assert!(!message.contains(secret), "{message}");
        let listed = send(&sources.http, &source, &asked(Access::Vouched)).await.unwrap_err();
        assert_eq!((listed.query_is_wrong, listed.message.contains(secret)), (wrong, true));
    }
}
