import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidGroupIdException;
import org.apache.kafka.common.errors.InvalidSessionTimeoutException;
import org.apache.kafka.common.errors.OffsetMetadataTooLarge;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** Offsets that are committed in a group's name, and groups as an administrator sees them. Members among each other are `groups/` matter. */
final class Groups {
    private Groups() {}

    static void run(Peer peer) {
        commits(peer);
        looking(peer);
        altering(peer);
        deleting(peer);
        removing(peer);
    }

    /** A member that owns all the topic's partitions. Its heartbeats do not need poll. */
    private static KafkaConsumer<byte[], byte[]> member(Peer peer, String group, String topic, Object... more) throws Exception {
        Object[] settings = java.util.stream.Stream.concat(java.util.Arrays.stream(new Object[] {"group.id", group, "enable.auto.commit", false}),
            java.util.Arrays.stream(more)).toArray();
        KafkaConsumer<byte[], byte[]> member = peer.consumer(settings);
        member.subscribe(List.of(topic));
        Peer.eventually("it owns partitions", () -> {
            member.poll(Duration.ofMillis(100));
            return !member.assignment().isEmpty();
        });
        return member;
    }

    private static void commit(Peer peer, String group, Map<TopicPartition, OffsetAndMetadata> offsets) {
        try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("group.id", group, "enable.auto.commit", false)) {
            consumer.assign(offsets.keySet());
            consumer.commitSync(offsets);
        }
    }

    private static Map<TopicPartition, OffsetAndMetadata> committed(Peer peer, String group) throws Exception {
        return Peer.get(peer.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    private static ConsumerGroupDescription described(Peer peer, String group) throws Exception {
        return Peer.get(peer.admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private static void commits(Peer peer) {
        Statements.states("groups: a commit is read back with its metadata and leader epoch, and only where there is one", () -> {
            String topic = peer.topic("commit", 3);
            String group = peer.name("group");
            TopicPartition first = new TopicPartition(topic, 0);
            TopicPartition second = new TopicPartition(topic, 1);
            TopicPartition none = new TopicPartition(topic, 2);
            Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(
                first, new OffsetAndMetadata(7, java.util.Optional.of(0), "schön ✓"), second, new OffsetAndMetadata(1_000_000_000_000L));
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("group.id", group, "enable.auto.commit", false)) {
                consumer.assign(List.of(first, second, none));
                consumer.commitSync(offsets);
                Map<TopicPartition, OffsetAndMetadata> told = consumer.committed(Set.of(first, second, none));
                Statements.expect("first", offsets.get(first), told.get(first));
                Statements.expect("second", offsets.get(second), told.get(second));
                Statements.expect("none", null, told.get(none));
            }
            Statements.expect("the administrator's view", offsets, committed(peer, group));
        });
        Statements.states("groups: reading goes on at the commit, and the last commit counts", () -> {
            String topic = peer.topic("resume", 1);
            String group = peer.name("group");
            peer.send(Peer.numbered(topic, 20));
            TopicPartition partition = new TopicPartition(topic, 0);
            commit(peer, group, Map.of(partition, new OffsetAndMetadata(15)));
            commit(peer, group, Map.of(partition, new OffsetAndMetadata(12)));
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("group.id", group)) {
                consumer.subscribe(List.of(topic));
                Statements.expect("first", 12L, Peer.poll(consumer, 8).get(0).offset());
            }
            Statements.expect("committed when it closed", 20L, committed(peer, group).get(partition).offset());
        });
        Statements.states("groups: metadata beyond offset.metadata.max.bytes is refused, at it is kept", () -> {
            String topic = peer.topic("long", 1);
            String group = peer.name("group");
            TopicPartition partition = new TopicPartition(topic, 0);
            commit(peer, group, Map.of(partition, new OffsetAndMetadata(1, "m".repeat(4096))));
            Statements.refused(OffsetMetadataTooLarge.class,
                () -> commit(peer, group, Map.of(partition, new OffsetAndMetadata(2, "m".repeat(4097)))));
            Statements.expect("offset", 1L, committed(peer, group).get(partition).offset());
        });
        Statements.states("groups: whoever is not a member commits nothing in a group that has members", () -> {
            String topic = peer.topic("outsider", 1);
            String group = peer.name("group");
            try (KafkaConsumer<byte[], byte[]> member = member(peer, group, topic)) {
                Statements.refused(CommitFailedException.class,
                    () -> commit(peer, group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(5))));
                Statements.expect("commits", Map.of(), committed(peer, group));
            }
        });
        Statements.states("groups: a session timeout out of the broker's range is refused", () -> {
            String topic = peer.topic("session", 1);
            Statements.refused(InvalidSessionTimeoutException.class, () -> {
                try (KafkaConsumer<byte[], byte[]> consumer =
                    peer.consumer("group.id", peer.name("group"), "session.timeout.ms", 5_999, "heartbeat.interval.ms", 1_000)) {
                    consumer.subscribe(List.of(topic));
                    consumer.poll(Duration.ofSeconds(30));
                }
            });
        });
    }

    private static void looking(Peer peer) {
        Statements.states("groups: describe tells the state, the assignor, and the members with what they own", () -> {
            String topic = peer.topic("describe", 3);
            String group = peer.name("group");
            try (KafkaConsumer<byte[], byte[]> member =
                member(peer, group, topic, "client.id", "described", "group.instance.id", "instance-1", "client.rack", "rack-1")) {
                ConsumerGroupDescription told = described(peer, group);
                Statements.expect("state", GroupState.STABLE, told.groupState());
                Statements.expect("type", GroupType.CLASSIC, told.type());
                Statements.expect("assignor", "range", told.partitionAssignor());
                Statements.expect("simple", false, told.isSimpleConsumerGroup());
                Statements.expect("coordinator", Peer.get(peer.admin.describeCluster().nodes()).iterator().next().id(), told.coordinator().id());
                Statements.expect("members", 1, told.members().size());
                MemberDescription one = told.members().iterator().next();
                Statements.expect("client id", "described", one.clientId());
                Statements.expect("member id", member.groupMetadata().memberId(), one.consumerId());
                Statements.expect("member id begins with the instance", true, one.consumerId().startsWith("instance-1-"));
                Statements.expect("instance", java.util.Optional.of("instance-1"), one.groupInstanceId());
                Statements.expect("host", "/127.0.0.1", one.host());
                Statements.expect("owned", member.assignment(), one.assignment().topicPartitions());
            }
            Statements.expect("a static member that closed stays", 1, described(peer, group).members().size());
        });
        Statements.states("groups: the id of a member that is not static begins with its client's", () -> {
            String topic = peer.topic("id", 1);
            String group = peer.name("group");
            try (KafkaConsumer<byte[], byte[]> member = member(peer, group, topic, "client.id", "somebody")) {
                Statements.expect("member id", true, member.groupMetadata().memberId().startsWith("somebody-"));
                Statements.expect("generation", 1, member.groupMetadata().generationId());
            }
            ConsumerGroupDescription left = described(peer, group);
            Statements.expect("state when it has left", GroupState.EMPTY, left.groupState());
            Statements.expect("members when it has left", 0, left.members().size());
        });
        Statements.states("groups: list tells each group's state, type and protocol, and filters by them", () -> {
            String topic = peer.topic("list", 1);
            String full = peer.name("full");
            String empty = peer.name("empty");
            String simple = peer.name("simple");
            member(peer, empty, topic).close();
            commit(peer, simple, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1)));
            try (KafkaConsumer<byte[], byte[]> member = member(peer, full, topic)) {
                Map<String, GroupListing> all = listed(peer, new ListGroupsOptions());
                Statements.expect("full", new GroupListing(full, java.util.Optional.of(GroupType.CLASSIC), "consumer", java.util.Optional.of(GroupState.STABLE)), all.get(full));
                Statements.expect("empty", java.util.Optional.of(GroupState.EMPTY), all.get(empty).groupState());
                Statements.expect("protocol of the empty one", "consumer", all.get(empty).protocol());
                Statements.expect("protocol of the simple one", "", all.get(simple).protocol());
                Set<String> ours = Set.of(full, empty, simple);
                Statements.expect("stable", Set.of(full), among(ours, listed(peer, new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)))));
                Statements.expect("empty", Set.of(empty, simple), among(ours, listed(peer, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)))));
                Statements.expect("classic", ours, among(ours, listed(peer, new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)))));
                Statements.expect("share", Set.of(), among(ours, listed(peer, new ListGroupsOptions().withTypes(Set.of(GroupType.SHARE)))));
                Statements.expect("protocol", Set.of(full, empty), among(ours, listed(peer, new ListGroupsOptions().withProtocolTypes(Set.of("consumer")))));
            }
        });
        Statements.states("groups: a group nobody heard of is not found, and has no offsets", () -> {
            String group = peer.name("nobody");
            Statements.refused(GroupIdNotFoundException.class, () -> described(peer, group));
            Statements.expect("offsets", Map.of(), committed(peer, group));
            Statements.refused(GroupIdNotFoundException.class, () -> Peer.get(peer.admin.deleteConsumerGroups(List.of(group)).all()));
        });
    }

    private static Map<String, GroupListing> listed(Peer peer, ListGroupsOptions options) throws Exception {
        return Peer.get(peer.admin.listGroups(options).all()).stream().collect(java.util.stream.Collectors.toMap(GroupListing::groupId, g -> g));
    }

    private static Set<String> among(Set<String> ours, Map<String, GroupListing> listed) {
        return ours.stream().filter(listed::containsKey).collect(java.util.stream.Collectors.toSet());
    }

    private static void altering(Peer peer) {
        Statements.states("groups: offsets are altered in a group without members, and in no other", () -> {
            String topic = peer.topic("alter", 2);
            String group = peer.name("group");
            TopicPartition partition = new TopicPartition(topic, 0);
            Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(partition, new OffsetAndMetadata(42, "by hand"));
            Peer.get(peer.admin.alterConsumerGroupOffsets(group, offsets).all());
            Statements.expect("offsets", offsets, committed(peer, group));
            try (KafkaConsumer<byte[], byte[]> member = member(peer, group, topic)) {
                Statements.refused(UnknownMemberIdException.class,
                    () -> Peer.get(peer.admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1))).all()));
            }
            Statements.expect("offsets after", offsets, committed(peer, group));
        });
        Statements.states("groups: an empty group id is refused", () ->
            Statements.refused(InvalidGroupIdException.class, () -> Peer.get(peer.admin.describeConsumerGroups(List.of("")).all())));
    }

    private static void deleting(Peer peer) {
        Statements.states("groups: offsets are deleted, but not of a topic a member is subscribed to", () -> {
            String topic = peer.topic("drop", 1);
            String other = peer.topic("drop-other", 2);
            String group = peer.name("group");
            TopicPartition subscribed = new TopicPartition(topic, 0);
            TopicPartition gone = new TopicPartition(other, 0);
            TopicPartition kept = new TopicPartition(other, 1);
            OffsetAndMetadata three = new OffsetAndMetadata(3);
            Peer.get(peer.admin.alterConsumerGroupOffsets(group, Map.of(subscribed, three, gone, three, kept, three)).all());
            try (KafkaConsumer<byte[], byte[]> member = member(peer, group, topic)) {
                var deleted = peer.admin.deleteConsumerGroupOffsets(group, Set.of(subscribed, gone));
                Statements.refused(GroupSubscribedToTopicException.class, () -> Peer.get(deleted.partitionResult(subscribed)));
                Peer.get(deleted.partitionResult(gone));
                Statements.expect("offsets", Map.of(subscribed, three, kept, three), committed(peer, group));
            }
            Peer.get(peer.admin.deleteConsumerGroupOffsets(group, Set.of(subscribed)).all());
            Statements.expect("offsets", Map.of(kept, three), committed(peer, group));
            Statements.refused(GroupIdNotFoundException.class,
                () -> Peer.get(peer.admin.deleteConsumerGroupOffsets(peer.name("nobody"), Set.of(kept)).all()));
        });
        Statements.states("groups: a group is deleted with its offsets, but not while it has members", () -> {
            String topic = peer.topic("delete", 1);
            String group = peer.name("group");
            Peer.get(peer.admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(3))).all());
            try (KafkaConsumer<byte[], byte[]> member = member(peer, group, topic)) {
                Statements.refused(GroupNotEmptyException.class, () -> Peer.get(peer.admin.deleteConsumerGroups(List.of(group)).all()));
            }
            Peer.get(peer.admin.deleteConsumerGroups(List.of(group)).all());
            Statements.expect("offsets", Map.of(), committed(peer, group));
            Statements.expect("listed", false, listed(peer, new ListGroupsOptions()).containsKey(group));
            Statements.refused(GroupIdNotFoundException.class, () -> described(peer, group));
        });
    }

    private static void removing(Peer peer) {
        Statements.states("groups: a static member is removed by its group.instance.id, others by removing all", () -> {
            String topic = peer.topic("remove", 2);
            String group = peer.name("group");
            member(peer, group, topic, "group.instance.id", "one").close();
            Statements.expect("members", 1, described(peer, group).members().size());
            Peer.get(peer.admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")))).all());
            Statements.expect("state", GroupState.EMPTY, described(peer, group).groupState());
            Statements.refused(UnknownMemberIdException.class, () -> Peer.get(peer.admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")))).memberResult(new MemberToRemove("one"))));
            try (KafkaConsumer<byte[], byte[]> member = member(peer, group, topic)) {
                Peer.get(peer.admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all());
                Statements.expect("state", GroupState.EMPTY, described(peer, group).groupState());
            }
        });
        Statements.states("groups: of two static members with one group.instance.id the first is fenced", () -> {
            String topic = peer.topic("fence", 1);
            String group = peer.name("group");
            try (KafkaConsumer<byte[], byte[]> first = member(peer, group, topic, "group.instance.id", "one");
                 KafkaConsumer<byte[], byte[]> second = member(peer, group, topic, "group.instance.id", "one")) {
                ConsumerGroupMetadata now = second.groupMetadata();
                Statements.expect("generation", first.groupMetadata().generationId(), now.generationId());
                Statements.refused(FencedInstanceIdException.class,
                    () -> first.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(5))));
                second.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(6)));
                Statements.expect("offset", 6L, committed(peer, group).get(new TopicPartition(topic, 0)).offset());
            }
        });
    }
}
