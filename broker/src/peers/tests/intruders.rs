//! What others may try on the port.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::cluster::*;
use crate::peers::Settings;

/// It may be reset: what it says is not of interest.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = within("it hangs up", stream.read_to_end(&mut said)).await;
    said
}

#[tokio::test]
async fn what_is_no_broker_is_hung_up_on_without_a_word() {
    let one = Broker::start(settings(1)).await;
    let api_versions = b"\0\0\0\x0f\0\x12\0\x03\0\0\0\x01\0\x05kafka";
    let endless_part = b"MLRC\0\x01\0\x01\xff\xff\xff\xff";
    for bytes in [
        &api_versions[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 1000],
        endless_part,
    ] {
        let mut stream = TcpStream::connect(one.at).await.expect("it listens");
        stream.write_all(bytes).await.expect("it listens");
        assert_eq!(until_closed(&mut stream).await, b"");
    }
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let one = Broker::start(Settings {
        silence: Duration::from_millis(300),
        ..settings(1)
    })
    .await;
    let mut mute = TcpStream::connect(one.at).await.expect("it listens");
    assert_eq!(until_closed(&mut mute).await, b"");
    let mut shy = TcpStream::connect(one.at).await.expect("it listens");
    shy.write_all(b"MLRC\0\x01").await.expect("it listens");
    assert_eq!(until_closed(&mut shy).await, b"");
}

/// Between two brokers: hands on what one says, and remembers it.
struct Tap {
    at: std::net::SocketAddr,
    recorded: Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>,
    /// The next byte is changed.
    meddle: Arc<std::sync::atomic::AtomicBool>,
}

impl Tap {
    async fn on(target: std::net::SocketAddr) -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let recorded: Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>> = Arc::default();
        let meddle = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (all, meddles) = (recorded.clone(), meddle.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(to) = TcpStream::connect(target).await else {
                    continue;
                };
                let record = Arc::new(Mutex::new(Vec::new()));
                all.lock().expect("sound").push(record.clone());
                tokio::spawn(pass(stream, to, record, meddles.clone()));
            }
        });
        Tap {
            at,
            recorded,
            meddle,
        }
    }
}

async fn pass(
    mut left: TcpStream,
    mut right: TcpStream,
    record: Arc<Mutex<Vec<u8>>>,
    meddle: Arc<std::sync::atomic::AtomicBool>,
) {
    let (mut there, mut back) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = left.read(&mut there) => {
                let Ok(count @ 1..) = read else { return };
                if meddle.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    there[count - 1] ^= 0x10;
                }
                record.lock().expect("sound").extend(&there[..count]);
                if right.write_all(&there[..count]).await.is_err() {
                    return;
                }
            }
            read = right.read(&mut back) => {
                let Ok(count @ 1..) = read else { return };
                if left.write_all(&back[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_recorded_connection_played_again_says_nothing() {
    let (one, two) = (
        Broker::start(settings(1)).await,
        Broker::start(settings(2)).await,
    );
    let tap = Tap::on(two.at).await;
    one.know(&[(2, tap.at)]);
    two.know(&[(1, one.at)]);
    one.until_up(2).await;
    assert!(one.peers.post_note(2, 1, Bytes::from_static(b"pay")));
    two.until_heard("the note comes", |it| it.notes().len() == 1)
        .await;
    drop(one);
    until("the first broker is gone", || !two.peers.is_up(1)).await;

    let records = tap.recorded.lock().expect("sound").clone();
    assert!(records.len() >= 2, "both lanes were recorded");
    for record in records {
        let bytes = record.lock().expect("sound").clone();
        let mut stream = TcpStream::connect(two.at).await.expect("it listens");
        let _ = stream.write_all(&bytes).await;
        // A version and a nonce, which tell nothing.
        assert!(until_closed(&mut stream).await.len() <= 4 + 5 + 4 + 32);
    }
    assert_eq!(two.recorder.notes().len(), 1);
    assert_eq!(two.recorder.ups_and_downs().len(), 2);
}

#[tokio::test]
async fn a_frame_changed_on_its_way_ends_the_connection_and_a_new_one_begins() {
    let (one, two) = (
        Broker::start(settings(1)).await,
        Broker::start(settings(2)).await,
    );
    let tap = Tap::on(two.at).await;
    one.know(&[(2, tap.at)]);
    two.know(&[(1, one.at)]);
    two.until_up(1).await;
    one.until_up(2).await;
    let connections = || tap.recorded.lock().expect("sound").len();
    let before = connections();
    tap.meddle.store(true, std::sync::atomic::Ordering::SeqCst);
    until("it dials anew", || connections() > before).await;
    two.until_up(1).await;
    one.until_up(2).await;
}
