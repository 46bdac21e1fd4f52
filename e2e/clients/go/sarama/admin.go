package main

import (
	"context"
	"fmt"

	. "clients/statements"

	"github.com/IBM/sarama"
)

func administers() {
	States("deleted records are gone, and beyond the end is refused: OFFSET_OUT_OF_RANGE", func(ctx context.Context) {
		of := topic("delete", 1, nil)
		send(numbered(of, 0, 20))
		Check(admin.DeleteRecords(of, map[int32]int64{0: 6}))
		Expect("oldest", int64(6), Must(base.GetOffset(of, 0, sarama.OffsetOldest)))
		RefusedAs(sarama.ErrOffsetOutOfRange, admin.DeleteRecords(of, map[int32]int64{0: 21}))
		Check(admin.DeleteRecords(of, map[int32]int64{0: -1}))
		Expect("oldest", int64(20), Must(base.GetOffset(of, 0, sarama.OffsetOldest)))
	})
	States("topics: created, described, grown, deleted", func(ctx context.Context) {
		of := topic("topics", 3, map[string]string{"retention.ms": "4711"})
		listed := Must(admin.ListTopics())[of]
		Expect("listed", "3 1 4711", fmt.Sprint(listed.NumPartitions, listed.ReplicationFactor, " ", *listed.ConfigEntries["retention.ms"]))
		partitions := func() int { return len(Must(admin.DescribeTopics([]string{of}))[0].Partitions) }
		Expect("partitions", 3, partitions())
		Check(admin.CreatePartitions(of, 5, nil, false))
		Eventually("five partitions", func() bool { return partitions() == 5 })
		RefusedAs(sarama.ErrInvalidPartitions, admin.CreatePartitions(of, 4, nil, false))
		Check(admin.DeleteTopic(of))
		Eventually("it is gone", func() bool { _, there := Must(admin.ListTopics())[of]; return !there })
		RefusedAs(sarama.ErrUnknownTopicOrPartition, admin.DeleteTopic(of))
	})
	States("bad topics are refused: existing, bad name, too many replicas, no partitions, bad setting; validation creates nothing", func(ctx context.Context) {
		of := topic("exists", 1, nil)
		soon := "soon"
		create := func(name string, detail sarama.TopicDetail) error { return admin.CreateTopic(name, &detail, false) }
		RefusedAs(sarama.ErrTopicAlreadyExists, create(of, sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}))
		RefusedAs(sarama.ErrInvalidTopic, create("bad name", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}))
		RefusedAs(sarama.ErrInvalidReplicationFactor, create(of+"rf", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 4}))
		RefusedAs(sarama.ErrInvalidPartitions, create(of+"p", sarama.TopicDetail{NumPartitions: 0, ReplicationFactor: 1}))
		RefusedAs(sarama.ErrInvalidConfig, create(of+"c", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &soon}}))
		Check(admin.CreateTopic(of+"v", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, true))
		_, there := Must(admin.ListTopics())[of+"v"]
		Expect("listed", false, there)
	})
	States("settings: described, set, appended to, deleted, replaced as a whole; a bad value is refused: INVALID_CONFIG", func(ctx context.Context) {
		of := topic("settings", 1, map[string]string{"retention.ms": "4711"})
		value := func(key string) string {
			for _, entry := range Must(admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: of, ConfigNames: []string{key}})) {
				return entry.Value
			}
			return "none"
		}
		alter := func(op sarama.IncrementalAlterConfigsOperation, key, to string) error {
			return admin.IncrementalAlterConfig(sarama.TopicResource, of, map[string]sarama.IncrementalAlterConfigsEntry{key: {Operation: op, Value: &to}}, false)
		}
		Expect("retention.ms", "4711", value("retention.ms"))
		Check(alter(sarama.IncrementalAlterConfigsOperationSet, "retention.ms", "99"))
		Eventually("set", func() bool { return value("retention.ms") == "99" })
		Check(alter(sarama.IncrementalAlterConfigsOperationAppend, "cleanup.policy", "compact"))
		Eventually("appended", func() bool { return value("cleanup.policy") == "delete,compact" })
		Check(alter(sarama.IncrementalAlterConfigsOperationDelete, "retention.ms", ""))
		Eventually("deleted", func() bool { return value("retention.ms") == "604800000" })
		RefusedAs(sarama.ErrInvalidConfig, alter(sarama.IncrementalAlterConfigsOperationSet, "retention.ms", "soon"))
		bytes := "5000"
		Check(admin.AlterConfig(sarama.TopicResource, of, map[string]*string{"max.message.bytes": &bytes}, false))
		Eventually("replaced", func() bool { return value("max.message.bytes") == "5000" && value("cleanup.policy") == "delete" })
	})
	States("the cluster is described: its node, its controller, its folders", func(ctx context.Context) {
		brokers, controller, err := admin.DescribeCluster()
		Check(err)
		Expect("address", Bootstrap, brokers[0].Addr())
		Expect("controller", brokers[0].ID(), controller)
		Expect("error of the folder", sarama.ErrNoError, Must(admin.DescribeLogDirs([]int32{controller}))[controller][0].ErrorCode)
	})
}

// What an administrator needs seldom.
func rare() {
	States("electing the preferred leader that leads already: ELECTION_NOT_NEEDED", func(ctx context.Context) {
		of := topic("elect", 1, nil)
		told, err := admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{of: {0}})
		Check(err)
		Expect("result", sarama.KError(84), told[of][0].ErrorCode)
	})
	States("no partition is being reassigned", func(ctx context.Context) {
		of := topic("reassign", 1, nil)
		Expect("reassignments", 0, len(Must(admin.ListPartitionReassignments(of, []int32{0}))))
	})
	States("quotas of a client id are set, described and removed", func(ctx context.Context) {
		who := Name("sarama", "quota")
		entity := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Name: who}}
		described := func() []sarama.DescribeClientQuotasEntry {
			return Must(admin.DescribeClientQuotas([]sarama.QuotaFilterComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Match: who}}, true))
		}
		Check(admin.AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: "producer_byte_rate", Value: 1_000_000}, false))
		Eventually("set", func() bool { return len(described()) == 1 && described()[0].Values["producer_byte_rate"] == 1_000_000 })
		Check(admin.AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: "producer_byte_rate", Remove: true}, false))
		Eventually("removed", func() bool { return len(described()) == 0 })
	})
}
