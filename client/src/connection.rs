//! One connection: requests pipelined, answers in their order, a deadline on each.
//!
//! A writer and a reader task own the halves of the socket and share the queue of what is unanswered. Whatever ends one ends
//! the other, and everything unanswered then fails at once. A broker that lets a deadline pass is disconnected: answers come
//! in order, so that the next one would be waited for in vain, too.

use crate::address::Address;
use crate::versions::Versions;
use crate::wire::messages::traits::Request;
use crate::wire::messages::{ApiVersionsRequest, ApiVersionsResponse, StrBytes};
use crate::{ClientConfig, Error};
use bytes::{Buf, Bytes, BytesMut};
use millrace_wire::{ApiKey, ErrorCode, decode_response, encode_request, frame};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// Requests unanswered on one connection; more wait for room.
const MAX_IN_FLIGHT: usize = 64;

/// While nothing is unanswered there is no deadline to keep.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    versions: Arc<Versions>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    client_id: String,
    request_timeout: Duration,
    next_correlation_id: AtomicI32,
    requests: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
}

struct Outgoing {
    frame: BytesMut,
    /// `None` for what is never answered: a produce request with `acks=0`.
    answer: Option<Unanswered>,
}

struct Unanswered {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    deadline: Instant,
    reply: oneshot::Sender<Result<Bytes, Error>>,
}

/// What the writer appends to and the reader takes from.
#[derive(Default)]
struct Pending {
    queue: Mutex<VecDeque<Unanswered>>,
    /// The queue was empty and is not: the reader has a deadline to keep.
    appended: Notify,
}

impl Pending {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Unanswered>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Connects and asks which versions the broker speaks.
    pub async fn open(address: &Address, config: &ClientConfig) -> Result<Connection, Error> {
        let failed = |reason: String| Error::Connect {
            address: address.to_string(),
            reason,
        };
        let connecting = TcpStream::connect((address.host.as_str(), address.port));
        let stream = timeout(config.connect_timeout, connecting)
            .await
            .map_err(|_| failed(format!("no answer in {:?}", config.connect_timeout)))?
            .map_err(|error| failed(error.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| failed(error.to_string()))?;
        let (read, write) = stream.into_split();
        let (requests, outgoing) = mpsc::channel(MAX_IN_FLIGHT);
        let pending = Arc::new(Pending::default());
        let writer = tokio::spawn(write_requests(write, outgoing, Arc::clone(&pending)));
        let reader = Reader {
            address: address.clone(),
            read,
            buffer: BytesMut::new(),
            max_frame_bytes: config.max_frame_bytes,
            pending,
        };
        tokio::spawn(reader.run(writer));
        let mut connection = Connection {
            shared: Arc::new(Shared {
                address: address.clone(),
                client_id: config.client_id.clone(),
                request_timeout: config.request_timeout,
                next_correlation_id: AtomicI32::new(0),
                requests,
                room: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            }),
            versions: Arc::new(Versions::default()),
        };
        connection.versions = Arc::new(connection.negotiate().await?);
        Ok(connection)
    }

    /// A broker that does not know the version asked with answers in version 0, with error 35 and what it does know.
    async fn negotiate(&self) -> Result<Versions, Error> {
        let mut request = ApiVersionsRequest::default();
        request.client_software_name = StrBytes::from_static_str("millrace-client");
        request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
        let newest = *ApiKey::ApiVersions.versions().end();
        let response = self.ask_versions(newest, &request).await?;
        if ErrorCode::from(response.error_code) != ErrorCode::UnsupportedVersion {
            Error::check(response.error_code, None)?;
            return Ok(Versions::of(&response));
        }
        let known = Versions::of(&response).choose(ApiKey::ApiVersions, newest);
        let request = match known {
            Some(version) if version >= 3 => request,
            _ => ApiVersionsRequest::default(),
        };
        let response = self.ask_versions(known.unwrap_or(0), &request).await?;
        Error::check(response.error_code, None)?;
        Ok(Versions::of(&response))
    }

    async fn ask_versions(
        &self,
        version: i16,
        request: &ApiVersionsRequest,
    ) -> Result<ApiVersionsResponse, Error> {
        let mut body = self.enqueue(version, request).await?.body().await?;
        let code = body.get(..2).map(|mut code| code.get_i16());
        let version = match code.map(ErrorCode::from) {
            Some(ErrorCode::UnsupportedVersion) => 0,
            _ => version,
        };
        Ok(decode_response::<ApiVersionsRequest>(&mut body, version)?)
    }

    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    pub fn is_closed(&self) -> bool {
        self.shared.requests.is_closed()
    }

    /// The newest version of `R` that both sides speak, not above `cap`.
    pub fn version_of<R: Request>(&self, cap: i16) -> Result<i16, Error> {
        let api = ApiKey::try_from(R::KEY)?;
        let chosen = self.versions.choose(api, cap);
        chosen.ok_or_else(|| Error::Unsupported {
            address: self.shared.address.to_string(),
            api,
        })
    }

    /// Sends a request in the newest version that both sides speak and waits for its answer.
    pub async fn send<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        let version = self.version_of::<R>(i16::MAX)?;
        self.send_version(version, request).await
    }

    pub async fn send_version<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Error> {
        self.enqueue(version, request).await?.response().await
    }

    /// Puts a request into the connection's order, after all that were put before. Its answer is waited for separately.
    pub async fn enqueue<R: Request>(&self, version: i16, request: &R) -> Result<Answer<R>, Error> {
        let permit = Arc::clone(&self.shared.room).acquire_owned().await;
        let permit = permit.map_err(|_| self.ended("it is closed"))?;
        let correlation_id = self
            .shared
            .next_correlation_id
            .fetch_add(1, Ordering::Relaxed);
        let client_id = Some(self.shared.client_id.as_str());
        let frame = encode_request(correlation_id, client_id, version, request)?;
        let (reply, body) = oneshot::channel();
        let answer = Unanswered {
            api: ApiKey::try_from(R::KEY)?,
            version,
            correlation_id,
            deadline: Instant::now() + self.shared.request_timeout,
            reply,
        };
        let outgoing = Outgoing {
            frame,
            answer: Some(answer),
        };
        self.put(outgoing).await?;
        Ok(Answer {
            address: self.shared.address.clone(),
            version,
            body,
            _permit: permit,
            request: PhantomData,
        })
    }

    /// Sends what the broker never answers.
    pub async fn send_unanswered<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<(), Error> {
        let correlation_id = self
            .shared
            .next_correlation_id
            .fetch_add(1, Ordering::Relaxed);
        let client_id = Some(self.shared.client_id.as_str());
        let frame = encode_request(correlation_id, client_id, version, request)?;
        self.put(Outgoing {
            frame,
            answer: None,
        })
        .await
    }

    async fn put(&self, outgoing: Outgoing) -> Result<(), Error> {
        let sent = self.shared.requests.send(outgoing).await;
        sent.map_err(|_| self.ended("it is closed"))
    }

    fn ended(&self, reason: &str) -> Error {
        Error::Disconnected {
            address: self.shared.address.to_string(),
            reason: reason.to_owned(),
        }
    }
}

/// An answer to come.
#[derive(Debug)]
pub struct Answer<R> {
    address: Address,
    version: i16,
    body: oneshot::Receiver<Result<Bytes, Error>>,
    _permit: tokio::sync::OwnedSemaphorePermit,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Answer<R> {
    pub async fn response(self) -> Result<R::Response, Error> {
        let version = self.version;
        let mut body = self.body().await?;
        Ok(decode_response::<R>(&mut body, version)?)
    }

    async fn body(self) -> Result<Bytes, Error> {
        match self.body.await {
            Ok(result) => result,
            Err(_) => Err(Error::Disconnected {
                address: self.address.to_string(),
                reason: "it was closed before the answer".to_owned(),
            }),
        }
    }
}

/// Ends when every handle is gone or the socket fails.
async fn write_requests(
    mut write: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Outgoing>,
    pending: Arc<Pending>,
) {
    while let Some(Outgoing { mut frame, answer }) = outgoing.recv().await {
        // Before the bytes leave, so that no answer can overtake its entry.
        if let Some(answer) = answer {
            pending.queue().push_back(answer);
            pending.appended.notify_one();
        }
        if write.write_all_buf(&mut frame).await.is_err() {
            break;
        }
    }
}

struct Reader {
    address: Address,
    read: OwnedReadHalf,
    buffer: BytesMut,
    max_frame_bytes: usize,
    pending: Arc<Pending>,
}

impl Reader {
    async fn run(mut self, mut writer: JoinHandle<()>) {
        let mut has_writer = true;
        let error = loop {
            let head = self.pending.queue().front().map(|head| head.deadline);
            let deadline = head.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                read = self.read.read_buf(&mut self.buffer) => match read {
                    Ok(0) => break self.ended("the broker closed it"),
                    Ok(_) => if let Err(error) = self.answer() { break error },
                    Err(error) => break self.ended(&error.to_string()),
                },
                () = sleep_until(deadline) => {
                    if head.is_some() {
                        break self.ended("the broker did not answer in time");
                    }
                }
                () = self.pending.appended.notified() => {}
                _ = &mut writer => {
                    has_writer = false;
                    break self.ended("it was closed");
                }
            }
        };
        // The writer must be gone before the queue is emptied: nothing may be appended afterwards.
        if has_writer {
            writer.abort();
            let _ = writer.await;
        }
        let unanswered: Vec<Unanswered> = self.pending.queue().drain(..).collect();
        for unanswered in unanswered {
            let _ = unanswered.reply.send(Err(error.clone()));
        }
    }

    /// Answers with every whole frame that has come.
    fn answer(&mut self) -> Result<(), Error> {
        while let Some(mut length) = self.buffer.get(..frame::LENGTH_BYTES) {
            let length = length.get_i32();
            let bytes = usize::try_from(length).ok();
            let Some(bytes) = bytes.filter(|&bytes| bytes <= self.max_frame_bytes) else {
                return Err(Error::FrameTooLarge {
                    address: self.address.to_string(),
                    bytes: i64::from(length),
                    limit: self.max_frame_bytes,
                });
            };
            let whole = frame::LENGTH_BYTES + bytes;
            if self.buffer.len() < whole {
                // Doubling what is there instead of trusting the length: memory follows bytes that came.
                let wanted = (whole - self.buffer.len()).min(self.buffer.len().max(64 << 10));
                self.buffer.reserve(wanted);
                return Ok(());
            }
            let mut frame = self.buffer.split_to(whole).freeze();
            frame.advance(frame::LENGTH_BYTES);
            let Some(head) = self.pending.queue().pop_front() else {
                return Err(self.ended("the broker sent an answer to nothing"));
            };
            let correlation_id = frame::decode_response_header(&mut frame, head.api, head.version)?;
            if correlation_id != head.correlation_id {
                let _ = head
                    .reply
                    .send(Err(self.ended("answers came out of order")));
                return Err(self.ended("answers came out of order"));
            }
            let _ = head.reply.send(Ok(frame));
        }
        Ok(())
    }

    fn ended(&self, reason: &str) -> Error {
        Error::Disconnected {
            address: self.address.to_string(),
            reason: reason.to_owned(),
        }
    }
}
