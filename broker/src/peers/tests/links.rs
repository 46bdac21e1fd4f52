//! Links come and go.

use super::cluster::*;
use bytes::Bytes;
use tokio::net::TcpListener;

#[tokio::test]
async fn two_brokers_find_each_other_and_pulse() {
    let (one, two) = pair().await;
    one.until_heard("one is told", |it| {
        it.ups_and_downs() == [Heard::Up(2, Bytes::from_static(b"about 2"))]
    })
    .await;
    let beat = Heard::Pulsed(1, Bytes::from_static(b"beat"));
    two.until_heard("a pulse comes", |it| it.heard().contains(&beat))
        .await;
    until("the round trip is known", || {
        one.peers.stats()[0].round_trip.is_some()
    })
    .await;
    assert_eq!(one.peers.up(), [2]);
}

#[tokio::test]
async fn a_broker_that_starts_again_is_down_and_then_up() {
    let (one, two) = pair().await;
    let at = two.at;
    two.kill().await;
    one.until_heard("two is down", |it| {
        it.ups_and_downs().last() == Some(&Heard::Down(2))
    })
    .await;
    assert!(!one.peers.is_up(2));
    let listener = TcpListener::bind(at).await.expect("its port is free again");
    let again = Broker::start_at(settings(2), listener);
    again.know(&[(1, one.at)]);
    again.until_up(1).await;
    let up = Heard::Up(2, Bytes::from_static(b"about 2"));
    one.until_heard("two is up again", |it| {
        it.ups_and_downs() == [up.clone(), Heard::Down(2), up.clone()]
    })
    .await;
}

#[tokio::test]
async fn a_second_process_with_an_id_that_is_in_use_is_refused_until_the_first_is_gone() {
    let (one, two) = pair().await;
    let second = Broker::start(settings(2)).await;
    second.know(&[(1, one.at)]);
    one.peers.set_addresses(
        [(2, vec![address(two.at), address(second.at)])]
            .into_iter()
            .collect(),
    );
    // Everybody goes on as if it were not there.
    let before = two.recorder.heard().len();
    two.until_heard("pulses go on", |it| it.heard().len() > before + 5)
        .await;
    assert!(one.peers.is_up(2) && two.peers.is_up(1));
    assert!(!second.peers.is_up(1));
    assert_eq!(one.recorder.ups_and_downs().len(), 1);
    two.kill().await;
    second.until_up(1).await;
    one.until_up(2).await;
}

#[tokio::test]
async fn a_broker_that_is_not_one_any_more_is_hung_up_on() {
    let (one, two) = pair().await;
    one.know(&[]);
    one.until_heard("one is told", |it| {
        it.ups_and_downs().last() == Some(&Heard::Down(2))
    })
    .await;
    two.until_heard("two is told", |it| {
        it.ups_and_downs().contains(&Heard::Down(1))
    })
    .await;
    assert!(!one.peers.is_up(2));
    assert!(!one.peers.post_note(2, 1, Bytes::new()));
    // And back.
    one.know(&[(2, two.at)]);
    one.until_up(2).await;
    two.until_up(1).await;
}

#[tokio::test]
async fn its_own_id_is_not_dialed() {
    let one = Broker::start(settings(1)).await;
    one.know(&[(1, one.at)]);
    assert_eq!(one.peers.stats(), []);
}
