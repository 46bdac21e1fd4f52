//! The secret that brokers of a cluster share, and what is made of it: names, proofs, and keys of connections.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A shorter one could be found by trying, from one recorded handshake.
const MIN_SECRET_BYTES: usize = 16;
/// The one in use, and the one before or after it while it is changed.
const MAX_SECRETS: usize = 2;

/// Names a secret to who knows it, and tells nothing to who does not.
pub(super) type KeyId = [u8; 8];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretsError {
    #[error(
        "no secret for the traffic between brokers is given: one is needed, or two while it is changed"
    )]
    Missing,
    #[error(
        "{0} secrets for the traffic between brokers are given: at most two may be valid at once"
    )]
    TooMany(usize),
    #[error(
        "secret {position} for the traffic between brokers has {bytes} bytes: it must have {MIN_SECRET_BYTES} or more"
    )]
    TooShort { position: usize, bytes: usize },
    #[error(
        "the two secrets for the traffic between brokers are the same: give one, or two that differ"
    )]
    Same,
}

/// One or two, the first of which is tried first.
#[derive(Clone)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    pub fn new(secrets: Vec<Vec<u8>>) -> Result<Secrets, SecretsError> {
        match secrets.as_slice() {
            [] => return Err(SecretsError::Missing),
            [first, second] if first == second => return Err(SecretsError::Same),
            more if more.len() > MAX_SECRETS => return Err(SecretsError::TooMany(more.len())),
            _ => {}
        }
        for (secret, position) in secrets.iter().zip(1..) {
            let bytes = secret.len();
            if bytes < MIN_SECRET_BYTES {
                return Err(SecretsError::TooShort { position, bytes });
            }
        }
        Ok(Secrets(
            secrets.iter().map(|secret| Secret::new(secret)).collect(),
        ))
    }

    /// The one to try at the `attempt`th dial.
    pub(super) fn at(&self, attempt: usize) -> &Secret {
        &self.0[attempt % self.0.len()]
    }

    pub(super) fn named(&self, id: KeyId) -> Option<&Secret> {
        self.0.iter().find(|secret| secret.id == id)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// What the secret is used for. No two uses ever see the same input, so a proof of one side is never one of the other's.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Name,
    DialersProof,
    AcceptorsProof,
    FrameKey,
}

impl Use {
    fn label(self) -> &'static [u8] {
        match self {
            Use::Name => b"millrace peers: name of a secret\0",
            Use::DialersProof => b"millrace peers: proof of who dials\0",
            Use::AcceptorsProof => b"millrace peers: proof of who accepts\0",
            Use::FrameKey => b"millrace peers: key of frames\0",
        }
    }
}

#[derive(Clone)]
pub(super) struct Secret {
    keyed: Hmac<Sha256>,
    pub(super) id: KeyId,
}

impl Secret {
    fn new(secret: &[u8]) -> Secret {
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        let mut secret = Secret { keyed, id: [0; 8] };
        let name = secret.derive(Use::Name, &[]);
        secret.id.copy_from_slice(&name[..8]);
        secret
    }

    pub(super) fn derive(&self, purpose: Use, input: &[u8]) -> [u8; 32] {
        self.mac(purpose, input).finalize().into_bytes().into()
    }

    /// In constant time.
    pub(super) fn is_proof(&self, purpose: Use, input: &[u8], proof: &[u8]) -> bool {
        self.mac(purpose, input).verify_slice(proof).is_ok()
    }

    fn mac(&self, purpose: Use, input: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(purpose.label());
        mac.update(input);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_missing_short_doubled_or_one_too_many_is_refused() {
        let long = |byte| vec![byte; MIN_SECRET_BYTES];
        let check = |secrets: Vec<Vec<u8>>, expected| {
            assert_eq!(Secrets::new(secrets).map(|_| ()), expected);
        };
        check(vec![long(1)], Ok(()));
        check(vec![long(1), long(2)], Ok(()));
        check(vec![], Err(SecretsError::Missing));
        check(vec![long(1), long(1)], Err(SecretsError::Same));
        check(
            vec![long(1), long(2), long(3)],
            Err(SecretsError::TooMany(3)),
        );
        check(
            vec![long(1), vec![2; 15]],
            Err(SecretsError::TooShort {
                position: 2,
                bytes: 15,
            }),
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secrets = Secrets::new(vec![b"correct horse battery".to_vec()]).expect("long enough");
        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
    }

    #[test]
    fn a_proof_of_one_use_is_none_of_another() {
        let secrets = Secrets::new(vec![vec![7; 32]]).expect("long enough");
        let secret = secrets.at(0);
        let proof = secret.derive(Use::DialersProof, b"transcript");
        assert!(secret.is_proof(Use::DialersProof, b"transcript", &proof));
        assert!(!secret.is_proof(Use::AcceptorsProof, b"transcript", &proof));
        assert!(!secret.is_proof(Use::DialersProof, b"transcripT", &proof));
        assert!(!secret.is_proof(Use::DialersProof, b"transcript", &proof[..31]));
    }
}
