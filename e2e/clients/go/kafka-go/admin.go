package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "clients/statements"

	"github.com/segmentio/kafka-go"
)

func administers() {
	States("topics: created, described, grown, deleted", func(ctx context.Context) {
		of := topic(ctx, "topics", 3)
		described := func() kafka.Topic {
			return Must(admin.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{of}})).Topics[0]
		}
		Expect("partitions", 3, len(described().Partitions))
		grow := func(count int32) error {
			return Must(admin.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: of, Count: count}}})).Errors[of]
		}
		Check(grow(5))
		Eventually("five partitions", func() bool { return len(described().Partitions) == 5 })
		RefusedAs(kafka.InvalidPartitionNumber, grow(4))
		remove := func() error {
			return Must(admin.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{of}})).Errors[of]
		}
		Check(remove())
		Eventually("it is gone", func() bool { return errors.Is(described().Error, kafka.UnknownTopicOrPartition) })
		RefusedAs(kafka.UnknownTopicOrPartition, remove())
	})
	States("bad topics are refused: existing, bad name, too many replicas, no partitions, bad setting; validation creates nothing", func(ctx context.Context) {
		of := topic(ctx, "exists", 1)
		RefusedAs(kafka.TopicAlreadyExists, create(ctx, kafka.TopicConfig{Topic: of, NumPartitions: 1, ReplicationFactor: 1}, false))
		RefusedAs(kafka.InvalidTopic, create(ctx, kafka.TopicConfig{Topic: "bad name", NumPartitions: 1, ReplicationFactor: 1}, false))
		RefusedAs(kafka.InvalidReplicationFactor, create(ctx, kafka.TopicConfig{Topic: of + "rf", NumPartitions: 1, ReplicationFactor: 4}, false))
		RefusedAs(kafka.InvalidPartitionNumber, create(ctx, kafka.TopicConfig{Topic: of + "p", NumPartitions: 0, ReplicationFactor: 1}, false))
		RefusedAs(kafka.InvalidConfiguration, create(ctx, kafka.TopicConfig{Topic: of + "c", NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "soon"}}}, false))
		Check(create(ctx, kafka.TopicConfig{Topic: of + "v", NumPartitions: 1, ReplicationFactor: 1}, true))
		for _, listed := range Must(admin.Metadata(ctx, &kafka.MetadataRequest{})).Topics {
			Expect("it is another", false, listed.Name == of+"v")
		}
	})
	States("settings: described, set, appended to, deleted, replaced as a whole; a bad value is refused: INVALID_CONFIG", func(ctx context.Context) {
		of := topic(ctx, "settings", 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "4711"})
		value := func(key string) string {
			told := Must(admin.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: of, ConfigNames: []string{key}}}}))
			Check(told.Resources[0].Error)
			return told.Resources[0].ConfigEntries[0].ConfigValue
		}
		alter := func(op kafka.ConfigOperation, key, to string) error {
			return Must(admin.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: of,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: key, Value: to, ConfigOperation: op}}}}})).Resources[0].Error
		}
		Expect("retention.ms", "4711", value("retention.ms"))
		Check(alter(kafka.ConfigOperationSet, "retention.ms", "99"))
		Eventually("set", func() bool { return value("retention.ms") == "99" })
		Check(alter(kafka.ConfigOperationAppend, "cleanup.policy", "compact"))
		Eventually("appended", func() bool { return value("cleanup.policy") == "delete,compact" })
		Check(alter(kafka.ConfigOperationDelete, "retention.ms", ""))
		Eventually("deleted", func() bool { return value("retention.ms") == "604800000" })
		RefusedAs(kafka.InvalidConfiguration, alter(kafka.ConfigOperationSet, "retention.ms", "soon"))
		Must(admin.AlterConfigs(ctx, &kafka.AlterConfigsRequest{Resources: []kafka.AlterConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: of,
			Configs: []kafka.AlterConfigRequestConfig{{Name: "max.message.bytes", Value: "5000"}}}}}))
		Eventually("replaced", func() bool { return value("max.message.bytes") == "5000" && value("cleanup.policy") == "delete" })
	})
	States("the cluster is described: its id, its node, its controller", func(ctx context.Context) {
		told := Must(admin.Metadata(ctx, &kafka.MetadataRequest{}))
		Expect("length of the id", 22, len(told.ClusterID))
		Expect("address", Bootstrap, fmt.Sprintf("%s:%d", told.Brokers[0].Host, told.Brokers[0].Port))
		Expect("controller", told.Brokers[0].ID, told.Controller.ID)
	})
}

// What an administrator needs seldom.
func rare() {
	States("electing the preferred leader that leads already: ELECTION_NOT_NEEDED", func(ctx context.Context) {
		of := topic(ctx, "elect", 1)
		told := Must(admin.ElectLeaders(ctx, &kafka.ElectLeadersRequest{Topic: of, Partitions: []int{0}, Timeout: 10 * time.Second}))
		RefusedAs(kafka.ElectionNotNeeded, told.PartitionResults[0].Error)
	})
	States("no partition is being reassigned", func(ctx context.Context) {
		of := topic(ctx, "reassign", 1)
		told := Must(admin.ListPartitionReassignments(ctx, &kafka.ListPartitionReassignmentsRequest{Topics: map[string]kafka.ListPartitionReassignmentsRequestTopic{of: {PartitionIndexes: []int{0}}}, Timeout: 10 * time.Second}))
		Check(told.Error)
		Expect("reassignments", 0, len(told.Topics))
	})
	States("quotas of a client id are set, described and removed", func(ctx context.Context) {
		who := Name("kafka-go", "quota")
		alter := func(remove bool) {
			told := Must(admin.AlterClientQuotas(ctx, &kafka.AlterClientQuotasRequest{Entries: []kafka.AlterClientQuotaEntry{{
				Entities: []kafka.AlterClientQuotaEntity{{EntityType: "client-id", EntityName: who}},
				Ops:      []kafka.AlterClientQuotaOps{{Key: "producer_byte_rate", Value: 1_000_000, Remove: remove}}}}}))
			Check(told.Entries[0].Error)
		}
		described := func() int {
			told := Must(admin.DescribeClientQuotas(ctx, &kafka.DescribeClientQuotasRequest{Strict: true, Components: []kafka.DescribeClientQuotasRequestComponent{{EntityType: "client-id", Match: who}}}))
			Check(told.Error)
			return len(told.Entries)
		}
		alter(false)
		Eventually("set", func() bool { return described() == 1 })
		alter(true)
		Eventually("removed", func() bool { return described() == 0 })
	})
}
