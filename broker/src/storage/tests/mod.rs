//! A shard on twins of disk and families: what every crash leaves must be what was promised.

mod crash;
mod moving;
mod replicas;
mod rig;
mod shard;
