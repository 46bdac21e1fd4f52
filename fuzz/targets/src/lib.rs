//! What holds for any bytes from outside or from disk: one module for each decoder, each with `run`, which panics where it does
//! not hold, and says whether the input was read rather than refused; and with `seeds`, inputs that are read.
//!
//! Two programs try it: libFuzzer (`fuzz/fuzz_targets/`, `tools/fuzz.sh`), guided by coverage, for as long as one likes; and
//! `tests/bounded.rs`, a fixed number of mutated seeds, in every `make test`.

pub mod frame_header;
pub mod log_segment;
pub mod partition_snapshot;
pub mod peer_frame;
pub mod properties;
pub mod request_decoder;
pub mod response_decoder;
pub mod rows;
pub mod wire_batch;

mod decoder;
mod golden;
