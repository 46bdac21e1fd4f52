"""Offsets that are committed in a group's name, and groups as an administrator sees them, by kafka-python."""
from kafka import KafkaConsumer, TopicPartition, errors
from kafka.admin import MemberToRemove
from kafka.structs import OffsetAndMetadata
from statements import eventually, expect, name, states

# A poll that ends between SyncGroup and its answer loses the assignment for good (kafka-python 3.0.12): no poll here is as short as a rebalance.
POLL_MS = 3_000


def run(bootstrap, admin, topic, send, refused):
    def consumer(group, **settings):
        return KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", **settings)

    def member(group, of, **settings):
        """A member that owns all the topic's partitions. Its heartbeats do not need poll."""
        reader = consumer(group, **settings)
        reader.subscribe([of])

        def owns():
            reader.poll(timeout_ms=POLL_MS)
            return reader.assignment()
        eventually("it owns partitions", owns)
        return reader

    def commit(group, offsets):
        reader = consumer(group)
        try:
            reader.assign(list(offsets))
            reader.commit(offsets)
        finally:
            reader.close()

    def committed(group):
        return {p: (kept.offset, kept.metadata) for p, kept in admin.list_group_offsets(group)[group].items()}

    def described(group):
        return admin.describe_groups([group])[group]

    @states("groups: a commit is read back with its metadata, and reading goes on there")
    def _():
        of, group = topic("commit", 2), name("kafka-python", "group")
        send([{"topic": of, "partition": 0, "value": str(i).encode()} for i in range(10)])
        first, none = TopicPartition(of, 0), TopicPartition(of, 1)
        commit(group, {first: OffsetAndMetadata(7, "schön ✓", -1)})
        expect("the administrator's view", {first: (7, "schön ✓")}, committed(group))
        reader = consumer(group)
        try:
            reader.subscribe([of])
            expect("committed", (7, None), (reader.committed(first), reader.committed(none)))
            got = []

            def read():
                for records in reader.poll(timeout_ms=POLL_MS).values():
                    got.extend(records)
                return len(got) >= 3
            eventually("the rest is read", read)
            expect("offsets", [7, 8, 9], [r.offset for r in got])
        finally:
            reader.close()

    @states("groups: metadata beyond offset.metadata.max.bytes is refused")
    def _():
        of, group = TopicPartition(topic("long"), 0), name("kafka-python", "group")
        commit(group, {of: OffsetAndMetadata(1, "m" * 4096, -1)})
        refused(errors.OffsetMetadataTooLargeError, lambda: commit(group, {of: OffsetAndMetadata(2, "m" * 4097, -1)}))
        expect("offset", 1, committed(group)[of][0])

    @states("groups: describe tells the state, the assignor and the members; list finds the group by its state and type")
    def _():
        of, group = topic("describe", 3), name("kafka-python", "group")
        reader = member(group, of, client_id="described")
        try:
            told = described(group)
            expect("state", "Stable", told["group_state"])
            expect("protocol", ("consumer", "range"), (told["protocol_type"], told["protocol_data"]))
            (one,) = told["members"]
            expect("client id", "described", one["client_id"])
            expect("member id", reader.group_metadata().member_id, one["member_id"])
            expect("host", "/127.0.0.1", one["client_host"])
            listed = [g["group_id"] for g in admin.list_groups(states_filter=["Stable"], types_filter=["classic"])]
            expect("listed as stable", True, group in listed)
            expect("listed as empty", False, group in [g["group_id"] for g in admin.list_groups(states_filter=["Empty"])])
        finally:
            reader.close()
        expect("state when it has left", "Empty", described(group)["group_state"])

    @states("groups: offsets are altered and deleted in a group without members, and in no other")
    def _():
        of, group = topic("alter", 2), name("kafka-python", "group")
        one, two = TopicPartition(of, 0), TopicPartition(of, 1)
        three = OffsetAndMetadata(3, "by hand", -1)
        expect("altered", {errors.NoError}, set(admin.alter_group_offsets(group, {one: three, two: three}).values()))
        reader = member(group, of)
        try:
            expect("altering with a member", errors.UnknownMemberIdError, admin.alter_group_offsets(group, {one: three})[one])
            expect("deleting with a member", errors.GroupSubscribedToTopicError, admin.delete_group_offsets(group, [one])[one])
        finally:
            reader.close()
        expect("deleted", {one: errors.NoError}, admin.delete_group_offsets(group, [one]))
        expect("left", {two: (3, "by hand")}, committed(group))

    @states("groups: a group is deleted with its offsets, but not while it has members, nor when it is unknown")
    def _():
        of, group = topic("delete"), name("kafka-python", "group")
        reader = member(group, of)
        try:
            reader.commit({TopicPartition(of, 0): OffsetAndMetadata(0, "", -1)})
            expect("with a member", {group: "NonEmptyGroupError"}, admin.delete_groups([group]))
        finally:
            reader.close()
        expect("without", {group: "OK"}, admin.delete_groups([group]))
        expect("offsets", {}, committed(group))
        expect("again", {group: "GroupIdNotFoundError"}, admin.delete_groups([group]))

    @states("groups: a static member stays when it is closed, until it is removed by its instance")
    def _():
        of, group = topic("remove"), name("kafka-python", "group")
        member(group, of, group_instance_id="one").close()
        expect("members", ["one"], [m["group_instance_id"] for m in described(group)["members"]])
        admin.remove_group_members(group, [MemberToRemove(group_instance_id="one")])
        expect("state", "Empty", described(group)["group_state"])
