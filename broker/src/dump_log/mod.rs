//! `millrace dump-log`, which `kafka-dump-log` runs: what is in the files of a broker, with Kafka's flags and lines.
//!
//! A shared log holds many partitions, so what Kafka prints per file is printed per file and partition. Files are opened for
//! reading only, whether a broker runs on them or not; damage is named with file and position on standard error, and what is
//! intact behind it is shown.

mod metadata;
mod names;
mod print;
mod sources;

use names::Names;
use print::{Decoder, Printer};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

/// Parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.
#[derive(clap::Args)]
pub struct Options {
    /// What to dump, with commas between: segments of a shared log (log.dirs/log/*.log), table files
    /// (log.dirs/families/*.sst), or whole directories of log.dirs, partition by partition
    #[arg(
        long,
        value_name = "file1, file2, ...",
        value_delimiter = ',',
        required = true
    )]
    files: Vec<PathBuf>,
    /// Only this partition, as in orders-0; __cluster_metadata-0 is the metadata. May be given more than once, or with commas
    #[arg(long, value_name = "topic-partition", value_delimiter = ',')]
    topic_partition: Vec<String>,
    /// Print the messages content
    #[arg(long)]
    print_data_log: bool,
    /// Look at every message of a batch; --print-data-log does so too
    #[arg(long)]
    deep_iteration: bool,
    /// Leave out the metadata of each message
    #[arg(long)]
    skip_record_metadata: bool,
    /// Show what raft keeps beside the records, too: indexes and terms, votes, log starts
    #[arg(long)]
    print_raft: bool,
    /// Stop after so many bytes of batches
    #[arg(long, value_name = "size", default_value_t = u64::MAX, hide_default_value = true)]
    max_bytes: u64,
    /// Accepted: a batch is as large as the broker let it be
    #[arg(long, value_name = "size")]
    max_message_size: Option<u64>,
    /// Print nothing but what is damaged: all checksums are looked at. There are no index files here
    #[arg(long)]
    verify_index_only: bool,
    /// The same, and say of each file whether it passed
    #[arg(long)]
    index_sanity_check: bool,
    /// How keys are shown: StringDecoder (the default), IntegerDecoder, LongDecoder, DoubleDecoder, or DefaultDecoder for hex
    #[arg(long, value_name = "class", default_value = "StringDecoder")]
    key_decoder_class: Decoder,
    /// How values are shown
    #[arg(long, value_name = "class", default_value = "StringDecoder")]
    value_decoder_class: Decoder,
    /// Show the metadata's own log, each change as JSON
    #[arg(long)]
    cluster_metadata_decoder: bool,
    /// Refused: there is no __consumer_offsets to decode yet
    #[arg(long)]
    offsets_decoder: bool,
    /// Refused: there is no __transaction_state to decode yet
    #[arg(long)]
    transaction_log_decoder: bool,
    /// Refused: there is no __share_group_state to decode
    #[arg(long)]
    share_group_state_decoder: bool,
    /// Refused: there is no __remote_log_metadata to decode
    #[arg(long)]
    remote_log_metadata_decoder: bool,
}

impl Options {
    /// Whether only damage is of interest.
    fn is_check(&self) -> bool {
        self.verify_index_only || self.index_sanity_check
    }

    fn check(&self) -> Result<(), String> {
        let absent = [
            (
                self.offsets_decoder,
                "offsets-decoder",
                "__consumer_offsets",
            ),
            (
                self.transaction_log_decoder,
                "transaction-log-decoder",
                "__transaction_state",
            ),
            (
                self.share_group_state_decoder,
                "share-group-state-decoder",
                "__share_group_state",
            ),
            (
                self.remote_log_metadata_decoder,
                "remote-log-metadata-decoder",
                "__remote_log_metadata",
            ),
        ];
        for (is_set, flag, topic) in absent {
            if is_set {
                return Err(format!(
                    "--{flag}: this release keeps no {topic}; leave it out"
                ));
            }
        }
        Ok(())
    }
}

/// Whether everything that was named could be read whole.
pub fn run(options: &Options) -> Result<(), String> {
    options.check()?;
    let out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let mut printer = Printer::new(out, options);
    for path in &options.files {
        let before = printer.faults();
        printer.begin();
        if let Err(error) = sources::dump(path, &mut printer) {
            match error {
                // Whoever read our output has seen enough.
                sources::Error::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    return Ok(());
                }
                sources::Error::Unknown(why) => {
                    printer.fault(&format!("Ignoring unknown file {}: {why}", path.display()));
                }
                error => printer.fault(&format!("{}: {error}", path.display())),
            }
        }
        if options.index_sanity_check && printer.faults() == before {
            let passed = writeln!(printer.out, "{} passed sanity check.", path.display());
            passed.map_err(|error| error.to_string())?;
        }
    }
    printer.out.flush().map_err(|error| error.to_string())?;
    match printer.faults() {
        0 => Ok(()),
        1 => Err("1 fault was found".to_owned()),
        faults => Err(format!("{faults} faults were found")),
    }
}
