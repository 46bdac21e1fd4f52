use super::*;
use bytes::Bytes;
use millrace_wire::messages::fetch_request::{FetchTopic, ForgottenTopic};
use millrace_wire::messages::fetch_response::PartitionData;
use millrace_wire::messages::{StrBytes, TopicName, Uuid};

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn request(session_id: i32, session_epoch: i32, partitions: &[(&str, i32, i64)]) -> FetchRequest {
    let mut request = FetchRequest::default();
    request.session_id = session_id;
    request.session_epoch = session_epoch;
    for (topic, partition, offset) in partitions {
        let mut asked = FetchPartition::default();
        asked.partition = *partition;
        asked.fetch_offset = *offset;
        let mut of = FetchTopic::default();
        of.topic = name(topic);
        of.partitions = vec![asked];
        request.topics.push(of);
    }
    request
}

fn forget(mut request: FetchRequest, topic: &str, partition: i32) -> FetchRequest {
    let mut forgotten = ForgottenTopic::default();
    forgotten.topic = name(topic);
    forgotten.partitions = vec![partition];
    request.forgotten_topics_data.push(forgotten);
    request
}

fn part(topic: &str, partition: i32, high_watermark: i64, records: &'static str) -> Part {
    let mut data = PartitionData::default();
    data.high_watermark = high_watermark;
    data.records = Some(Bytes::from_static(records.as_bytes()));
    Part {
        key: Key {
            name: name(topic),
            id: Uuid::nil(),
            partition,
        },
        data,
    }
}

fn keys<'a>(parts: impl IntoIterator<Item = &'a Key>) -> Vec<String> {
    let show = |key: &Key| format!("{}-{}", &*key.name.0, key.partition);
    parts.into_iter().map(show).collect()
}

fn asked(begun: &Begun) -> Vec<String> {
    keys(begun.wanted().iter().map(|wanted| &wanted.key))
}

fn told(sessions: &Sessions, begun: Begun, parts: Vec<Part>) -> Vec<String> {
    let (_, parts) = sessions.end(begun, parts);
    keys(parts.iter().map(|part| &part.key))
}

fn open(sessions: &Sessions, partitions: &[(&str, i32, i64)]) -> i32 {
    let begun = sessions
        .begin(&request(0, 0, partitions))
        .expect("a new session");
    let parts = partitions
        .iter()
        .map(|(topic, partition, _)| part(topic, *partition, 0, ""));
    let (id, parts) = sessions.end(begun, parts.collect());
    assert_eq!(
        parts.len(),
        partitions.len(),
        "a full fetch is answered in full"
    );
    id
}

#[test]
fn a_session_remembers_what_was_asked_and_tells_what_is_new() {
    let sessions = Sessions::new(10);
    let id = open(&sessions, &[("a", 0, 0), ("a", 1, 0), ("b", 0, 0)]);
    assert_ne!(id, 0);
    let begun = sessions
        .begin(&request(id, 1, &[]))
        .expect("the next epoch");
    assert_eq!(asked(&begun), ["a-0", "a-1", "b-0"]);
    let parts = vec![
        part("a", 0, 0, ""),
        part("a", 1, 5, ""),
        part("b", 0, 0, "x"),
    ];
    assert_eq!(told(&sessions, begun, parts), ["a-1", "b-0"]);
    let begun = sessions
        .begin(&request(id, 2, &[]))
        .expect("the next epoch");
    let parts = vec![
        part("a", 0, 0, ""),
        part("a", 1, 5, ""),
        part("b", 0, 0, ""),
    ];
    assert_eq!(told(&sessions, begun, parts), Vec::<String>::new());
}

#[test]
fn a_partition_that_had_records_is_read_last_the_next_time() {
    let sessions = Sessions::new(10);
    let id = open(&sessions, &[("a", 0, 0), ("a", 1, 0)]);
    let begun = sessions
        .begin(&request(id, 1, &[]))
        .expect("the next epoch");
    told(
        &sessions,
        begun,
        vec![part("a", 0, 9, "x"), part("a", 1, 0, "")],
    );
    let begun = sessions
        .begin(&request(id, 2, &[]))
        .expect("the next epoch");
    assert_eq!(asked(&begun), ["a-1", "a-0"]);
}

#[test]
fn partitions_are_added_changed_and_forgotten() {
    let sessions = Sessions::new(10);
    let id = open(&sessions, &[("a", 0, 0), ("a", 1, 0)]);
    let change = forget(request(id, 1, &[("a", 1, 7), ("c", 3, 0)]), "a", 0);
    let begun = sessions.begin(&change).expect("the next epoch");
    assert_eq!(asked(&begun), ["a-1", "c-3"]);
    assert_eq!(begun.wanted()[0].partition.fetch_offset, 7);
    let end = forget(forget(request(id, 2, &[]), "a", 1), "c", 3);
    let begun = sessions.begin(&end).expect("the next epoch");
    assert_eq!(begun.session_id, 0, "an empty session ends");
    assert_eq!(sessions.count(), 0);
}

#[test]
fn an_unknown_session_and_a_wrong_epoch_are_refused() {
    let sessions = Sessions::new(10);
    let refused = |request| sessions.begin(&request).expect_err("it is refused");
    assert_eq!(
        refused(request(77, 1, &[])),
        ErrorCode::FetchSessionIdNotFound
    );
    let id = open(&sessions, &[("a", 0, 0)]);
    assert_eq!(
        refused(request(id, 2, &[])),
        ErrorCode::InvalidFetchSessionEpoch
    );
    let mut by_id = request(id, 1, &[("", 0, 0)]);
    by_id.topics[0].topic_id = Uuid::from_u128(9);
    assert_eq!(refused(by_id), ErrorCode::FetchSessionTopicIdError);
}

#[test]
fn a_final_epoch_ends_the_session_and_fetches_without_one() {
    let sessions = Sessions::new(10);
    let id = open(&sessions, &[("a", 0, 0)]);
    let begun = sessions
        .begin(&request(id, -1, &[("b", 0, 0)]))
        .expect("no session");
    assert_eq!(
        (begun.session_id, asked(&begun)),
        (0, vec!["b-0".to_owned()])
    );
    assert_eq!(sessions.count(), 0);
}

#[test]
fn a_full_cache_takes_only_larger_sessions() {
    let sessions = Sessions::new(1);
    let first = open(&sessions, &[("a", 0, 0)]);
    assert_eq!(open(&sessions, &[("b", 0, 0)]), 0);
    let larger = open(&sessions, &[("b", 0, 0), ("b", 1, 0)]);
    assert!(larger != 0 && larger != first);
    assert_eq!(sessions.count(), 1);
}

#[test]
fn an_error_is_told_each_time_and_the_partition_once_more_after_it() {
    let sessions = Sessions::new(10);
    let id = open(&sessions, &[("a", 0, 0)]);
    let failed = || {
        let mut part = part("a", 0, 0, "");
        part.data.error_code = 3;
        part
    };
    for (epoch, part, is_told) in [
        (1, failed(), true),
        (2, failed(), true),
        (3, part("a", 0, 0, ""), true),
        (4, part("a", 0, 0, ""), false),
    ] {
        let begun = sessions
            .begin(&request(id, epoch, &[]))
            .expect("the next epoch");
        assert_eq!(
            told(&sessions, begun, vec![part]).len(),
            usize::from(is_told),
            "epoch {epoch}"
        );
    }
}

#[test]
fn after_the_last_epoch_comes_1() {
    assert_eq!(next_epoch(i32::MAX), 1);
}

#[test]
fn an_answer_that_is_put_off_begins_no_session_and_goes_on_with_one_that_is() {
    let sessions = Sessions::new(10);
    let partitions = &[("a", 0, 0), ("a", 1, 0)];
    let begun = sessions.begin(&request(0, 0, partitions));
    assert_eq!(sessions.put_off(begun.expect("a new session")), 0);
    assert_eq!(sessions.count(), 0);
    let id = open(&sessions, partitions);
    let begun = sessions.begin(&request(id, 1, &[]));
    assert_eq!(sessions.put_off(begun.expect("the next epoch")), id);
    let begun = sessions.begin(&request(id, 2, &[]));
    let begun = begun.expect("the epoch after");
    let parts = vec![part("a", 0, 7, ""), part("a", 1, 0, "")];
    assert_eq!(told(&sessions, begun, parts), ["a-0"]);
}
