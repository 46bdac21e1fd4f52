//! One connection against a broker that is made up here: what it gets wrong must end in an error, and in time.

use bytes::Bytes;
use millrace_client::address::Address;
use millrace_client::connection::Connection;
use millrace_client::wire::messages::api_versions_response::ApiVersion;
use millrace_client::wire::messages::{ApiVersionsResponse, MetadataRequest, MetadataResponse};
use millrace_client::wire::{ApiKey, ErrorCode, encode_response, frame};
use millrace_client::{Client, ClientConfig, Error};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as the made-up broker sees it.
struct Asked {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
}

async fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let length = stream.read_i32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).expect("a length")];
    stream.read_exact(&mut body).await.ok()?;
    let header = frame::decode_request_header(&mut Bytes::from(body)).expect("a header");
    Some(Asked {
        api: ApiKey::try_from(header.api_key).expect("an api"),
        version: header.api_version,
        correlation_id: header.correlation_id,
    })
}

fn versions() -> ApiVersionsResponse {
    let mut response = ApiVersionsResponse::default();
    for (api, max) in [(ApiKey::ApiVersions, 3), (ApiKey::Metadata, 12)] {
        let mut range = ApiVersion::default();
        (range.api_key, range.min_version, range.max_version) = (i16::from(api), 0, max);
        response.api_keys.push(range);
    }
    response
}

/// Answers ApiVersions as Kafka does: an unknown version with error 35, in version 0.
async fn negotiate(stream: &mut TcpStream) {
    while let Some(asked) = read_request(stream).await {
        assert_eq!(asked.api, ApiKey::ApiVersions);
        let mut response = versions();
        let is_known = asked.version <= 3;
        let version = if is_known { asked.version } else { 0 };
        if !is_known {
            response.error_code = ErrorCode::UnsupportedVersion.code();
        }
        let answer = encode_response(
            ApiKey::ApiVersions,
            version,
            asked.correlation_id,
            &response,
        );
        stream
            .write_all(&answer.expect("an answer"))
            .await
            .expect("written");
        if is_known {
            return;
        }
    }
}

fn metadata(correlation_id: i32, version: i16) -> Vec<u8> {
    let response = MetadataResponse::default();
    encode_response(ApiKey::Metadata, version, correlation_id, &response)
        .expect("an answer")
        .to_vec()
}

/// A connection to a broker that negotiates and then does what `then` does.
async fn connected<F: Future<Output = ()> + Send + 'static>(
    timeout: Duration,
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        negotiate(&mut stream).await;
        then(stream).await;
    });
    let address = Address::new("127.0.0.1", port);
    let mut config = ClientConfig::new(vec![address.clone()]);
    config.request_timeout = timeout;
    config.max_frame_bytes = 1 << 20;
    Connection::open(&address, &config)
        .await
        .expect("connected")
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_asked_again_with_a_known_one() {
    let connection = connected(LONG, |_| async {}).await;
    assert_eq!(
        connection
            .version_of::<MetadataRequest>(i16::MAX)
            .expect("a version"),
        12
    );
}

#[tokio::test]
async fn requests_are_pipelined_and_answered_in_their_order() {
    let connection = connected(LONG, |mut stream| async move {
        let mut asked = Vec::new();
        for _ in 0..3 {
            asked.push(read_request(&mut stream).await.expect("a request"));
        }
        let mut answers = Vec::new();
        for asked in asked {
            answers.extend(metadata(asked.correlation_id, asked.version));
        }
        // In pieces that respect no frame.
        for piece in answers.chunks(7) {
            stream.write_all(piece).await.expect("written");
        }
    })
    .await;
    let request = MetadataRequest::default();
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(connection.enqueue(12, &request).await.expect("sent"));
    }
    for answer in answers {
        answer.response().await.expect("an answer");
    }
}

async fn fails(connection: &Connection) -> Error {
    connection
        .send(&MetadataRequest::default())
        .await
        .expect_err("no answer")
}

#[tokio::test]
async fn a_frame_beyond_the_limit_ends_the_connection() {
    for length in [i32::MAX, -1, (1 << 20) + 1] {
        let connection = connected(LONG, move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_i32(length).await.expect("written");
            // Kept open: the client must not wait for it to close.
            tokio::time::sleep(LONG).await;
        })
        .await;
        let error = fails(&connection).await;
        assert!(
            matches!(error, Error::FrameTooLarge { bytes, .. } if bytes == i64::from(length)),
            "{error}"
        );
        assert!(connection.is_closed());
    }
}

#[tokio::test]
async fn an_answer_to_another_request_ends_the_connection() {
    let connection = connected(LONG, |mut stream| async move {
        let asked = read_request(&mut stream).await.expect("a request");
        let answer = metadata(asked.correlation_id + 1, asked.version);
        stream.write_all(&answer).await.expect("written");
        tokio::time::sleep(LONG).await;
    })
    .await;
    assert!(matches!(
        fails(&connection).await,
        Error::Disconnected { .. }
    ));
}

#[tokio::test]
async fn silence_ends_after_the_request_timeout_for_all_that_wait() {
    let connection = connected(Duration::from_millis(200), |mut stream| async move {
        while read_request(&mut stream).await.is_some() {}
    })
    .await;
    let began = Instant::now();
    let (first, second) = tokio::join!(fails(&connection), fails(&connection));
    assert!(
        first.is_retriable() && second.is_retriable(),
        "{first}, {second}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_broker_that_hangs_up_fails_what_waits_at_once() {
    let connection = connected(LONG, |mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    assert!(matches!(
        fails(&connection).await,
        Error::Disconnected { .. }
    ));
}

#[tokio::test]
async fn garbage_is_an_error_of_its_request() {
    let connection = connected(LONG, |mut stream| async move {
        let asked = read_request(&mut stream).await.expect("a request");
        let mut answer = metadata(asked.correlation_id, asked.version);
        // The count of brokers: many more than there are bytes.
        answer[13] = 0xff;
        answer.truncate(14);
        let length = u32::try_from(answer.len() - 4).expect("a length");
        answer[..4].copy_from_slice(&length.to_be_bytes());
        stream.write_all(&answer).await.expect("written");
        tokio::time::sleep(LONG).await;
    })
    .await;
    let error = fails(&connection).await;
    assert!(matches!(error, Error::Wire(_)), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_an_error_when_the_api_timeout_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let mut config = ClientConfig::new(vec![Address::new("127.0.0.1", port)]);
    config.api_timeout = Duration::from_millis(500);
    let client = Client::new(config);
    let error = client.list_topics().await.expect_err("nobody is there");
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}
