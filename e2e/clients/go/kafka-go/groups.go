package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	. "clients/statements"

	"github.com/segmentio/kafka-go"
)

func member(group, of string, changes ...func(*kafka.ReaderConfig)) *kafka.Reader {
	return reader("", 0, append([]func(*kafka.ReaderConfig){func(config *kafka.ReaderConfig) {
		config.GroupID, config.GroupTopics, config.StartOffset = group, []string{of}, kafka.FirstOffset
		config.HeartbeatInterval, config.SessionTimeout, config.RebalanceTimeout = 500*time.Millisecond, 10*time.Second, 10*time.Second
		config.JoinGroupBackoff = 200 * time.Millisecond
	}}, changes...)...)
}

func described(ctx context.Context, group string) kafka.DescribeGroupsResponseGroup {
	return Must(admin.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})).Groups[0]
}

func committed(ctx context.Context, group, of string, partition int) string {
	told := Must(admin.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{of: {partition}}})).Topics[of][0]
	return fmt.Sprint(told.CommittedOffset, " ", told.Metadata)
}

func shares(ctx context.Context, group string) string {
	all := []string{}
	for _, m := range described(ctx, group).Members {
		for _, t := range m.MemberAssignments.Topics {
			all = append(all, strconv.Itoa(len(t.Partitions)))
		}
	}
	return strings.Join(all, " ")
}

func groups() {
	States("groups: a commit is read back, and a member that comes later reads on there", func(ctx context.Context) {
		of, group := topic(ctx, "resume", 1), Name("kafka-go", "group")
		send(ctx, numbered(of, 0, 10))
		one := member(group, of)
		got := poll(ctx, one, 10)
		Check(one.CommitMessages(ctx, got[6]))
		Check(one.Close())
		Expect("committed", "7 ", committed(ctx, group, of, 0))
		two := member(group, of)
		defer two.Close()
		Expect("first", int64(7), poll(ctx, two, 1)[0].Offset)
	})
	for name, balancer := range map[string]kafka.GroupBalancer{"range": kafka.RangeGroupBalancer{}, "roundrobin": kafka.RoundRobinGroupBalancer{}} {
		States("groups: "+name+": a second member gets half of the partitions, they are given back when it leaves, and everything is read", func(ctx context.Context) {
			of, group := topic(ctx, "shared", 4), Name("kafka-go", "group")
			balance := func(config *kafka.ReaderConfig) { config.GroupBalancers = []kafka.GroupBalancer{balancer} }
			one := member(group, of, balance)
			defer one.Close()
			Eventually("it owns four", func() bool { return shares(ctx, group) == "4" })
			two := member(group, of, balance)
			Eventually("each owns two", func() bool { return shares(ctx, group) == "2 2" })
			for p := range 4 {
				send(ctx, numbered(of, p, 5))
			}
			ours, theirs := poll(ctx, one, 10), poll(ctx, two, 10)
			seen := map[string]bool{}
			for _, message := range append(ours, theirs...) {
				seen[fmt.Sprint(message.Partition, ":", message.Offset)] = true
			}
			Expect("records", 20, len(seen))
			Check(two.Close())
			Eventually("it owns four again", func() bool { return shares(ctx, group) == "4" })
		})
	}
	States("groups: new partitions are found where that is asked for", func(ctx context.Context) {
		of, group := topic(ctx, "watch", 1), Name("kafka-go", "group")
		one := member(group, of, func(config *kafka.ReaderConfig) {
			config.WatchPartitionChanges, config.PartitionWatchInterval = true, 300*time.Millisecond
		})
		defer one.Close()
		Eventually("it owns one", func() bool { return shares(ctx, group) == "1" })
		Check(Must(admin.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: of, Count: 3}}})).Errors[of])
		Eventually("it owns three", func() bool { return shares(ctx, group) == "3" })
	})
	States("groups: described with state and members, listed, empty when its member has left; unknown is Dead", func(ctx context.Context) {
		of, group := topic(ctx, "describe", 1), Name("kafka-go", "group")
		one := member(group, of)
		Eventually("it owns one", func() bool { return shares(ctx, group) == "1" })
		told := described(ctx, group)
		Expect("state and host", "Stable /127.0.0.1", told.GroupState+" "+told.Members[0].ClientHost)
		found := ""
		for _, listed := range Must(admin.ListGroups(ctx, &kafka.ListGroupsRequest{})).Groups {
			if listed.GroupID == group {
				found = listed.ProtocolType
			}
		}
		Expect("listed", "consumer", found)
		Check(one.Close())
		Eventually("empty", func() bool { return described(ctx, group).GroupState == "Empty" })
		Expect("unknown", "Dead", described(ctx, Name("kafka-go", "nobody")).GroupState)
	})
	States("groups: offsets are committed by an administrator and deleted; a group is deleted, but not while it has members (NON_EMPTY_GROUP), nor when it is unknown (GROUP_ID_NOT_FOUND)", func(ctx context.Context) {
		of, group := topic(ctx, "delete", 1), Name("kafka-go", "group")
		remove := func() error {
			return Must(admin.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})).Errors[group]
		}
		one := member(group, of)
		Eventually("it owns one", func() bool { return shares(ctx, group) == "1" })
		RefusedAs(kafka.NonEmptyGroup, remove())
		Check(one.Close())
		commit := Must(admin.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{of: {{Partition: 0, Offset: 2, Metadata: "schön ✓"}}}}))
		Check(commit.Topics[of][0].Error)
		Expect("committed", "2 schön ✓", committed(ctx, group, of, 0))
		told := Must(admin.OffsetDelete(ctx, &kafka.OffsetDeleteRequest{GroupID: group, Topics: map[string][]int{of: {0}}}))
		Check(told.Topics[of][0].Error)
		Expect("deleted", "-1 ", committed(ctx, group, of, 0))
		Check(remove())
		RefusedAs(kafka.GroupIdNotFound, remove())
	})
}
