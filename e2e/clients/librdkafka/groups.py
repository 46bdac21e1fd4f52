"""Offsets that are committed in a group's name, and groups as an administrator sees them, by librdkafka."""
from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, TopicPartition
from statements import eventually, expect, name, states


def run(admin, topic, send, consumer, poll, result, refused):
    def member(group, of, **settings):
        """A member that owns all the topic's partitions. Its heartbeats do not need poll."""
        reader = consumer(group_id=group, **settings)
        reader.subscribe([of])

        def owns():
            reader.poll(0.1)
            return reader.assignment()
        eventually("it owns partitions", owns)
        return reader

    def commit(group, offsets):
        reader = consumer(group_id=group)
        try:
            (told,) = reader.commit(offsets=offsets, asynchronous=False)
            return told.error
        finally:
            reader.close()

    # Without metadata: confluent-kafka 2.16.1 reads them past their end.
    def committed(group):
        told = result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {p.partition: p.offset for p in told.topic_partitions}

    def described(group):
        return result(admin.describe_consumer_groups([group]))

    def listed(**filters):
        return {g.group_id: g for g in admin.list_consumer_groups(**filters).result(60).valid}

    @states("groups: reading goes on at the commit, and the last commit counts")
    def _():
        of, group = topic("commit", 2), name("librdkafka", "group")
        send([{"topic": of, "partition": 0, "value": str(i).encode()} for i in range(10)])
        for offset in (8, 7):
            commit(group, [TopicPartition(of, 0, offset, "schön ✓")])
        expect("the administrator's view", {0: 7}, committed(group))
        reader = consumer(group_id=group)
        try:
            reader.subscribe([of])
            expect("offsets", [7, 8, 9], [m.offset() for m in poll(reader, 3)])
            expect("committed", [7, -1001], [p.offset for p in reader.committed([TopicPartition(of, 0), TopicPartition(of, 1)], 60)])
        finally:
            reader.close()

    @states("groups: metadata beyond offset.metadata.max.bytes is refused")
    def _():
        of, group = topic("long"), name("librdkafka", "group")
        # Not 4096: confluent-kafka 2.16.1 sends one byte more than it is given.
        commit(group, [TopicPartition(of, 0, 1, "m" * 4095)])
        refused("OFFSET_METADATA_TOO_LARGE", lambda: commit(group, [TopicPartition(of, 0, 2, "m" * 4097)]))
        expect("offset", {0: 1}, committed(group))

    @states("groups: describe tells the state, the assignor and the members with what they own; list finds the group by its state")
    def _():
        of, group = topic("describe", 3), name("librdkafka", "group")
        reader = member(group, of, client_id="described", group_instance_id="one", partition_assignment_strategy="roundrobin")
        try:
            told = described(group)
            expect("state", ConsumerGroupState.STABLE, told.state)
            expect("type", ConsumerGroupType.CLASSIC, told.type)
            expect("assignor", "roundrobin", told.partition_assignor)
            (one,) = told.members
            expect("member", ("described", "one", reader.memberid(), "/127.0.0.1"),
                   (one.client_id, one.group_instance_id, one.member_id, one.host))
            expect("owned", {0, 1, 2}, {p.partition for p in one.assignment.topic_partitions})
            expect("listed as stable", True, group in listed(states={ConsumerGroupState.STABLE}, types={ConsumerGroupType.CLASSIC}))
            expect("listed as empty", False, group in listed(states={ConsumerGroupState.EMPTY}))
        finally:
            reader.close()
        expect("a static member that closed stays", 1, len(described(group).members))

    @states("groups: offsets are altered in a group without members, and in no other")
    def _():
        of, group = topic("alter"), name("librdkafka", "group")

        def alter(offset):
            told = result(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(of, 0, offset)])]))
            return told.topic_partitions[0].error
        expect("without members", None, alter(42))
        reader = member(group, of)
        try:
            expect("with one", "UNKNOWN_MEMBER_ID", alter(1).name())
        finally:
            reader.close()
        expect("offsets", {0: 42}, committed(group))

    @states("groups: a group is deleted with its offsets, but not while it has members, nor when it is unknown")
    def _():
        of, group = topic("delete"), name("librdkafka", "group")

        def delete():
            return result(admin.delete_consumer_groups([group]))
        reader = member(group, of)
        try:
            reader.commit(offsets=[TopicPartition(of, 0, 0)], asynchronous=False)
            refused("NON_EMPTY_GROUP", delete)
        finally:
            reader.close()
        delete()
        expect("offsets", {}, committed(group))
        refused("GROUP_ID_NOT_FOUND", delete)
