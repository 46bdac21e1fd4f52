//! The first bytes of a connection: versions, names, proofs. `mod.rs` has the picture.

use std::io;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::cursor::{Cursor, Malformed};
use super::hello::Hello;
use super::seal::Sealer;
use super::secrets::{Secret, Secrets, Use};
use super::{PROTOCOL_VERSIONS, Versions};

/// No Kafka request begins with it: it would be 1.3 GB long.
pub(super) const MAGIC: [u8; 4] = *b"MLRC";
/// Of what is read from somebody who has not proved anything.
const MAX_PART_BYTES: usize = 32 << 10;
const MAX_REASON_BYTES: usize = 1 << 10;
const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("{0}")]
    Io(io::Error),
    #[error("the other side hung up")]
    HungUp,
    #[error("no answer in time")]
    TimedOut,
    #[error("it does not speak as a broker to brokers: its first bytes are {0:02x?}")]
    NotABroker([u8; 4]),
    #[error("a part of {0} bytes: {MAX_PART_BYTES} are the most before it has proved who it is")]
    TooLong(usize),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("no version in common: here {ours}, there {theirs}")]
    NoCommonVersion { ours: Versions, theirs: Versions },
    #[error("an answer of kind {0}, which does not exist")]
    UnknownOutcome(u8),
    #[error("version {chosen} was chosen, but this broker speaks {ours}")]
    ForeignVersion { ours: Versions, chosen: u16 },
    #[error("the other side does not know the secret that this one uses")]
    UnknownSecret,
    #[error("the other side did not prove that it knows the secret")]
    NotProved,
    #[error("refused: {0}")]
    Refused(String),
    #[error("no random bytes: {0}")]
    NoRandomness(String),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> HandshakeError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => HandshakeError::HungUp,
            _ => HandshakeError::Io(error),
        }
    }
}

/// What the acceptor says to the opening.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    Version,
    NoCommonVersion,
    UnknownSecret,
}

impl Reply {
    fn code(self) -> u8 {
        match self {
            Reply::Version => 0,
            Reply::NoCommonVersion => 1,
            Reply::UnknownSecret => 2,
        }
    }
}

/// How the acceptor ends the handshake.
const WELCOME: u8 = 0;
const REFUSED: u8 = 1;

/// All that was said on this connection, in order. Each part's length is part of it, so no two dialogues look alike.
struct Transcript(Sha256);

impl Transcript {
    fn new() -> Transcript {
        Transcript(Sha256::new())
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn so_far(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// The dialer's side. What comes back are the acceptor's hello and the seal of the frames that may now be sent.
pub(super) async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    secret: &Secret,
    hello: &Hello,
) -> Result<(Hello, Sealer), HandshakeError> {
    let mut transcript = Transcript::new();
    let mut opening = Vec::new();
    opening.extend(MAGIC);
    opening.extend(PROTOCOL_VERSIONS.min.to_be_bytes());
    opening.extend(PROTOCOL_VERSIONS.max.to_be_bytes());
    put_part(&mut opening, &[&secret.id, &nonce()?]);
    say(stream, &mut transcript, &opening).await?;

    expect_magic(stream, &mut transcript).await?;
    let [outcome, a, b, c, d] = hear(stream, &mut transcript).await?;
    let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let _nonce = hear_part(stream, &mut transcript).await?;
    match outcome {
        code if code == Reply::Version.code() => {}
        code if code == Reply::NoCommonVersion.code() => {
            return Err(HandshakeError::NoCommonVersion {
                ours: PROTOCOL_VERSIONS,
                theirs: Versions {
                    min: first,
                    max: second,
                },
            });
        }
        code if code == Reply::UnknownSecret.code() => return Err(HandshakeError::UnknownSecret),
        code => return Err(HandshakeError::UnknownOutcome(code)),
    }
    if !PROTOCOL_VERSIONS.contains(first) {
        return Err(HandshakeError::ForeignVersion {
            ours: PROTOCOL_VERSIONS,
            chosen: first,
        });
    }

    let mut claim = Vec::new();
    put_part(&mut claim, &[&hello.encode()]);
    transcript.add(&claim);
    let proof = secret.derive(Use::DialersProof, &transcript.so_far());
    claim.extend(proof);
    transcript.add(&proof);
    stream.write_all(&claim).await?;

    let [outcome] = hear(stream, &mut transcript).await?;
    let verdict = hear_part(stream, &mut transcript).await?;
    let mut proof = [0; PROOF_BYTES];
    stream.read_exact(&mut proof).await?;
    if !secret.is_proof(Use::AcceptorsProof, &transcript.so_far(), &proof) {
        return Err(HandshakeError::NotProved);
    }
    match outcome {
        WELCOME => {
            let hello = Hello::decode(&verdict)?;
            transcript.add(&proof);
            let key = secret.derive(Use::FrameKey, &transcript.so_far());
            Ok((hello, Sealer::new(key)))
        }
        REFUSED => {
            let reason = String::from_utf8_lossy(&verdict[..verdict.len().min(MAX_REASON_BYTES)]);
            Err(HandshakeError::Refused(reason.into_owned()))
        }
        code => Err(HandshakeError::UnknownOutcome(code)),
    }
}

/// A dialer that has proved that it knows the secret, and waits for the verdict.
pub(super) struct Claim<'a> {
    pub(super) hello: Hello,
    secret: &'a Secret,
    transcript: Transcript,
}

/// The acceptor's side, up to the dialer's proof.
pub(super) async fn accept<'a, S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    secrets: &'a Secrets,
) -> Result<Claim<'a>, HandshakeError> {
    let mut transcript = Transcript::new();
    expect_magic(stream, &mut transcript).await?;
    let [a, b, c, d] = hear(stream, &mut transcript).await?;
    let theirs = Versions {
        min: u16::from_be_bytes([a, b]),
        max: u16::from_be_bytes([c, d]),
    };
    let opening = hear_part(stream, &mut transcript).await?;
    let Some(version) = PROTOCOL_VERSIONS.highest_common(theirs) else {
        let ours = PROTOCOL_VERSIONS;
        let said = reply(Reply::NoCommonVersion, [ours.min, ours.max], &[]);
        say(stream, &mut transcript, &said).await?;
        return Err(HandshakeError::NoCommonVersion { ours, theirs });
    };
    let mut cursor = Cursor::new(&opening);
    let id = cursor.array("name of a secret")?;
    cursor.take(NONCE_BYTES, "nonce")?;
    let Some(secret) = secrets.named(id) else {
        let said = reply(Reply::UnknownSecret, [version, 0], &[]);
        say(stream, &mut transcript, &said).await?;
        return Err(HandshakeError::UnknownSecret);
    };
    let said = reply(Reply::Version, [version, 0], &nonce()?);
    say(stream, &mut transcript, &said).await?;

    let claim = hear_part(stream, &mut transcript).await?;
    let mut proof = [0; PROOF_BYTES];
    stream.read_exact(&mut proof).await?;
    if !secret.is_proof(Use::DialersProof, &transcript.so_far(), &proof) {
        return Err(HandshakeError::NotProved);
    }
    transcript.add(&proof);
    Ok(Claim {
        hello: Hello::decode(&claim)?,
        secret,
        transcript,
    })
}

impl Claim<'_> {
    pub(super) async fn welcome<S: AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        hello: &Hello,
    ) -> io::Result<Sealer> {
        let (transcript, secret) = self.conclude(stream, WELCOME, &hello.encode()).await?;
        let key = secret.derive(Use::FrameKey, &transcript.so_far());
        Ok(Sealer::new(key))
    }

    pub(super) async fn refuse<S: AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        reason: &str,
    ) -> io::Result<()> {
        self.conclude(stream, REFUSED, reason.as_bytes()).await?;
        Ok(())
    }

    async fn conclude<S: AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        outcome: u8,
        verdict: &[u8],
    ) -> io::Result<(Transcript, Secret)> {
        let mut transcript = self.transcript;
        let mut said = vec![outcome];
        put_part(&mut said, &[verdict]);
        transcript.add(&said);
        let proof = self
            .secret
            .derive(Use::AcceptorsProof, &transcript.so_far());
        said.extend(proof);
        transcript.add(&proof);
        stream.write_all(&said).await?;
        Ok((transcript, self.secret.clone()))
    }
}

fn reply(outcome: Reply, numbers: [u16; 2], nonce: &[u8]) -> Vec<u8> {
    let mut said = MAGIC.to_vec();
    said.push(outcome.code());
    for number in numbers {
        said.extend(number.to_be_bytes());
    }
    put_part(&mut said, &[nonce]);
    said
}

fn nonce() -> Result<[u8; NONCE_BYTES], HandshakeError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| HandshakeError::NoRandomness(error.to_string()))?;
    Ok(nonce)
}

fn put_part(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    out.extend((length as u32).to_be_bytes());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

async fn say<S: AsyncWrite + Unpin>(
    stream: &mut S,
    transcript: &mut Transcript,
    bytes: &[u8],
) -> io::Result<()> {
    transcript.add(bytes);
    stream.write_all(bytes).await
}

async fn hear<const N: usize, S: AsyncRead + Unpin>(
    stream: &mut S,
    transcript: &mut Transcript,
) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    transcript.add(&bytes);
    Ok(bytes)
}

async fn expect_magic<S: AsyncRead + Unpin>(
    stream: &mut S,
    transcript: &mut Transcript,
) -> Result<(), HandshakeError> {
    match hear(stream, transcript).await? {
        MAGIC => Ok(()),
        other => Err(HandshakeError::NotABroker(other)),
    }
}

async fn hear_part<S: AsyncRead + Unpin>(
    stream: &mut S,
    transcript: &mut Transcript,
) -> Result<Vec<u8>, HandshakeError> {
    let length = u32::from_be_bytes(hear(stream, transcript).await?) as usize;
    if length > MAX_PART_BYTES {
        return Err(HandshakeError::TooLong(length));
    }
    let mut part = vec![0; length];
    stream.read_exact(&mut part).await?;
    transcript.add(&part);
    Ok(part)
}
