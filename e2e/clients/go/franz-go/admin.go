package main

import (
	"context"
	"time"

	. "clients/statements"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func administers() {
	States("deleted records are gone, -1 deletes all, and beyond the end is refused: OFFSET_OUT_OF_RANGE", func(ctx context.Context) {
		of := topic(ctx, "delete", 1, nil)
		send(ctx, numbered(of, 0, 20))
		before := func(offset int64) (kadm.DeleteRecordsResponse, error) {
			var offsets kadm.Offsets
			offsets.AddOffset(of, 0, offset, -1)
			return Must(admin.DeleteRecords(ctx, offsets)).On(of, 0, func(told *kadm.DeleteRecordsResponse) error { return told.Err })
		}
		Expect("low watermark", int64(6), Must(before(6)).LowWatermark)
		Expect("first that is left", int64(6), read(ctx, of, 1, 1)[0].Offset)
		_, err := before(21)
		Refused("OFFSET_OUT_OF_RANGE", err)
		Expect("low watermark", int64(20), Must(before(-1)).LowWatermark)
		Expect("start", int64(20), Must(admin.ListStartOffsets(ctx, of))[of][0].Offset)
	})
	States("topics: created, described, grown, deleted", func(ctx context.Context) {
		of := topic(ctx, "topics", 3, nil)
		detail := Must(admin.ListTopics(ctx, of))[of]
		Expect("partitions", []int32{0, 1, 2}, detail.Partitions.Numbers())
		Expect("it has an id", false, detail.ID == kadm.TopicID{})
		Expect("listed", true, Must(admin.ListTopics(ctx)).Has(of))
		Must(admin.UpdatePartitions(ctx, 5, of))
		Eventually("five partitions", func() bool { return len(Must(admin.ListTopics(ctx, of))[of].Partitions) == 5 })
		Refused("INVALID_PARTITIONS", Must(admin.UpdatePartitions(ctx, 4, of))[of].Err)
		Must(admin.DeleteTopic(ctx, of))
		Eventually("it is gone", func() bool { return !Must(admin.ListTopics(ctx)).Has(of) })
		_, err := admin.DeleteTopic(ctx, of)
		Refused("UNKNOWN_TOPIC_OR_PARTITION", err)
		Refused("UNKNOWN_TOPIC_OR_PARTITION", Must(admin.ListTopics(ctx, of))[of].Err)
	})
	States("bad topics are refused: existing, bad name, too many replicas, no partitions, bad setting; validation creates nothing", func(ctx context.Context) {
		of := topic(ctx, "exists", 1, nil)
		create := func(name string, partitions int32, replicas int16, config map[string]*string) error {
			_, err := admin.CreateTopic(ctx, partitions, replicas, config, name)
			return err
		}
		Refused("TOPIC_ALREADY_EXISTS", create(of, 1, 1, nil))
		Refused("INVALID_TOPIC_EXCEPTION", create("bad name", 1, 1, nil))
		Refused("INVALID_REPLICATION_FACTOR", create(of+"rf", 1, 4, nil))
		Refused("INVALID_PARTITIONS", create(of+"p", 0, 1, nil))
		Refused("INVALID_CONFIG", create(of+"c", 1, 1, map[string]*string{"retention.ms": kadm.StringPtr("soon")}))
		Check(Must(admin.ValidateCreateTopics(ctx, 1, 1, nil, of+"v"))[of+"v"].Err)
		Expect("listed", false, Must(admin.ListTopics(ctx)).Has(of+"v"))
		Check(create(of+"d", -1, -1, nil))
	})
	States("settings of topics: described, set, appended to, subtracted from, deleted; validation changes nothing; a bad value is refused", func(ctx context.Context) {
		of := topic(ctx, "settings", 1, map[string]*string{"retention.ms": kadm.StringPtr("4711")})
		value := func(key string) string {
			for _, config := range Must(Must(admin.DescribeTopicConfigs(ctx, of)).On(of, nil)).Configs {
				if config.Key == key {
					return config.MaybeValue()
				}
			}
			return "none"
		}
		alter := func(op kadm.IncrementalOp, key, to string) error {
			return Must(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &to}}, of))[0].Err
		}
		Expect("retention.ms", "4711", value("retention.ms"))
		Expect("max.message.bytes", "1048588", value("max.message.bytes"))
		Check(alter(kadm.SetConfig, "retention.ms", "99"))
		Eventually("set", func() bool { return value("retention.ms") == "99" })
		Check(alter(kadm.AppendConfig, "cleanup.policy", "compact"))
		Eventually("appended", func() bool { return value("cleanup.policy") == "delete,compact" })
		Check(alter(kadm.SubtractConfig, "cleanup.policy", "delete"))
		Eventually("subtracted", func() bool { return value("cleanup.policy") == "compact" })
		Check(alter(kadm.DeleteConfig, "retention.ms", ""))
		Eventually("deleted", func() bool { return value("retention.ms") == "604800000" })
		Refused("INVALID_CONFIG", alter(kadm.SetConfig, "retention.ms", "soon"))
		Check(Must(admin.ValidateAlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("5")}}, of))[0].Err)
		Expect("after validation", "604800000", value("retention.ms"))
	})
	States("settings of topics replaced as a whole (AlterConfigs): what is not named goes back to its default", func(ctx context.Context) {
		of := topic(ctx, "state", 1, map[string]*string{"retention.ms": kadm.StringPtr("4711")})
		Check(Must(admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}, of))[0].Err)
		Eventually("replaced", func() bool {
			now := map[string]string{}
			for _, config := range Must(Must(admin.DescribeTopicConfigs(ctx, of)).On(of, nil)).Configs {
				now[config.Key] = config.MaybeValue()
			}
			return now["cleanup.policy"] == "compact" && now["retention.ms"] == "604800000"
		})
	})
	States("settings of the broker are described, with their sources", func(ctx context.Context) {
		broker := Must(admin.ListBrokers(ctx))[0].NodeID
		found := map[string]kmsg.ConfigSource{}
		for _, config := range Must(admin.DescribeBrokerConfigs(ctx, broker))[0].Configs {
			found[config.Key] = config.Source
		}
		Expect("source of log.dirs", kmsg.ConfigSourceStaticBrokerConfig, found["log.dirs"])
		Expect("source of message.max.bytes", kmsg.ConfigSourceDefaultConfig, found["message.max.bytes"])
	})
	States("offsets: start, end, greatest timestamp, committed", func(ctx context.Context) {
		of := topic(ctx, "list", 1, kept)
		for _, stamp := range []int64{5_000, 9_000, 7_000, 8_000} {
			send(ctx, []*kgo.Record{{Topic: of, Timestamp: time.UnixMilli(stamp), Value: []byte("v")}})
		}
		Expect("start", int64(0), Must(admin.ListStartOffsets(ctx, of))[of][0].Offset)
		Expect("end", int64(4), Must(admin.ListEndOffsets(ctx, of))[of][0].Offset)
		Expect("committed", int64(4), Must(admin.ListCommittedOffsets(ctx, of))[of][0].Offset)
		Expect("greatest timestamp", [2]int64{1, 9_000}, [2]int64{Must(admin.ListMaxTimestampOffsets(ctx, of))[of][0].Offset, Must(admin.ListMaxTimestampOffsets(ctx, of))[of][0].Timestamp})
		Expect("local start", int64(0), Must(admin.ListLocalLogStartOffsets(ctx, of))[of][0].Offset)
	})
	States("the cluster is described: its id, its node, its controller", func(ctx context.Context) {
		told := Must(admin.BrokerMetadata(ctx))
		Expect("address", Bootstrap, told.Brokers[0].Host+":"+itoa(told.Brokers[0].Port))
		Expect("controller", told.Brokers[0].NodeID, told.Controller)
		Expect("length of the id", 22, len(told.Cluster))
	})
	States("folders: the topic's partitions are in one, with their size", func(ctx context.Context) {
		of := topic(ctx, "dirs", 2, nil)
		send(ctx, numbered(of, 0, 100))
		var set kadm.TopicsSet
		set.Add(of, 0, 1)
		found := 0
		Must(admin.DescribeAllLogDirs(ctx, set)).Each(func(dir kadm.DescribedLogDir) {
			Check(dir.Err)
			dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				found++
				Expect("there is something in partition 0, and nothing in 1", p.Partition == 0, p.Size > 0)
			})
		})
		Expect("partitions", 2, found)
	})
	States("active producers of a partition are described: id, epoch, last sequence", func(ctx context.Context) {
		of := topic(ctx, "producers", 1, nil)
		producer := client()
		defer producer.Close()
		Check(producer.ProduceSync(ctx, numbered(of, 0, 5)...).FirstErr())
		id, epoch, err := producer.ProducerID(ctx)
		Check(err)
		var set kadm.TopicsSet
		set.Add(of, 0)
		told := Must(admin.DescribeProducers(ctx, set))[of].Partitions[0]
		Check(told.Err)
		active := told.ActiveProducers[id]
		Expect("epoch, sequence, no transaction", [3]int64{int64(epoch), 4, -1}, [3]int64{int64(active.ProducerEpoch), int64(active.LastSequence), active.CurrentTxnStartOffset})
	})
}

// What an administrator needs seldom.
func rare() {
	States("electing the preferred leader that leads already: ELECTION_NOT_NEEDED", func(ctx context.Context) {
		of := topic(ctx, "elect", 1, nil)
		var set kadm.TopicsSet
		set.Add(of, 0)
		Refused("ELECTION_NOT_NEEDED", Must(admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set))[of][0].Err)
	})
	States("no partition is being reassigned", func(ctx context.Context) {
		of := topic(ctx, "reassign", 1, nil)
		var set kadm.TopicsSet
		set.Add(of, 0)
		Expect("reassignments", 0, len(Must(admin.ListPartitionReassignments(ctx, set))))
	})
	States("a reassignment to an unknown broker is refused: INVALID_REPLICA_ASSIGNMENT", func(ctx context.Context) {
		of := topic(ctx, "reassign", 1, nil)
		var request kadm.AlterPartitionAssignmentsReq
		request.Assign(of, 0, []int32{4711})
		Refused("INVALID_REPLICA_ASSIGNMENT", Must(admin.AlterPartitionAssignments(ctx, request))[of][0].Err)
	})
	States("quotas of a client id are set, described and removed", func(ctx context.Context) {
		who := Name("franz-go", "quota")
		entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: &who}}
		alter := func(remove bool) {
			altered := Must(admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1_000_000, Remove: remove}}}}))
			Check(altered[0].Err)
		}
		described := func() kadm.DescribedClientQuotas {
			return Must(admin.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &who, MatchType: kmsg.QuotasMatchTypeExact}}))
		}
		alter(false)
		Eventually("set", func() bool { return len(described()) == 1 })
		Expect("quota", kadm.ClientQuotaValues{{Key: "producer_byte_rate", Value: 1_000_000}}, described()[0].Values)
		alter(true)
		Eventually("removed", func() bool { return len(described()) == 0 })
	})
	States("settings resources are listed: the topic, the broker", func(ctx context.Context) {
		of := topic(ctx, "resources", 1, nil)
		listed := Must(admin.ListConfigResources(ctx, kmsg.ConfigResourceTypeTopic))
		found := false
		for _, name := range listed.Names() {
			found = found || name == of
		}
		Expect("the topic is listed", true, found)
	})
	States("a transaction's records are read when it is committed, and not when it is aborted", func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		of := topic(ctx, "transaction", 1, nil)
		producer := client(kgo.TransactionalID(Name("franz-go", "transaction")), kgo.RetryTimeout(5*time.Second))
		defer producer.Close()
		for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
			Check(producer.BeginTransaction())
			Check(producer.ProduceSync(ctx, numbered(of, 0, 5)...).FirstErr())
			Check(producer.EndTransaction(ctx, end))
		}
		got := read(ctx, of, 1, 5, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		Expect("first that is committed", int64(6), got[0].Offset)
	})
	States("a share group reads every record once", func(ctx context.Context) {
		of, group := topic(ctx, "share", 1, nil), Name("franz-go", "share")
		reader := client(kgo.ShareGroup(group), kgo.ConsumeTopics(of))
		defer reader.Close()
		deadline := time.Now().Add(20 * time.Second)
		got := 0
		for got == 0 && time.Now().Before(deadline) {
			// A new share group begins at the end.
			send(ctx, numbered(of, 0, 1))
			waiting, cancel := context.WithTimeout(ctx, time.Second)
			fetches := reader.PollFetches(waiting)
			cancel()
			got += fetches.NumRecords()
		}
		Expect("something came within 20 s", true, got > 0)
	})
}
