// main BOOTSTRAP PEER: what Sarama expects of Kafka.
package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	. "clients/statements"

	"github.com/IBM/sarama"
)

var (
	admin  sarama.ClusterAdmin
	base   sarama.Client
	codecs = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}
	// For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
	kept = map[string]string{"retention.ms": "-1"}
)

func settings(changes ...func(*sarama.Config)) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = "sarama"
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 2_000_000
	config.Consumer.MaxWaitTime = 200 * time.Millisecond
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Metadata.RefreshFrequency = 2 * time.Second
	for _, change := range changes {
		change(config)
	}
	return config
}

func topic(hint string, partitions int32, config map[string]string) string {
	created := Name("sarama", hint)
	entries := map[string]*string{}
	for key, value := range config {
		entries[key] = &value
	}
	Check(admin.CreateTopic(created, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: entries}, false))
	// Kafka's controller answers before the broker leads the partitions.
	Eventually("the topic is led", func() bool {
		if base.RefreshMetadata(created) != nil {
			return false
		}
		for p := range partitions {
			if _, err := base.GetOffset(created, p, sarama.OffsetNewest); err != nil {
				return false
			}
		}
		return true
	})
	return created
}

func trySend(messages []*sarama.ProducerMessage, changes ...func(*sarama.Config)) error {
	producer := Must(sarama.NewSyncProducer([]string{Bootstrap}, settings(changes...)))
	defer producer.Close()
	err := producer.SendMessages(messages)
	if several, ok := err.(sarama.ProducerErrors); ok {
		return several[0].Err
	}
	return err
}

func send(messages []*sarama.ProducerMessage, changes ...func(*sarama.Config)) {
	Check(trySend(messages, changes...))
}

func numbered(of string, partition int32, count int) (messages []*sarama.ProducerMessage) {
	for i := range count {
		messages = append(messages, &sarama.ProducerMessage{Topic: of, Partition: partition, Key: sarama.StringEncoder("k" + strconv.Itoa(i)), Value: sarama.StringEncoder("v" + strconv.Itoa(i))})
	}
	return
}

func read(ctx context.Context, of string, partition int32, offset int64, count int, changes ...func(*sarama.Config)) (got []*sarama.ConsumerMessage) {
	consumer := Must(sarama.NewConsumer([]string{Bootstrap}, settings(changes...)))
	defer consumer.Close()
	reader := Must(consumer.ConsumePartition(of, partition, offset))
	defer reader.Close()
	waiting, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for len(got) < count {
		select {
		case message := <-reader.Messages():
			got = append(got, message)
		case err := <-reader.Errors():
			panic(err)
		case <-waiting.Done():
			panic(fmt.Sprintf("only %d of %d records came within %s", len(got), count, Patience))
		}
	}
	return
}

func main() {
	Begin("Sarama", "github.com/IBM/sarama")
	base = Must(sarama.NewClient([]string{Bootstrap}, settings()))
	admin = Must(sarama.NewClusterAdminFromClient(base))
	produces()
	fetches()
	administers()
	groups()
	rare()
	End()
}

func produces() {
	for _, compression := range Compressions {
		codec := func(config *sarama.Config) { config.Producer.Compression = codecs[compression] }
		States(compression+": keys, values, headers, timestamps and order come back as sent", func(ctx context.Context) {
			of := topic(compression, 1, kept)
			sent := []*sarama.ProducerMessage{}
			for i := range 200 {
				message := &sarama.ProducerMessage{Topic: of, Timestamp: time.UnixMilli(1_600_000_000_000 + int64(i*37%101)), Value: sarama.ByteEncoder(append(Noise(i*10+1), make([]byte, i*10)...))}
				if i%5 != 1 {
					message.Key = sarama.StringEncoder("key" + strconv.Itoa(i))
				}
				if i%5 == 2 {
					message.Value = nil
				}
				for h := range i % 4 {
					// The same name several times, and an order that is not the alphabet's.
					message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte([]string{"z", "a"}[h%2]), Value: []byte(fmt.Sprint("h", i, h))})
				}
				sent = append(sent, message)
			}
			send(sent, codec)
			for i, ours := range read(ctx, of, 0, 0, 200) {
				theirs := sent[i]
				Expect("offset", int64(i), ours.Offset)
				Expect("told offset", int64(i), theirs.Offset)
				for what, pair := range map[string][2]any{"key": {theirs.Key, ours.Key}, "value": {theirs.Value, ours.Value}} {
					var expected []byte
					if encoder, ok := pair[0].(sarama.Encoder); ok && encoder != nil {
						expected = Must(encoder.Encode())
					}
					Expect(what, string(expected), string(pair[1].([]byte)))
					Expect(what+" is null", expected == nil, pair[1].([]byte) == nil)
				}
				Expect("headers", len(theirs.Headers), len(ours.Headers))
				for h, header := range ours.Headers {
					Expect("header", theirs.Headers[h], *header)
				}
				Expect("timestamp", theirs.Timestamp.UnixMilli(), ours.Timestamp.UnixMilli())
			}
		})
		States(compression+": a record of 1 MB comes back as sent", func(ctx context.Context) {
			of := topic(compression, 1, nil)
			value := Noise(1_000_000)
			send([]*sarama.ProducerMessage{{Topic: of, Value: sarama.ByteEncoder(value)}}, codec)
			Expect("the value is the same", true, bytes.Equal(value, read(ctx, of, 0, 0, 1)[0].Value))
		})
	}
	for shown, change := range map[string]func(*sarama.Config){
		"acks=1":   func(config *sarama.Config) { config.Producer.RequiredAcks = sarama.WaitForLocal },
		"acks=all": func(config *sarama.Config) {},
		"idempotent": func(config *sarama.Config) {
			config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
		},
	} {
		States(shown+": offsets are told and consecutive, and records come in order", func(ctx context.Context) {
			of := topic("acks", 1, nil)
			messages := numbered(of, 0, 1_000)
			send(messages, change, func(config *sarama.Config) { config.Producer.Flush.MaxMessages = 20 })
			for i, message := range messages {
				Expect("told offset", int64(i), message.Offset)
			}
			for i, message := range read(ctx, of, 0, 0, 1_000) {
				Expect("value", "v"+strconv.Itoa(i), string(message.Value))
			}
		})
	}
	States("acks=0: records are stored in order", func(ctx context.Context) {
		of := topic("acks", 1, nil)
		send(numbered(of, 0, 100), func(config *sarama.Config) { config.Producer.RequiredAcks = sarama.NoResponse })
		for i, message := range read(ctx, of, 0, 0, 100) {
			Expect("value", "v"+strconv.Itoa(i), string(message.Value))
		}
	})
	for shown, version := range map[string]sarama.KafkaVersion{"2.1": sarama.V2_1_0_0, "2.8": sarama.V2_8_0_0, "3.6": sarama.V3_6_0_0} {
		States("as a client of Kafka "+shown+": records come back as sent", func(ctx context.Context) {
			of := topic("version", 1, nil)
			old := func(config *sarama.Config) { config.Version = version }
			send(numbered(of, 0, 100), old)
			for i, message := range read(ctx, of, 0, 0, 100, old) {
				Expect("value", "v"+strconv.Itoa(i), string(message.Value))
			}
		})
	}
	States("records of one key go to one partition, as many keys to all", func(ctx context.Context) {
		of := topic("keys", 4, nil)
		messages, homes, used := []*sarama.ProducerMessage{}, map[int]int32{}, map[int32]bool{}
		for i := range 400 {
			messages = append(messages, &sarama.ProducerMessage{Topic: of, Key: sarama.StringEncoder(strconv.Itoa(i % 40)), Value: sarama.StringEncoder("v")})
		}
		send(messages, func(config *sarama.Config) { config.Producer.Partitioner = sarama.NewHashPartitioner })
		for i, message := range messages {
			if home, known := homes[i%40]; known {
				Expect("partition of the key", home, message.Partition)
			}
			homes[i%40], used[message.Partition] = message.Partition, true
		}
		Expect("partitions", 4, len(used))
	})
	States("a record above max.message.bytes is refused: MESSAGE_TOO_LARGE", func(ctx context.Context) {
		of := topic("large", 1, nil)
		RefusedAs(sarama.ErrMessageSizeTooLarge, trySend([]*sarama.ProducerMessage{{Topic: of, Value: sarama.ByteEncoder(Noise(1_100_000))}}))
		small := numbered(of, 0, 1)
		send(small)
		Expect("offset of the next", int64(0), small[0].Offset)
	})
	States("LogAppendTime: the broker's clock replaces the record's timestamp", func(ctx context.Context) {
		of := topic("append-time", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
		before := time.Now().Truncate(time.Millisecond)
		for _, compression := range Compressions {
			send([]*sarama.ProducerMessage{{Topic: of, Value: sarama.StringEncoder("v"), Timestamp: time.UnixMilli(1_000)}}, func(config *sarama.Config) { config.Producer.Compression = codecs[compression] })
		}
		for _, message := range read(ctx, of, 0, 0, len(Compressions)) {
			Expect("timestamp is of now", true, !message.Timestamp.Before(before) && !message.Timestamp.After(time.Now()))
		}
	})
	States("a timestamp two hours ahead is refused by default: INVALID_TIMESTAMP", func(ctx context.Context) {
		of := topic("ahead", 1, nil)
		RefusedAs(sarama.ErrInvalidTimestamp, trySend([]*sarama.ProducerMessage{{Topic: of, Value: sarama.StringEncoder("v"), Timestamp: time.Now().Add(2 * time.Hour)}}))
	})
	States("a compacted topic refuses a record without key: INVALID_RECORD", func(ctx context.Context) {
		of := topic("compact", 1, map[string]string{"cleanup.policy": "compact"})
		RefusedAs(sarama.ErrInvalidRecord, trySend([]*sarama.ProducerMessage{{Topic: of, Value: sarama.StringEncoder("v")}}))
	})
	States("producing to a topic that does not exist creates it", func(ctx context.Context) {
		of := Name("sarama", "sprung")
		send(numbered(of, 0, 1))
		Expect("value", "v0", string(read(ctx, of, 0, 0, 1)[0].Value))
	})
}

func fetches() {
	States("from offsets: oldest, exact within a batch, newest; the high watermark is told", func(ctx context.Context) {
		of := topic("offsets", 1, nil)
		send(numbered(of, 0, 100), func(config *sarama.Config) { config.Producer.Compression = sarama.CompressionGZIP })
		for from, first := range map[int64]int64{sarama.OffsetOldest: 0, 57: 57, 3: 3, 99: 99} {
			message := read(ctx, of, 0, from, 1)[0]
			Expect("first", fmt.Sprintf("%d v%d", first, first), fmt.Sprintf("%d %s", message.Offset, message.Value))
		}
		consumer := Must(sarama.NewConsumer([]string{Bootstrap}, settings()))
		defer consumer.Close()
		reader := Must(consumer.ConsumePartition(of, 0, sarama.OffsetNewest))
		defer reader.Close()
		send(numbered(of, 0, 1))
		select {
		case message := <-reader.Messages():
			Expect("first that is new, and high watermark", [2]int64{100, 101}, [2]int64{message.Offset, reader.HighWaterMarkOffset()})
		case <-time.After(Patience):
			panic("nothing came")
		}
	})
	States("a paused partition gives nothing until it is resumed", func(ctx context.Context) {
		of := topic("pause", 1, nil)
		consumer := Must(sarama.NewConsumer([]string{Bootstrap}, settings()))
		defer consumer.Close()
		reader := Must(consumer.ConsumePartition(of, 0, sarama.OffsetOldest))
		defer reader.Close()
		reader.Pause()
		send(numbered(of, 0, 5))
		select {
		case <-reader.Messages():
			panic("a record came")
		case <-time.After(time.Second):
		}
		reader.Resume()
		select {
		case message := <-reader.Messages():
			Expect("first", int64(0), message.Offset)
		case <-time.After(Patience):
			panic("nothing came")
		}
	})
	States("out of range is told: OFFSET_OUT_OF_RANGE", func(ctx context.Context) {
		of := topic("range", 1, nil)
		consumer := Must(sarama.NewConsumer([]string{Bootstrap}, settings()))
		defer consumer.Close()
		_, err := consumer.ConsumePartition(of, 0, 1_000)
		RefusedAs(sarama.ErrOffsetOutOfRange, err)
	})
	States("read_committed on plain records: the same records", func(ctx context.Context) {
		of := topic("committed", 1, nil)
		send(numbered(of, 0, 50))
		Expect("last", int64(49), read(ctx, of, 0, 0, 50, func(config *sarama.Config) { config.Consumer.IsolationLevel = sarama.ReadCommitted })[49].Offset)
	})
	States("long polling: a record produced while a consumer waits arrives well before the longest wait", func(ctx context.Context) {
		of := topic("long-poll", 1, nil)
		consumer := Must(sarama.NewConsumer([]string{Bootstrap}, settings(func(config *sarama.Config) { config.Consumer.MaxWaitTime = 20 * time.Second })))
		defer consumer.Close()
		reader := Must(consumer.ConsumePartition(of, 0, sarama.OffsetOldest))
		defer reader.AsyncClose()
		for range 3 {
			send(numbered(of, 0, 1))
			start := time.Now()
			select {
			case <-reader.Messages():
			case <-time.After(Patience):
				panic("nothing came")
			}
			Expect("prompt", true, time.Since(start) < 5*time.Second)
		}
		send(numbered(of, 0, 1)) // ends the wait that would hold up its end
	})
	States("a batch larger than the fetch limit is delivered all the same", func(ctx context.Context) {
		of := topic("tight", 1, nil)
		send([]*sarama.ProducerMessage{{Topic: of, Value: sarama.ByteEncoder(Noise(50_000))}})
		Expect("length", 50_000, len(read(ctx, of, 0, 0, 1, func(config *sarama.Config) { config.Consumer.Fetch.Default = 1 })[0].Value))
	})
	States("offsets by time: oldest, newest, of a time, after the last", func(ctx context.Context) {
		of := topic("times", 2, kept)
		messages := numbered(of, 0, 30)
		for i, message := range messages {
			message.Timestamp = time.UnixMilli(10_000 + 100*int64(i))
		}
		send(messages)
		for at, offset := range map[int64]int64{sarama.OffsetOldest: 0, sarama.OffsetNewest: 30, 10_000: 0, 10_001: 1, 10_700: 7, 12_900: 29, 12_901: -1} {
			Expect(fmt.Sprint("offset at ", at), offset, Must(base.GetOffset(of, 0, at)))
		}
		listed := Must(admin.ListOffsets(map[string]map[int32]int64{of: {0: 10_700, 1: sarama.OffsetNewest}}, nil))[of]
		Expect("listed", "7 10700 0", fmt.Sprint(listed[0].Offset, listed[0].Timestamp, listed[1].Offset))
	})
}

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

type member struct {
	sync.Mutex
	group   sarama.ConsumerGroup
	session sarama.ConsumerGroupSession
	owned   int
	got     []*sarama.ConsumerMessage
	stop    context.CancelFunc
	ended   chan bool
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.session, m.owned = session, 0
	for _, partitions := range session.Claims() {
		m.owned += len(partitions)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.Lock()
		m.got = append(m.got, message)
		m.Unlock()
		session.MarkMessage(message, "by sarama")
	}
	return nil
}

func join(ctx context.Context, group, of string, changes ...func(*sarama.Config)) *member {
	m := &member{ended: make(chan bool), group: Must(sarama.NewConsumerGroup([]string{Bootstrap}, group, settings(changes...)))}
	var running context.Context
	running, m.stop = context.WithCancel(ctx)
	go func() {
		for range m.group.Errors() {
		}
	}()
	go func() {
		defer close(m.ended)
		for running.Err() == nil {
			m.group.Consume(running, []string{of}, m)
		}
	}()
	return m
}

func (m *member) look() (owned, got int) {
	m.Lock()
	defer m.Unlock()
	return m.owned, len(m.got)
}

func (m *member) until(owned int) {
	Eventually(fmt.Sprint("it owns ", owned), func() bool { now, _ := m.look(); return now == owned })
}

func (m *member) leave() {
	m.stop()
	<-m.ended
	m.group.Close()
}

func committed(group, of string, partition int32) string {
	block := Must(admin.ListConsumerGroupOffsets(group, map[string][]int32{of: {partition}})).GetBlock(of, partition)
	return fmt.Sprint(block.Offset, " ", block.Metadata)
}

func groups() {
	for name, strategy := range map[string]sarama.BalanceStrategy{"range": sarama.NewBalanceStrategyRange(), "roundrobin": sarama.NewBalanceStrategyRoundRobin(), "sticky": sarama.NewBalanceStrategySticky()} {
		States("groups: "+name+": a second member gets half of the partitions, they are given back when it leaves, and everything is read once", func(ctx context.Context) {
			of, group := topic("shared", 4, nil), Name("sarama", "group")
			balance := func(config *sarama.Config) {
				config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
			}
			one := join(ctx, group, of, balance)
			defer one.leave()
			one.until(4)
			two := join(ctx, group, of, balance)
			one.until(2)
			two.until(2)
			for p := range int32(4) {
				send(numbered(of, p, 5))
			}
			Eventually("all is read", func() bool {
				_, a := one.look()
				_, b := two.look()
				return a+b >= 20
			})
			seen := map[string]bool{}
			for _, message := range append(append([]*sarama.ConsumerMessage{}, one.got...), two.got...) {
				seen[fmt.Sprint(message.Partition, ":", message.Offset)] = true
			}
			Expect("records", 20, len(seen))
			two.leave()
			one.until(4)
			told := Must(admin.DescribeConsumerGroups([]string{group}))[0]
			Expect("described", "Stable consumer "+name+" 1", fmt.Sprint(told.State, " ", told.ProtocolType, " ", told.Protocol, " ", len(told.Members)))
		})
	}
	States("groups: a commit is read back with its metadata, and a member that comes later reads on there", func(ctx context.Context) {
		of, group := topic("resume", 2, nil), Name("sarama", "group")
		send(numbered(of, 0, 10))
		one := join(ctx, group, of)
		Eventually("all is read", func() bool { _, got := one.look(); return got == 10 })
		one.session.ResetOffset(of, 0, 7, "schön ✓")
		one.session.Commit()
		one.leave()
		Expect("committed", "7 schön ✓", committed(group, of, 0))
		Expect("the other has none", "-1 ", committed(group, of, 1))
		two := join(ctx, group, of)
		defer two.leave()
		Eventually("the rest is read", func() bool { _, got := two.look(); return got == 3 })
		Expect("first", int64(7), two.got[0].Offset)
	})
	States("groups: auto-commit keeps what was marked when the member leaves", func(ctx context.Context) {
		of, group := topic("auto", 1, nil), Name("sarama", "group")
		send(numbered(of, 0, 20))
		one := join(ctx, group, of, func(config *sarama.Config) {
			config.Consumer.Offsets.AutoCommit.Enable, config.Consumer.Offsets.AutoCommit.Interval = true, time.Hour
		})
		Eventually("all is read", func() bool { _, got := one.look(); return got == 20 })
		one.leave()
		Expect("committed", "20 by sarama", committed(group, of, 0))
	})
	States("groups: a static member keeps its place when it goes, until it is removed by its instance", func(ctx context.Context) {
		of, group := topic("static", 1, nil), Name("sarama", "group")
		one := join(ctx, group, of, func(config *sarama.Config) { config.Consumer.Group.InstanceId = "one" })
		one.until(1)
		one.leave()
		Expect("members", 1, len(Must(admin.DescribeConsumerGroups([]string{group}))[0].Members))
		left := Must(admin.RemoveMemberFromConsumerGroup(group, []string{"one"}))
		Expect("error", sarama.ErrNoError, left.Err)
		Expect("state", "Empty", Must(admin.DescribeConsumerGroups([]string{group}))[0].State)
	})
	States("groups: listed; deleted with its offsets, but not while it has members (NON_EMPTY_GROUP), nor when it is unknown (GROUP_ID_NOT_FOUND)", func(ctx context.Context) {
		of, group := topic("delete", 1, nil), Name("sarama", "group")
		send(numbered(of, 0, 3))
		one := join(ctx, group, of)
		one.until(1)
		Expect("listed", "consumer", Must(admin.ListConsumerGroups())[group])
		RefusedAs(sarama.ErrNonEmptyGroup, admin.DeleteConsumerGroup(group))
		RefusedAs(sarama.ErrGroupSubscribedToTopic, admin.DeleteConsumerGroupOffset(group, of, 0))
		one.leave()
		Must(admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{of: {0: {Offset: 2, Metadata: "by hand", LeaderEpoch: -1}}}, nil))
		Expect("altered", "2 by hand", committed(group, of, 0))
		Check(admin.DeleteConsumerGroupOffset(group, of, 0))
		Expect("deleted", "-1 ", committed(group, of, 0))
		Check(admin.DeleteConsumerGroup(group))
		RefusedAs(sarama.ErrGroupIDNotFound, admin.DeleteConsumerGroup(group))
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
