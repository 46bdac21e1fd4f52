import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** Groups of members with group.protocol=consumer as an administrator sees and changes them, and their meeting with the classic protocol. */
final class NewerGroups {
    private NewerGroups() {}

    static void run(Peer peer) {
        looking(peer);
        changing(peer);
        settings(peer);
        meeting(peer);
    }

    static Map<TopicPartition, OffsetAndMetadata> committed(Peer peer, String group) throws Exception {
        return Peer.get(peer.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    static ConsumerGroupDescription described(Peer peer, String group) throws Exception {
        return Peer.get(peer.admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private static MemberDescription described(ConsumerGroupDescription group, NewerMember member) {
        return group.members().stream().filter(m -> m.consumerId().equals(member.id())).findFirst().orElseThrow();
    }

    private static void looking(Peer peer) {
        Statements.states("newer: describe tells the type, the state, the epochs, the assignor, and the members with what they own and are to own", () -> {
            String topic = peer.topic("describe", 3);
            String group = peer.name("group");
            try (NewerMember member =
                NewerMember.of(peer, group, "described", "group.instance.id", "instance-1", "client.rack", "rack-1").subscribed(topic).owning(topic, "3")) {
                Peer.eventually("it is stable", () -> described(peer, group).groupState() == GroupState.STABLE);
                ConsumerGroupDescription told = described(peer, group);
                Statements.expect("type", GroupType.CONSUMER, told.type());
                Statements.expect("assignor", "uniform", told.partitionAssignor());
                Statements.expect("simple", false, told.isSimpleConsumerGroup());
                Statements.expect("epoch", Optional.of(member.epoch()), told.groupEpoch());
                Statements.expect("target assignment's epoch", Optional.of(member.epoch()), told.targetAssignmentEpoch());
                Statements.expect("coordinator", Peer.get(peer.admin.describeCluster().nodes()).iterator().next().id(), told.coordinator().id());
                Statements.expect("members", 1, told.members().size());
                MemberDescription one = described(told, member);
                Statements.expect("client id", "described", one.clientId());
                Statements.expect("instance", Optional.of("instance-1"), one.groupInstanceId());
                Statements.expect("rack", Optional.of("rack-1"), one.rackId());
                Statements.expect("host", "/127.0.0.1", one.host());
                Statements.expect("epoch of the member", Optional.of(member.epoch()), one.memberEpoch());
                Statements.expect("protocol of the member", Optional.of(true), one.upgraded());
                Statements.expect("owned", member.consumer.assignment(), one.assignment().topicPartitions());
                Statements.expect("to own", member.consumer.assignment(), one.targetAssignment().get().topicPartitions());
            }
        });
        Statements.states("newer: while a member holds what it is to give back, the group is reconciling, and the two assignments differ", () -> {
            String topic = peer.topic("reconcile", 2);
            String group = peer.name("group");
            try (NewerMember holds = NewerMember.of(peer, group, "holds").subscribed(topic).owning(topic, "2");
                 NewerMember waits = NewerMember.of(peer, group, "waits").subscribed(topic)) {
                // Who does not poll gives nothing back.
                NewerMember.until("the target is known", () -> described(peer, group).members().size() == 2
                    && described(described(peer, group), waits).targetAssignment().get().topicPartitions().size() == 1, waits);
                int[] turns = {0};
                NewerMember.until("some heartbeats later", () -> ++turns[0] > 30, waits);
                ConsumerGroupDescription told = described(peer, group);
                Statements.expect("state", GroupState.RECONCILING, told.groupState());
                Statements.expect("held, what is to be given back with it", 2, described(told, holds).assignment().topicPartitions().size());
                Statements.expect("to hold", 1, described(told, holds).targetAssignment().get().topicPartitions().size());
                Statements.expect("nobody else has it yet", Set.of(), described(told, waits).assignment().topicPartitions());
                Statements.expect("who holds is an epoch behind", true, described(told, holds).memberEpoch().get() < told.groupEpoch().get());
                NewerMember.until("it is handed over", () -> waits.owned().size() == 1, holds, waits);
                NewerMember.until("it is stable", () -> described(peer, group).groupState() == GroupState.STABLE, holds, waits);
            }
        });
        Statements.states("newer: list tells each group's state, type and protocol, and filters by them", () -> {
            String topic = peer.topic("list", 1);
            String full = peer.name("full");
            String empty = peer.name("empty");
            NewerMember.of(peer, empty, "m").subscribed(topic).owning(topic, "1").close();
            try (NewerMember member = NewerMember.of(peer, full, "m").subscribed(topic).owning(topic, "1")) {
                Peer.eventually("it is stable", () -> described(peer, full).groupState() == GroupState.STABLE);
                Map<String, GroupListing> all = listed(peer, new ListGroupsOptions());
                Statements.expect("full", new GroupListing(full, Optional.of(GroupType.CONSUMER), "consumer", Optional.of(GroupState.STABLE)), all.get(full));
                Statements.expect("empty", new GroupListing(empty, Optional.of(GroupType.CONSUMER), "consumer", Optional.of(GroupState.EMPTY)), all.get(empty));
                Set<String> ours = Set.of(full, empty);
                Statements.expect("stable", Set.of(full), among(ours, new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)), peer));
                Statements.expect("empty", Set.of(empty), among(ours, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)), peer));
                Statements.expect("reconciling", Set.of(), among(ours, new ListGroupsOptions().inGroupStates(Set.of(GroupState.RECONCILING)), peer));
                Statements.expect("of the type", ours, among(ours, new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER)), peer));
                Statements.expect("of the other type", Set.of(), among(ours, new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)), peer));
                Statements.expect("of the type and stable", Set.of(full),
                    among(ours, new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER)).inGroupStates(Set.of(GroupState.STABLE)), peer));
                Statements.expect("by the protocol", ours, among(ours, ListGroupsOptions.forConsumerGroups(), peer));
            }
        });
    }

    private static Map<String, GroupListing> listed(Peer peer, ListGroupsOptions options) throws Exception {
        return Peer.get(peer.admin.listGroups(options).all()).stream().collect(Collectors.toMap(GroupListing::groupId, g -> g));
    }

    private static Set<String> among(Set<String> ours, ListGroupsOptions options, Peer peer) throws Exception {
        return listed(peer, options).keySet().stream().filter(ours::contains).collect(Collectors.toSet());
    }

    private static void changing(Peer peer) {
        Statements.states("newer: offsets are altered in a group without members, and in no other", () -> {
            String topic = peer.topic("alter", 1);
            String group = peer.name("group");
            TopicPartition partition = new TopicPartition(topic, 0);
            Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(partition, new OffsetAndMetadata(42, "by hand"));
            try (NewerMember member = NewerMember.of(peer, group, "m").subscribed(topic).owning(topic, "1")) {
                Statements.refused(UnknownMemberIdException.class, () -> Peer.get(peer.admin.alterConsumerGroupOffsets(group, offsets).all()));
                Statements.expect("offsets", Map.of(), committed(peer, group));
            }
            Peer.get(peer.admin.alterConsumerGroupOffsets(group, offsets).all());
            Statements.expect("offsets", offsets, committed(peer, group));
            Statements.expect("type", GroupType.CONSUMER, described(peer, group).type());
        });
        Statements.states("newer: offsets are deleted, but not of a topic a member subscribes to, by name or by expression", () -> {
            String topic = peer.topic("drop", 1);
            String other = peer.topic("other", 1);
            String group = peer.name("group");
            TopicPartition subscribed = new TopicPartition(topic, 0);
            TopicPartition gone = new TopicPartition(other, 0);
            OffsetAndMetadata three = new OffsetAndMetadata(3);
            Peer.get(peer.admin.alterConsumerGroupOffsets(group, Map.of(subscribed, three)).all());
            for (boolean byName : List.of(true, false)) {
                Peer.get(peer.admin.alterConsumerGroupOffsets(group, Map.of(gone, three)).all());
                try (NewerMember member = NewerMember.of(peer, group, "m")) {
                    if (byName) {
                        member.subscribed(topic);
                    } else {
                        member.consumer.subscribe(new SubscriptionPattern(topic), member);
                    }
                    member.owning(topic, "1");
                    var deleted = peer.admin.deleteConsumerGroupOffsets(group, Set.of(subscribed, gone));
                    Statements.refused(GroupSubscribedToTopicException.class, () -> Peer.get(deleted.partitionResult(subscribed)));
                    Peer.get(deleted.partitionResult(gone));
                    Statements.expect("offsets", Map.of(subscribed, three), committed(peer, group));
                }
            }
            Peer.get(peer.admin.deleteConsumerGroupOffsets(group, Set.of(subscribed)).all());
            Statements.expect("offsets", Map.of(), committed(peer, group));
        });
        Statements.states("newer: a group is deleted with its offsets, but not while it has members", () -> {
            String topic = peer.topic("delete", 1);
            String group = peer.name("group");
            try (NewerMember member = NewerMember.of(peer, group, "m").subscribed(topic).owning(topic, "1")) {
                member.commit(topic, 0, 1);
                Statements.refused(GroupNotEmptyException.class, () -> Peer.get(peer.admin.deleteConsumerGroups(List.of(group)).all()));
            }
            Peer.get(peer.admin.deleteConsumerGroups(List.of(group)).all());
            Statements.expect("offsets", Map.of(), committed(peer, group));
            Statements.expect("listed", false, listed(peer, new ListGroupsOptions()).containsKey(group));
            Statements.refused(GroupIdNotFoundException.class, () -> described(peer, group));
        });
        Statements.states("newer: a group that was deleted begins with its first epochs again", () -> {
            String topic = peer.topic("anew", 1);
            String group = peer.name("group");
            NewerMember first = NewerMember.of(peer, group, "m").subscribed(topic).owning(topic, "1");
            int epoch = first.epoch();
            first.close();
            Peer.get(peer.admin.deleteConsumerGroups(List.of(group)).all());
            try (NewerMember member = NewerMember.of(peer, group, "m").subscribed(topic).owning(topic, "1")) {
                Statements.expect("epoch", epoch, member.epoch());
            }
        });
        Statements.states("newer: a member that an administrator removes is out: its commit is refused, its partitions are lost, and it comes back", () -> {
            String topic = peer.topic("remove", 2);
            String group = peer.name("group");
            for (boolean isStatic : List.of(true, false)) {
                List<String> told = new ArrayList<>();
                Object[] more = isStatic ? new Object[] {"group.instance.id", "one"} : new Object[] {};
                try (NewerMember other = NewerMember.of(peer, group, "other", "group.instance.id", "other").subscribed(topic);
                     NewerMember member = new NewerMember(peer, group, "m", told, more).subscribed(topic)) {
                    NewerMember.until("each has one", () -> other.owned().size() == 1 && member.owned().size() == 1, other, member);
                    String lost = "m lost " + member.owned();
                    int own = member.consumer.assignment().iterator().next().partition();
                    // Who is asked where to begin when it is out already, and does not know, fails.
                    member.consumer.position(new TopicPartition(topic, own));
                    other.consumer.position(other.consumer.assignment().iterator().next());
                    remove(peer, group, isStatic);
                    // It does not know yet; the broker does.
                    Statements.refused(CommitFailedException.class, () -> member.commit(topic, own, 9));
                    NewerMember.until("it comes back", () -> told.contains(lost) && other.owned().size() == 1 && member.owned().size() == 1, other, member);
                    member.commit(topic, member.consumer.assignment().iterator().next().partition(), 10);
                }
            }
            MemberToRemove nobody = new MemberToRemove("nobody");
            Statements.refused(UnknownMemberIdException.class, () -> Peer.get(peer.admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(List.of(nobody))).memberResult(nobody)));
        });
    }

    /** All of them where it is not static: others cannot be named. */
    private static void remove(Peer peer, String group, boolean isStatic) throws Exception {
        RemoveMembersFromConsumerGroupOptions whom =
            isStatic ? new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one"))) : new RemoveMembersFromConsumerGroupOptions();
        Peer.get(peer.admin.removeMembersFromConsumerGroup(group, whom).all());
    }

    private static void settings(Peer peer) {
        Statements.states("newer: a group's settings are set, described with where they come from, listed, and deleted", () -> {
            String group = peer.name("settings");
            ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
            alter(peer, resource, "consumer.session.timeout.ms", "50000", AlterConfigOp.OpType.SET);
            Peer.eventually("it is set", () -> "50000".equals(entry(peer, resource, "consumer.session.timeout.ms").value()));
            Statements.expect("source", ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG, entry(peer, resource, "consumer.session.timeout.ms").source());
            Statements.expect("listed", true,
                Peer.get(peer.admin.listConfigResources(Set.of(ConfigResource.Type.GROUP), new ListConfigResourcesOptions()).all()).contains(resource));
            alter(peer, resource, "consumer.session.timeout.ms", "", AlterConfigOp.OpType.DELETE);
            Peer.eventually("it is deleted", () -> entry(peer, resource, "consumer.session.timeout.ms").source() != ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG);
            Statements.refused(InvalidConfigurationException.class,
                () -> alter(peer, resource, "consumer.session.timeout.ms", "100", AlterConfigOp.OpType.SET));
            Statements.refused(InvalidConfigurationException.class,
                () -> alter(peer, resource, "consumer.nonsense", "100", AlterConfigOp.OpType.SET));
        });
    }

    private static ConfigEntry entry(Peer peer, ConfigResource resource, String key) throws Exception {
        return Peer.get(peer.admin.describeConfigs(List.of(resource)).all()).get(resource).get(key);
    }

    private static void alter(Peer peer, ConfigResource resource, String key, String value, AlterConfigOp.OpType operation) throws Exception {
        Peer.get(peer.admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(key, value), operation)))).all());
    }

    /** One that polls whenever the others do. */
    private static KafkaConsumer<byte[], byte[]> classic(Peer peer, String group, String topic, String name, Collection<TopicPartition> lost) {
        KafkaConsumer<byte[], byte[]> member = peer.consumer("group.id", group, "client.id", name, "enable.auto.commit", false,
            "heartbeat.interval.ms", 500, "metadata.max.age.ms", 1000);
        member.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> all) {}

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> all) {}

            @Override
            public void onPartitionsLost(Collection<TopicPartition> all) {
                lost.addAll(all);
            }
        });
        return member;
    }

    private static void meeting(Peer peer) {
        Statements.states("newer: a classic group becomes one of the newer protocol when such a member joins, its classic member stays, and it goes back", () -> {
            String topic = peer.topic("upgrade", 4);
            String group = peer.name("group");
            List<TopicPartition> lost = new ArrayList<>();
            try (KafkaConsumer<byte[], byte[]> older = classic(peer, group, topic, "older", lost)) {
                Peer.eventually("it owns all", () -> polled(older).size() == 4);
                older.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1)));
                Statements.expect("type", GroupType.CLASSIC, described(peer, group).type());
                int generation = older.groupMetadata().generationId();
                int shared;
                try (NewerMember newer = NewerMember.of(peer, group, "newer").subscribed(topic)) {
                    NewerMember.until("they share", () -> polled(older).size() == 2 && newer.owned().size() == 2, newer);
                    NewerMember.until("it is stable", () -> polled(older) != null && described(peer, group).groupState() == GroupState.STABLE, newer);
                    ConsumerGroupDescription told = described(peer, group);
                    Statements.expect("type", GroupType.CONSUMER, told.type());
                    Statements.expect("the epoch goes on from the generation", true, newer.epoch() > generation);
                    Statements.expect("protocols", Map.of("older", false, "newer", true),
                        told.members().stream().collect(Collectors.toMap(MemberDescription::clientId, m -> m.upgraded().get())));
                    int own = older.assignment().iterator().next().partition();
                    older.commitSync(Map.of(new TopicPartition(topic, own), new OffsetAndMetadata(7)));
                    newer.commit(topic, newer.consumer.assignment().iterator().next().partition(), 8);
                    Statements.expect("offset", 7L, committed(peer, group).get(new TopicPartition(topic, own)).offset());
                    shared = older.groupMetadata().generationId();
                    Statements.expect("the classic member's generation is its epoch", newer.epoch(), shared);
                }
                Peer.eventually("it owns all again", () -> polled(older).size() == 4);
                Statements.expect("type", GroupType.CLASSIC, described(peer, group).type());
                Statements.expect("offsets kept", true, committed(peer, group).size() >= 2);
                Statements.expect("the generation goes on from the epoch", shared + 1, older.groupMetadata().generationId());
                Statements.expect("lost by the classic member", List.of(), lost);
            }
        });
        Statements.states("newer: a classic member joins a group of the newer protocol", () -> {
            String topic = peer.topic("older-joins", 4);
            String group = peer.name("group");
            List<TopicPartition> lost = new ArrayList<>();
            try (NewerMember newer = NewerMember.of(peer, group, "newer").subscribed(topic).owning(topic, "4");
                 KafkaConsumer<byte[], byte[]> older = classic(peer, group, topic, "older", lost)) {
                NewerMember.until("they share", () -> polled(older).size() == 2 && newer.owned().size() == 2, newer);
                Statements.expect("type", GroupType.CONSUMER, described(peer, group).type());
            }
        });
        Statements.states("newer: an empty group is joined by members of either protocol, and is of the type of who came last", () -> {
            String topic = peer.topic("either", 1);
            String group = peer.name("group");
            List<GroupType> types = new ArrayList<>();
            List<TopicPartition> lost = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                NewerMember.of(peer, group, "newer").subscribed(topic).owning(topic, "1").close();
                types.add(described(peer, group).type());
                try (KafkaConsumer<byte[], byte[]> older = classic(peer, group, topic, "older", lost)) {
                    Peer.eventually("it owns all", () -> polled(older).size() == 1);
                }
                types.add(described(peer, group).type());
            }
            Statements.expect("types", List.of(GroupType.CONSUMER, GroupType.CLASSIC, GroupType.CONSUMER, GroupType.CLASSIC), types);
        });
    }

    private static Set<TopicPartition> polled(KafkaConsumer<byte[], byte[]> member) {
        member.poll(Duration.ofMillis(50));
        return member.assignment();
    }
}
