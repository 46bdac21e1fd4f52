// main BOOTSTRAP PEER: what Sarama expects of Kafka.
package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
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
