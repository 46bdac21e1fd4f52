//! Who is let in.

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpStream;

use super::cluster::*;
use crate::peers::handshake::{HandshakeError, accept, dial};
use crate::peers::hello::{Errand, Hello};
use crate::peers::seal::Sealer;
use crate::peers::{BrokerId, Lane, Secrets, Settings};

fn hello(broker: BrokerId, wanted: BrokerId) -> Hello {
    Hello {
        cluster_id: CLUSTER.to_owned(),
        broker,
        instance: 77,
        about: Bytes::new(),
        errand: Some(Errand {
            wanted,
            lane: Lane::Urgent,
        }),
    }
}

async fn dial_broker(
    broker: &Broker,
    secrets: &Secrets,
    hello: &Hello,
) -> Result<(TcpStream, Hello, Sealer), HandshakeError> {
    let mut stream = TcpStream::connect(broker.at).await.expect("it listens");
    let (theirs, sealer) = within(
        "the handshake ends",
        dial(&mut stream, secrets.at(0), hello),
    )
    .await?;
    Ok((stream, theirs, sealer))
}

async fn refusal(hello: &Hello) -> String {
    let one = Broker::start(settings(1)).await;
    match dial_broker(&one, &secrets(&[1]), hello).await {
        Err(HandshakeError::Refused(reason)) => reason,
        other => panic!("{:?}", other.map(|(_, hello, _)| hello)),
    }
}

#[tokio::test]
async fn who_knows_the_secret_is_welcome() {
    let one = Broker::start(settings(1)).await;
    let welcomed = dial_broker(&one, &secrets(&[1]), &hello(2, 1)).await;
    let (_, theirs, _) = welcomed.expect("all is as it should be");
    assert_eq!((theirs.broker, &theirs.about[..]), (1, &b"about 1"[..]));
}

#[tokio::test]
async fn who_has_another_secret_learns_nothing() {
    let one = Broker::start(settings(1)).await;
    let error = dial_broker(&one, &secrets(&[2]), &hello(2, 1)).await.err();
    assert!(
        matches!(error, Some(HandshakeError::UnknownSecret)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refusal_has_its_reason() {
    assert_eq!(
        refusal(&hello(2, 3)).await,
        "this is broker 1, and broker 3 is looked for"
    );
    assert_eq!(
        refusal(&hello(1, 1)).await,
        "broker id 1 is this broker's own"
    );
    let foreign = Hello {
        cluster_id: "loom".to_owned(),
        ..hello(2, 1)
    };
    assert_eq!(
        refusal(&foreign).await,
        "this is cluster mill, and broker 2 is one of cluster loom"
    );
    let aimless = Hello {
        errand: None,
        ..hello(2, 1)
    };
    assert_eq!(
        refusal(&aimless).await,
        "the hello names neither a broker nor a lane"
    );
}

#[tokio::test]
async fn an_id_in_use_is_refused_with_that_reason() {
    let (one, _two) = pair().await;
    let error = dial_broker(&one, &secrets(&[1]), &hello(2, 1)).await.err();
    let text = error.expect("it is in use").to_string();
    assert_eq!(
        text,
        "refused: broker id 2 is in use by another process, which is connected"
    );
}

#[tokio::test]
async fn brokers_meet_while_the_secret_is_changed() {
    let with = |id, known: &[u8]| Settings {
        secrets: secrets(known),
        ..settings(id)
    };
    pair_of(with(1, &[1, 2]), with(2, &[1])).await;
    pair_of(with(1, &[1, 2]), with(2, &[2])).await;
    pair_of(with(1, &[1, 2]), with(2, &[2, 1])).await;
    pair_of(with(1, &[1, 2]), with(2, &[2, 3])).await;
}

/// Passes bytes on, one of them changed.
async fn relay(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    change: Option<usize>,
) -> usize {
    let mut passed = 0;
    let mut bytes = [0; 4096];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return passed;
        }
        if let Some(at) = change
            && (passed..passed + count).contains(&at)
        {
            bytes[at - passed] ^= 1;
        }
        passed += count;
        if to.write_all(&bytes[..count]).await.is_err() {
            return passed;
        }
    }
}

/// A handshake through somebody who changes one byte. Whether either side believed it, and what was said.
async fn through(
    change_there: Option<usize>,
    change_back: Option<usize>,
) -> (bool, bool, [usize; 2]) {
    let (mut dialer, left) = duplex(1 << 16);
    let (right, mut acceptor) = duplex(1 << 16);
    let (secrets_there, secrets_here) = (secrets(&[1]), secrets(&[1]));
    let dials = async {
        let result = dial(&mut dialer, secrets_there.at(0), &hello(2, 1)).await;
        drop(dialer);
        result.is_ok()
    };
    let accepts = async {
        let proved = match accept(&mut acceptor, &secrets_here).await {
            Ok(claim) => claim.welcome(&mut acceptor, &hello(1, 2)).await.is_ok(),
            Err(_) => false,
        };
        drop(acceptor);
        proved
    };
    let relays = async {
        let (left_reads, left_writes) = tokio::io::split(left);
        let (right_reads, right_writes) = tokio::io::split(right);
        let there = relay(left_reads, right_writes, change_there);
        let back = relay(right_reads, left_writes, change_back);
        tokio::join!(there, back)
    };
    // A length that was changed lets one side wait: its time-out is the caller's, and here it takes no time.
    let patience = std::time::Duration::from_secs(5);
    let dials = async { tokio::time::timeout(patience, dials).await.unwrap_or(false) };
    let accepts = async {
        tokio::time::timeout(patience, accepts)
            .await
            .unwrap_or(false)
    };
    let relays = async {
        tokio::time::timeout(patience * 2, relays)
            .await
            .unwrap_or_default()
    };
    let (dialer, acceptor, (there, back)) = tokio::join!(dials, accepts, relays);
    (dialer, acceptor, [there, back])
}

#[tokio::test(start_paused = true)]
async fn a_changed_byte_anywhere_in_the_handshake_ends_it() {
    let (dialer, acceptor, [there, back]) = through(None, None).await;
    assert!(dialer && acceptor);
    assert!(there > 100 && back > 100, "{there} and {back} bytes");
    for at in 0..there {
        let (dialer, acceptor, _) = through(Some(at), None).await;
        assert!(!dialer && !acceptor, "byte {at} of what the dialer says");
    }
    for at in 0..back {
        // The acceptor has said its last word before anybody could notice.
        let (dialer, _, _) = through(None, Some(at)).await;
        assert!(!dialer, "byte {at} of what the acceptor says");
    }
}

async fn part(stream: &mut DuplexStream) -> Vec<u8> {
    let length = stream.read_u32().await.expect("it speaks") as usize;
    let mut part = vec![0; length];
    stream.read_exact(&mut part).await.expect("it speaks");
    part
}

#[tokio::test]
async fn a_proof_given_back_to_its_maker_is_none() {
    let (mut dialer, mut mirror) = duplex(1 << 16);
    let secrets = secrets(&[1]);
    let ours = hello(2, 1);
    let dials = dial(&mut dialer, secrets.at(0), &ours);
    let reflects = async {
        let mut head = [0; 8];
        mirror.read_exact(&mut head).await.expect("it speaks");
        let opening = part(&mut mirror).await;
        let nonce = &opening[8..];
        let mut said = b"MLRC\0\0\x01\0\0".to_vec();
        said.extend((nonce.len() as u32).to_be_bytes());
        said.extend(nonce);
        mirror.write_all(&said).await.expect("it listens");
        let claim = part(&mut mirror).await;
        let mut proof = [0; 32];
        mirror.read_exact(&mut proof).await.expect("it speaks");
        let mut said = vec![0];
        said.extend((claim.len() as u32).to_be_bytes());
        said.extend(claim);
        said.extend(proof);
        mirror.write_all(&said).await.expect("it listens");
    };
    let (result, ()) = tokio::join!(dials, reflects);
    assert!(matches!(result.err(), Some(HandshakeError::NotProved)));
}

#[tokio::test]
async fn a_broker_that_is_shown_itself_does_not_take_itself_for_another() {
    let one = Broker::start(settings(1)).await;
    one.know(&[(2, one.at)]);
    let error = dial_broker(&one, &secrets(&[1]), &hello(1, 2)).await.err();
    assert!(matches!(error, Some(HandshakeError::Refused(_))));
    assert!(!one.peers.is_up(2));
}

#[tokio::test]
async fn without_a_common_version_both_ranges_are_told() {
    let one = Broker::start(settings(1)).await;
    let mut stream = TcpStream::connect(one.at).await.expect("it listens");
    stream
        .write_all(b"MLRC\0\x07\0\x09\0\0\0\x03new")
        .await
        .expect("it listens");
    let mut answer = Vec::new();
    within("it hangs up", stream.read_to_end(&mut answer))
        .await
        .expect("all was said");
    assert_eq!(answer, b"MLRC\x01\0\x01\0\x01\0\0\0\0");

    let (mut dialer, mut other) = duplex(1 << 16);
    other
        .write_all(b"MLRC\x01\0\x07\0\x09\0\0\0\0")
        .await
        .expect("there is room");
    let secrets = secrets(&[1]);
    let error = dial(&mut dialer, secrets.at(0), &hello(2, 1)).await.err();
    assert_eq!(
        error.expect("there is none").to_string(),
        "no version in common: here 1 to 1, there 7 to 9"
    );
}
