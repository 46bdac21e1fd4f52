//! The shared log of one directory.
