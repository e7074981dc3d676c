//! Pairing when somebody does it wrong: PINs, order, neighbours, time.

mod common;

use std::time::Duration;

use common::certs::Shape;
use common::{ClientIdentity, PATIENCE, Pairer, TestHost, get, get_tls};
use punktfunk_core::Grants;
use punktfunk_hub::trust::ClientChange;
use rustls::version::TLS13;

const ID: &str = "0123456789ABCDEF";

fn other_client() -> ClientIdentity {
    Shape { key: 1, signed_by: 1, ..Shape::default() }.make()
}

/// A client that got its certificate: the PIN was typed.
async fn after_first(host: &TestHost, client: &ClientIdentity, shown: &[u8; 4], typed: &str) -> Pairer {
    let mut pairer = Pairer::new(host.http, client, ID, shown);
    let first = pairer.spawn_first();
    host.pins_wanted(1).await;
    assert!(!first.is_finished(), "the answer waits for the PIN");
    host.hub.pairing().submit_pin(None, typed).unwrap();
    pairer.finish_first(first).await.expect("a certificate");
    pairer
}

fn paired(answer: &common::client::Answer) -> (u16, Option<String>) {
    assert_eq!(answer.http_status, 200, "no client reads anything else");
    (answer.status(), answer.element("paired"))
}

fn refused(status: u16) -> (u16, Option<String>) {
    (status, Some("0".into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_pin_pairs_nobody_whatever_the_client_does_next() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    // A client that compares the host's hash stops and says so.
    let mut pairer = after_first(&host, &client, b"1234", "1235").await;
    assert_eq!(pairer.second().await.status(), 200);
    let (answer, right) = pairer.third().await;
    assert_eq!((answer.status(), right), (200, false));
    assert_eq!((pairer.unpair().await.http_status, pairer.unpair().await.status()), (200, 200));
    assert_eq!(paired(&pairer.fourth().await), refused(400), "the attempt is gone");
    // One that does not goes on.
    let mut pairer = after_first(&host, &client, b"1234", "1235").await;
    pairer.second().await;
    pairer.third().await;
    assert_eq!(paired(&pairer.fourth().await), refused(200));
    assert!(host.hub.trust().list().is_empty());
    assert_eq!(get_tls(host.https, "/applist", Some(&client), &TLS13).await.unwrap().status(), 401);
    // Neither is in the way of the right one.
    host.pair(&client).await;
    assert_eq!(get_tls(host.https, "/applist", Some(&client), &TLS13).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phases_pass_once_and_in_order() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    for phase in ["clientchallenge", "serverchallengeresp", "clientpairingsecret", "nothing"] {
        let answer = get(host.http, &format!("/pair?uniqueid={ID}&{phase}=00")).await;
        assert_eq!(paired(&answer), refused(400), "{phase} of nobody");
    }
    // Skipped.
    let mut pairer = after_first(&host, &client, b"1234", "1234").await;
    assert_eq!(paired(&pairer.fourth().await), refused(400));
    assert_eq!(paired(&pairer.second().await), refused(400), "the attempt is gone");
    // Replayed.
    let mut pairer = after_first(&host, &client, b"1234", "1234").await;
    pairer.second().await;
    assert_eq!(paired(&pairer.second().await), refused(400));
    assert_eq!(paired(&get(host.http, &pairer.third_target()).await), refused(400), "the attempt is gone");
    // The last one replayed, after it was good.
    let mut pairer = after_first(&host, &client, b"1234", "1234").await;
    assert!(pairer.rest().await);
    assert_eq!(paired(&pairer.fourth().await), refused(400));
    assert_eq!(host.hub.trust().list().len(), 1, "what is paired stays paired");
    // Messages of wrong lengths.
    for wrong in ["clientchallenge=00", "clientchallenge=", "clientchallenge=zz"] {
        let mut pairer = after_first(&host, &other_client(), b"1234", "1234").await;
        assert_eq!(paired(&get(host.http, &format!("/pair?uniqueid={ID}&{wrong}")).await), refused(400), "{wrong}");
        assert_eq!(paired(&pairer.second().await), refused(400), "{wrong}: the attempt is gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_phase_ends_a_first_one_that_is_held() {
    let host = TestHost::start();
    let mut pairer = Pairer::new(host.http, &ClientIdentity::stock(), ID, b"1234");
    let first = pairer.spawn_first();
    host.pins_wanted(1).await;
    assert_eq!(paired(&pairer.second().await), refused(400));
    assert_eq!(paired(&first.await.unwrap()), refused(409));
    host.pins_wanted(0).await;
    // So does the client's own wish.
    let first = pairer.spawn_first();
    host.pins_wanted(1).await;
    assert_eq!(get(host.http, "/unpair?uniqueid=another").await.status(), 200);
    assert_eq!(host.hub.pairing().pins_wanted().len(), 1, "that was somebody else");
    pairer.unpair().await;
    assert_eq!(paired(&first.await.unwrap()), refused(409));
    host.pins_wanted(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_hears_how_it_went_and_can_say_no() {
    let host = TestHost::start_with(|config| config.pairing_step = Duration::from_millis(50));
    let client = ClientIdentity::stock();
    let mut pairer = Pairer::new(host.http, &client, ID, b"1234");
    let first = pairer.spawn_first();
    host.pins_wanted(1).await;
    let outcome = host.hub.pairing().submit_pin(None, "1234").unwrap();
    pairer.finish_first(first).await.expect("a certificate");
    assert!(!outcome.paired().await, "the client did not go on in time");
    assert_eq!(paired(&pairer.second().await), refused(400));

    let first = pairer.spawn_first();
    host.pins_wanted(1).await;
    host.hub.pairing().deny(&host.hub.pairing().pins_wanted()[0].id()).unwrap();
    assert_eq!(paired(&first.await.unwrap()), refused(403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_is_off_the_list_and_can_come_back() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    let pairer = Pairer::new(host.http, &client, ID, b"1234");
    let first = pairer.spawn_first();
    host.pins_wanted(1).await;
    first.abort();
    host.pins_wanted(0).await;
    // One that starts over while its old request still hangs takes its own place.
    let old = pairer.spawn_first();
    host.pins_wanted(1).await;
    let mut again = Pairer::new(host.http, &client, ID, b"1234");
    let first = again.spawn_first();
    assert_eq!(paired(&old.await.unwrap()), refused(409));
    host.pins_wanted(1).await;
    host.hub.pairing().submit_pin(None, "1234").unwrap();
    again.finish_first(first).await.expect("a certificate");
    assert!(again.rest().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_at_once_do_not_disturb_each_other() {
    let host = TestHost::start();
    let (one, two) = (ClientIdentity::stock(), other_client());
    let mut first = Pairer::new(host.http, &one, ID, b"1111");
    let held = first.spawn_first();
    host.pins_wanted(1).await;
    // From the same address under the same uniqueid they cannot be told apart later: success without a certificate.
    let mut second = Pairer::new(host.http, &two, ID, b"2222");
    let answer = get(host.http, &second.first_target()).await;
    assert_eq!(paired(&answer), (200, Some("1".into())));
    assert_eq!(answer.element("plaincert"), None);
    // Under another uniqueid both wait, and the operator says who is meant.
    second.uniqueid = "FEDCBA9876543210".into();
    let second_held = second.spawn_first();
    host.pins_wanted(2).await;
    let pairing = host.hub.pairing();
    assert!(pairing.submit_pin(None, "1111").is_err(), "whose?");
    let id = |client: &ClientIdentity| punktfunk_hub::trust::short_id(&client.fingerprint());
    pairing.submit_pin(Some(&id(&two)), "2222").unwrap();
    second.finish_first(second_held).await.expect("a certificate");
    assert!(!held.is_finished());
    pairing.submit_pin(Some(&id(&one)), "1111").unwrap();
    first.finish_first(held).await.expect("a certificate");
    // Interleaved.
    first.second().await;
    second.second().await;
    assert!(second.third().await.1 && first.third().await.1);
    assert_eq!(paired(&first.fourth().await), (200, Some("1".into())));
    assert_eq!(paired(&second.fourth().await), (200, Some("1".into())));
    assert_eq!(host.hub.trust().list().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_again_makes_no_second_record_and_keeps_what_the_operator_chose() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    host.pair(&client).await;
    let change = ClientChange { name: Some("sofa".into()), grants: Some(Grants::GAMEPAD), ..ClientChange::default() };
    host.hub.trust().change(&client.fingerprint().to_string(), change).unwrap();
    host.pair(&client).await;
    let list = host.hub.trust().list();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].name.as_str(), list[0].grants), ("sofa", Grants::GAMEPAD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_phases_that_make_no_sense_never_reach_the_operator() {
    let host = TestHost::start();
    let stock = ClientIdentity::stock();
    let pem = common::client::hex(stock.pem().as_bytes());
    let elliptic = common::client::hex(ClientIdentity::elliptic().pem().as_bytes());
    let der = common::client::hex(&stock.der);
    let salt = "000102030405060708090a0b0c0d0e0f";
    for rest in [
        String::new(),
        format!("salt={salt}"),
        format!("clientcert={pem}"),
        format!("salt=00&clientcert={pem}"),
        format!("salt={salt}00&clientcert={pem}"),
        format!("salt={salt}&clientcert="),
        format!("salt={salt}&clientcert=00"),
        format!("salt={salt}&clientcert={der}"),
        format!("salt={salt}&clientcert={elliptic}"),
        format!("salt={salt}&clientcert={}", &pem[..pem.len() / 2]),
        format!("salt={salt}&clientcert={pem}0"),
    ] {
        let answer = get(host.http, &format!("/pair?uniqueid={ID}&phrase=getservercert&{rest}")).await;
        assert_eq!(paired(&answer), refused(400), "{rest}");
    }
    assert!(host.hub.pairing().pins_wanted().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_tries_too_often_has_to_wait() {
    let host = TestHost::start();
    let client = ClientIdentity::stock();
    let mut refusals = 0;
    for _ in 0..30 {
        let pairer = Pairer::new(host.http, &client, ID, b"1234");
        let first = pairer.spawn_first();
        let answered = async {
            while host.hub.pairing().pins_wanted().is_empty() && !first.is_finished() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("in time");
        if first.is_finished() {
            refusals += 1;
            let answer = first.await.unwrap();
            assert_eq!((paired(&answer), answer.element("plaincert")), ((200, Some("1".into())), None));
            continue;
        }
        first.abort();
        host.pins_wanted(0).await;
    }
    assert!(refusals > 0, "thirty attempts without a pause");
}
