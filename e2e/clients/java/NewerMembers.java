import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.errors.UnsupportedAssignorException;

/** Members with group.protocol=consumer: what they subscribe to, what they are told, and what they may commit. */
final class NewerMembers {
    private NewerMembers() {}

    static void run(Peer peer) {
        subscribing(peer);
        topics(peer);
        listening(peer);
        assignors(peer);
        leaving(peer);
        instances(peer);
        commits(peer);
    }

    private static void subscribing(Peer peer) {
        Statements.states("newer: a member that subscribes by names gets all their partitions, and reads on at the commit", () -> {
            String one = peer.topic("names", 2);
            String two = peer.topic("names", 1);
            String group = peer.name("group");
            peer.send(Peer.numbered(one, 10));
            try (NewerMember member = NewerMember.of(peer, group, "m").subscribed(one, two).owning(one, "2", two, "1")) {
                NewerMember.until("it reads them", () -> member.read.size() == 10, member);
                member.commit(one, 0, 7);
            }
            try (NewerMember member = NewerMember.of(peer, group, "m").subscribed(one, two)) {
                NewerMember.until("it reads on", () -> member.read.size() == 3, member);
                Statements.expect("first", 7L, member.read.get(0).offset());
            }
        });
        Statements.states("newer: the first of a group's members has epoch 2, and an id that it made itself, a UUID in 22 characters", () -> {
            String topic = peer.topic("first", 1);
            try (NewerMember member = NewerMember.of(peer, peer.name("group"), "m").subscribed(topic)) {
                member.owning(topic, "1");
                Statements.expect("epoch", 2, member.epoch());
                Statements.expect("length of its id", 22, member.id().length());
            }
        });
        Statements.states("newer: a regular expression that the broker evaluates matches whole names only, and in RE2's syntax", () -> {
            String stem = peer.name("re2");
            String one = stem + "-a1";
            for (String topic : List.of(one, stem + "-b22", "x" + stem + "-a1", stem + "-a1x")) {
                peer.create(new NewTopic(topic, 1, (short) 1));
            }
            try (NewerMember member = NewerMember.of(peer, peer.name("group"), "m")) {
                member.consumer.subscribe(new SubscriptionPattern(stem + "-(?:a|b)[[:digit:]]{1,2}"), member);
                member.owning(one, "1", stem + "-b22", "1");
            }
        });
        Statements.states("newer: an expression that RE2 cannot read is refused: InvalidRegularExpression", () -> {
            for (String expression : List.of("orders-(", "(?=orders)", "(a)\\1")) {
                try (NewerMember member = NewerMember.of(peer, peer.name("group"), "m")) {
                    member.consumer.subscribe(new SubscriptionPattern(expression), member);
                    Statements.refused(InvalidRegularExpression.class, () -> NewerMember.until("refusal", () -> false, member));
                }
            }
        });
        Statements.states("newer: a topic that is created later is assigned when the expression matches it", () -> {
            String stem = peer.name("later");
            peer.create(new NewTopic(stem + "-1", 1, (short) 1));
            try (NewerMember member = NewerMember.of(peer, peer.name("group"), "m")) {
                member.consumer.subscribe(new SubscriptionPattern(stem + "-[0-9]+"), member);
                member.owning(stem + "-1", "1");
                peer.create(new NewTopic(stem + "-2", 2, (short) 1));
                member.owning(stem + "-1", "1", stem + "-2", "2");
            }
        });
        Statements.states("newer: an expression that the client evaluates finds what is there, and what comes later", () -> {
            String stem = peer.name("pattern");
            peer.create(new NewTopic(stem + "-1", 1, (short) 1));
            try (NewerMember member = NewerMember.of(peer, peer.name("group"), "m")) {
                // A look ahead is Java's, not RE2's.
                member.consumer.subscribe(Pattern.compile(stem + "-(?=[0-9]).*"), member);
                member.owning(stem + "-1", "1");
                peer.create(new NewTopic(stem + "-2", 2, (short) 1));
                member.owning(stem + "-1", "1", stem + "-2", "2");
            }
        });
        Statements.states("newer: members by names and by expression share the topics both subscribe to", () -> {
            String stem = peer.name("both");
            String both = stem + "-both";
            String matched = stem + "-matched";
            peer.create(new NewTopic(both, 4, (short) 1));
            peer.create(new NewTopic(matched, 2, (short) 1));
            String group = peer.name("group");
            try (NewerMember named = NewerMember.of(peer, group, "named").subscribed(both);
                 NewerMember matching = NewerMember.of(peer, group, "matching")) {
                matching.consumer.subscribe(new SubscriptionPattern(stem + ".*"), matching);
                NewerMember.share(NewerMember.partitions(both, "4", matched, "2"), named, matching);
                Statements.expect("who does not subscribe has none of it", false, named.owned().stream().anyMatch(p -> p.startsWith(matched)));
                Statements.expect("each has some", true, !named.owned().isEmpty());
            }
        });
        Statements.states("newer: a member that changes its subscription gets what it now names, and gives back the rest", () -> {
            String one = peer.topic("change", 2);
            String two = peer.topic("change", 1);
            List<String> told = new ArrayList<>();
            try (NewerMember member = new NewerMember(peer, peer.name("group"), "m", told).subscribed(one).owning(one, "2")) {
                member.subscribed(two).owning(two, "1");
                Statements.expect("told", List.of("m assigned " + NewerMember.partitions(one, "2"), "m revoked " + NewerMember.partitions(one, "2"),
                    "m assigned " + NewerMember.partitions(two, "1")), told.stream().filter(t -> !t.endsWith("[]")).toList());
            }
        });
    }

    private static void topics(Peer peer) {
        Statements.states("newer: a topic that does not exist yet may be subscribed to, and is assigned when it is created", () -> {
            String topic = peer.name("awaited");
            try (NewerMember member = NewerMember.of(peer, peer.name("group"), "m").subscribed(topic)) {
                NewerMember.until("it is a member", () -> member.epoch() > 0, member);
                peer.create(new NewTopic(topic, 2, (short) 1));
                member.owning(topic, "2");
            }
        });
        Statements.states("newer: partitions that are added are assigned, and none is given back for it", () -> {
            String topic = peer.topic("growing", 2);
            List<String> told = new ArrayList<>();
            try (NewerMember member = new NewerMember(peer, peer.name("group"), "m", told).subscribed(topic).owning(topic, "2")) {
                Peer.get(peer.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all());
                member.owning(topic, "4");
                Statements.expect("revoked", false, told.stream().anyMatch(t -> t.contains("revoked") || t.contains("lost")));
            }
        });
        Statements.states("newer: the partitions of a topic that is deleted are revoked, and those of another stay", () -> {
            String topic = peer.topic("doomed", 2);
            String other = peer.topic("stays", 1);
            List<String> told = new ArrayList<>();
            try (NewerMember member = new NewerMember(peer, peer.name("group"), "m", told).subscribed(topic, other).owning(topic, "2", other, "1")) {
                told.clear();
                Peer.get(peer.admin.deleteTopics(List.of(topic)).all());
                member.owning(other, "1");
                Statements.expect("told first", "m revoked " + NewerMember.partitions(topic, "2"), told.get(0));
            }
        });
    }

    private static void listening(Peer peer) {
        Statements.states("newer: a partition is revoked from its owner, who may still commit it, before another is assigned it; nothing else moves", () -> {
            String topic = peer.topic("handover", 4);
            String group = peer.name("group");
            List<String> told = new ArrayList<>();
            try (NewerMember first = new NewerMember(peer, group, "first", told).subscribed(topic).owning(topic, "4")) {
                Set<String> had = first.owned();
                first.beforeRevoked = () -> first.commit(topic, 3, 33);
                try (NewerMember second = new NewerMember(peer, group, "second", told).subscribed(topic)) {
                    NewerMember.until("the second has its half", () -> second.owned().size() == 2, first, second);
                    Set<String> gone = new TreeSet<>(had);
                    gone.removeAll(first.owned());
                    Statements.expect("told", List.of("first assigned " + had, "first revoked " + gone, "second assigned " + gone),
                        told.stream().filter(t -> !t.endsWith("[]")).toList());
                    Statements.expect("the commit", 33L, NewerGroups.committed(peer, group).get(new TopicPartition(topic, 3)).offset());
                }
            }
        });
        Statements.states("newer: a member that there is no partition for is told so, and gets one when another leaves", () -> {
            String topic = peer.topic("few", 1);
            String group = peer.name("group");
            List<String> told = new ArrayList<>();
            try (NewerMember idle = new NewerMember(peer, group, "idle", told)) {
                try (NewerMember first = NewerMember.of(peer, group, "first").subscribed(topic).owning(topic, "1")) {
                    idle.subscribed(topic);
                    NewerMember.until("it is a member", () -> idle.epoch() > 0 && !told.isEmpty(), first, idle);
                    Statements.expect("told", List.of("idle assigned []"), told);
                }
                idle.owning(topic, "1");
            }
        });
    }

    private static void assignors(Peer peer) {
        Statements.states("newer: group.remote.assignor=range gives the same numbers of each topic to one member", () -> {
            String one = peer.topic("range", 2);
            String two = peer.topic("range", 2);
            String group = peer.name("group");
            try (NewerMember a = NewerMember.of(peer, group, "a", "group.remote.assignor", "range").subscribed(one, two);
                 NewerMember b = NewerMember.of(peer, group, "b", "group.remote.assignor", "range").subscribed(one, two)) {
                NewerMember.until("both have two", () -> a.owned().size() == 2 && b.owned().size() == 2, a, b);
                for (NewerMember member : List.of(a, b)) {
                    Statements.expect("numbers", 1L, member.consumer.assignment().stream().map(TopicPartition::partition).distinct().count());
                }
                Statements.expect("assignor", "range", NewerGroups.described(peer, group).partitionAssignor());
            }
        });
        Statements.states("newer: group.remote.assignor=uniform, the default, balances over all topics", () -> {
            for (Object[] more : new Object[][] {{}, {"group.remote.assignor", "uniform"}}) {
                String one = peer.topic("uniform", 1);
                String two = peer.topic("uniform", 1);
                String group = peer.name("group");
                try (NewerMember a = NewerMember.of(peer, group, "a", more).subscribed(one, two);
                     NewerMember b = NewerMember.of(peer, group, "b", more).subscribed(one, two)) {
                    NewerMember.until("each has one", () -> a.owned().size() == 1 && b.owned().size() == 1, a, b);
                    Statements.expect("assignor", "uniform", NewerGroups.described(peer, group).partitionAssignor());
                }
            }
        });
        Statements.states("newer: an assignor the broker does not have is refused, and those it has are named", () -> {
            String topic = peer.topic("nonsense", 1);
            try (NewerMember member = NewerMember.of(peer, peer.name("group"), "m", "group.remote.assignor", "nonsense").subscribed(topic)) {
                Throwable refusal = Statements.refused(UnsupportedAssignorException.class, () -> NewerMember.until("refusal", () -> false, member));
                Statements.expect("its text names them: " + refusal.getMessage(), true,
                    refusal.getMessage().contains("uniform") && refusal.getMessage().contains("range"));
            }
        });
    }

    private static void leaving(Peer peer) {
        Statements.states("newer: close leaves at once: the others have its partitions, and the last one's group is empty", () -> {
            String topic = peer.topic("close", 4);
            String group = peer.name("group");
            List<String> told = new ArrayList<>();
            try (NewerMember stays = NewerMember.of(peer, group, "stays").subscribed(topic)) {
                try (NewerMember goes = new NewerMember(peer, group, "goes", told).subscribed(topic)) {
                    NewerMember.until("each has two", () -> stays.owned().size() == 2 && goes.owned().size() == 2, stays, goes);
                }
                Statements.expect("told last", true, told.get(told.size() - 1).startsWith("goes revoked "));
                Statements.expect("members", 1, NewerGroups.described(peer, group).members().size());
                stays.owning(topic, "4");
            }
            Statements.expect("state", GroupState.EMPTY, NewerGroups.described(peer, group).groupState());
        });
        Statements.states("newer: unsubscribe revokes all and leaves, and subscribing again comes back", () -> {
            String topic = peer.topic("unsubscribe", 2);
            String group = peer.name("group");
            List<String> told = new ArrayList<>();
            try (NewerMember member = new NewerMember(peer, group, "m", told).subscribed(topic).owning(topic, "2")) {
                int epoch = member.epoch();
                member.consumer.unsubscribe();
                Statements.expect("told", List.of("m assigned " + NewerMember.partitions(topic, "2"), "m revoked " + NewerMember.partitions(topic, "2")), told);
                Statements.expect("state", GroupState.EMPTY, NewerGroups.described(peer, group).groupState());
                member.subscribed(topic).owning(topic, "2");
                Statements.expect("the epoch is a later one", true, member.epoch() > epoch);
            }
        });
    }

    private static void instances(Peer peer) {
        Statements.states("newer: a static member that is closed and comes back has its partitions without a rebalance", () -> {
            String topic = peer.topic("static", 4);
            String group = peer.name("group");
            List<String> told = new ArrayList<>();
            try (NewerMember other = new NewerMember(peer, group, "other", told).subscribed(topic)) {
                Set<String> had;
                String id;
                try (NewerMember member = NewerMember.of(peer, group, "m", "group.instance.id", "one").subscribed(topic)) {
                    NewerMember.until("each has two", () -> other.owned().size() == 2 && member.owned().size() == 2, other, member);
                    had = member.owned();
                    id = member.id();
                }
                int epoch = NewerGroups.described(peer, group).groupEpoch().get();
                int tellings = told.size();
                Statements.expect("members", 2, NewerGroups.described(peer, group).members().size());
                try (NewerMember member = NewerMember.of(peer, group, "m", "group.instance.id", "one").subscribed(topic)) {
                    NewerMember.until("it has them again", () -> member.owned().equals(had), other, member);
                    Statements.expect("another id", false, member.id().equals(id));
                    Statements.expect("epoch", epoch, NewerGroups.described(peer, group).groupEpoch().get());
                    Statements.expect("told to the other", tellings, told.size());
                }
            }
        });
        Statements.states("newer: a second member of one group.instance.id is refused, and the first goes on: UnreleasedInstanceIdException", () -> {
            String topic = peer.topic("unreleased", 1);
            String group = peer.name("group");
            try (NewerMember first = NewerMember.of(peer, group, "first", "group.instance.id", "one").subscribed(topic).owning(topic, "1");
                 NewerMember second = NewerMember.of(peer, group, "second", "group.instance.id", "one").subscribed(topic)) {
                Statements.refused(UnreleasedInstanceIdException.class, () -> NewerMember.until("refusal", () -> false, second));
                first.commit(topic, 0, 1);
                Statements.expect("owned", NewerMember.partitions(topic, "1"), first.owned());
            }
        });
        Statements.states("newer: a static member that closes with LEAVE_GROUP is gone", () -> {
            String topic = peer.topic("static-leave", 1);
            String group = peer.name("group");
            NewerMember member = NewerMember.of(peer, group, "m", "group.instance.id", "one").subscribed(topic).owning(topic, "1");
            member.consumer.close(CloseOptions.groupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP));
            Statements.expect("members", 0, NewerGroups.described(peer, group).members().size());
        });
    }

    private static void commits(Peer peer) {
        Statements.states("newer: commits, waited for and not, carry the member's epoch and are taken in every later one", () -> {
            String topic = peer.topic("epochs", 2);
            String group = peer.name("group");
            try (NewerMember first = NewerMember.of(peer, group, "first").subscribed(topic).owning(topic, "2")) {
                first.commit(topic, 0, 1);
                int epoch = first.epoch();
                try (NewerMember second = NewerMember.of(peer, group, "second").subscribed(topic)) {
                    NewerMember.until("each has one", () -> first.owned().size() == 1 && second.owned().size() == 1, first, second);
                    Statements.expect("the epoch is a later one", true, first.epoch() > epoch);
                    int own = first.consumer.assignment().iterator().next().partition();
                    AtomicReference<Object> outcome = new AtomicReference<>();
                    first.consumer.commitAsync(Map.of(new TopicPartition(topic, own), new OffsetAndMetadata(5, "later")),
                        (offsets, error) -> outcome.set(error == null ? "committed" : error));
                    NewerMember.until("the answer", () -> outcome.get() != null, first, second);
                    Statements.expect("outcome", "committed", outcome.get());
                    Statements.expect("commit", new OffsetAndMetadata(5, "later"), NewerGroups.committed(peer, group).get(new TopicPartition(topic, own)));
                }
            }
        });
        Statements.states("newer: whoever is not a member commits nothing in a group that has members", () -> {
            String topic = peer.topic("outsider", 1);
            String group = peer.name("group");
            TopicPartition partition = new TopicPartition(topic, 0);
            try (NewerMember member = NewerMember.of(peer, group, "m").subscribed(topic).owning(topic, "1")) {
                for (String protocol : List.of("classic", "consumer")) {
                    try (KafkaConsumer<byte[], byte[]> outsider = peer.consumer("group.id", group, "group.protocol", protocol, "enable.auto.commit", false)) {
                        outsider.assign(List.of(partition));
                        Statements.refused(CommitFailedException.class, () -> outsider.commitSync(Map.of(partition, new OffsetAndMetadata(5))));
                    }
                }
                Statements.expect("commits", Map.of(), NewerGroups.committed(peer, group));
            }
        });
        Statements.states("newer: a member that did not poll for max.poll.interval.ms is out: its partitions are lost, and it comes back", () -> {
            String topic = peer.topic("slow", 2);
            String group = peer.name("group");
            List<String> told = new ArrayList<>();
            try (NewerMember other = NewerMember.of(peer, group, "other").subscribed(topic);
                 NewerMember slow = new NewerMember(peer, group, "slow", told, "max.poll.interval.ms", 3_000).subscribed(topic)) {
                NewerMember.until("each has one", () -> other.owned().size() == 1 && slow.owned().size() == 1, other, slow);
                Set<String> had = slow.owned();
                int own = slow.consumer.assignment().iterator().next().partition();
                slow.commit(topic, own, 1);
                told.clear();
                other.owning(topic, "2");
                Statements.refused(CommitFailedException.class, () -> slow.commit(topic, own, 2));
                NewerMember.until("each has one again", () -> other.owned().size() == 1 && slow.owned().size() == 1, other, slow);
                Statements.expect("told first", "slow lost " + had, told.get(0));
                Statements.expect("commit", 1L, NewerGroups.committed(peer, group).get(new TopicPartition(topic, own)).offset());
                slow.commit(topic, slow.consumer.assignment().iterator().next().partition(), 3);
            }
        });
        Statements.states("newer: with enable.auto.commit what was read is committed when partitions are revoked, and when it closes", () -> {
            String topic = peer.topic("auto", 2);
            String group = peer.name("group");
            peer.send(Peer.numbered(topic, 8));
            Object[] automatic = {"enable.auto.commit", true, "auto.commit.interval.ms", 600_000};
            try (NewerMember second = NewerMember.of(peer, group, "second", automatic)) {
                try (NewerMember first = NewerMember.of(peer, group, "first", automatic).subscribed(topic).owning(topic, "2")) {
                    NewerMember.until("it reads them", () -> first.read.size() == 8, first);
                    second.subscribed(topic);
                    NewerMember.until("each has one", () -> first.owned().size() == 1 && second.owned().size() == 1, first, second);
                }
                second.owning(topic, "2");
                Statements.expect("commit", 8L, NewerGroups.committed(peer, group).get(new TopicPartition(topic, 0)).offset());
                second.consumer.poll(Duration.ofMillis(500)).forEach(second.read::add);
                Statements.expect("read twice", 0, second.read.size());
            }
        });
    }
}
