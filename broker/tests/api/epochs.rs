//! Leader epochs, wherever a client sees one: 0 for a new partition, one more for each leadership.

use super::rig::{Broker, Client, list_offsets};
use millrace_wire::Batch;
use millrace_wire::batch::split;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// The epoch that the partition is led in, from all who say it. Newest and oldest record are in it, or the partition is empty.
async fn epochs(client: &mut Client) -> (i32, Vec<i32>) {
    let led = client.led("t").await.partitions[0].leader_epoch;
    let fetched = client.fetch("t", 0, 0).await;
    let batches = split(fetched.records.unwrap_or_default());
    let in_headers: Vec<i32> = batches
        .map(|batch: Result<Batch, _>| batch.expect("whole batches").header().leader_epoch)
        .collect();
    let found = client.ask(9, &list_offsets("t", 0, LATEST)).await;
    assert_eq!(found.topics[0].partitions[0].leader_epoch, led);
    let found = client.ask(9, &list_offsets("t", 0, EARLIEST)).await;
    let of_first = in_headers.first().copied().unwrap_or(led);
    assert_eq!(found.topics[0].partitions[0].leader_epoch, of_first);
    (led, in_headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_epochs_begin_at_0_and_rise_with_each_leadership() {
    let mut broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let mut written = Vec::new();
    assert_eq!(epochs(&mut client).await, (0, written.clone()));
    for epoch in 0..3 {
        client.fill("t", 0, 2).await;
        written.extend([epoch, epoch]);
        assert_eq!(epochs(&mut client).await, (epoch, written.clone()));
        broker = broker.restart().await;
        client = broker.connect().await;
    }
    client.topic("new", 1, &[]).await;
    let led = client.led("new").await;
    assert_eq!(led.partitions[0].leader_epoch, 0, "of its own");
}
