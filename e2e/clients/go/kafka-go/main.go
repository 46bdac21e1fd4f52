// main BOOTSTRAP PEER: what kafka-go (segmentio) expects of Kafka.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	. "clients/statements"

	"github.com/segmentio/kafka-go"
)

var (
	admin  *kafka.Client
	codecs = map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
	// For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
	kept = kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "-1"}
)

func create(ctx context.Context, config kafka.TopicConfig, validate bool) error {
	return Must(admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}, ValidateOnly: validate})).Errors[config.Topic]
}

func offsets(ctx context.Context, of string, requests ...kafka.OffsetRequest) []kafka.PartitionOffsets {
	return Must(admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{of: requests}})).Topics[of]
}

func topic(ctx context.Context, hint string, partitions int, config ...kafka.ConfigEntry) string {
	created := Name("kafka-go", hint)
	Check(create(ctx, kafka.TopicConfig{Topic: created, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: config}, false))
	// Kafka's controller answers before the broker leads the partitions.
	Eventually("the topic is led", func() bool {
		// The pool of connections has metadata of its own, which is looked up anew after a while.
		requests := []kafka.OffsetRequest{}
		for p := range partitions {
			requests = append(requests, kafka.LastOffsetOf(p))
		}
		told, err := admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{created: requests}})
		if err != nil || len(told.Topics[created]) != partitions {
			return false
		}
		for _, p := range told.Topics[created] {
			if p.Error != nil {
				return false
			}
		}
		return true
	})
	return created
}

func trySend(ctx context.Context, messages []kafka.Message, changes ...func(*kafka.Writer)) error {
	writer := &kafka.Writer{Addr: kafka.TCP(Bootstrap), RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond, BatchBytes: 2_000_000, MaxAttempts: 3,
		Balancer: kafka.BalancerFunc(func(message kafka.Message, partitions ...int) int { return message.WriterData.(int) }),
		// A writer must not know an older state of the topics.
		Transport: &kafka.Transport{MetadataTTL: time.Second}}
	for _, change := range changes {
		change(writer)
	}
	defer writer.Close()
	err := writer.WriteMessages(ctx, messages...)
	var several kafka.WriteErrors
	if errors.As(err, &several) {
		for _, one := range several {
			if one != nil {
				return one
			}
		}
	}
	return err
}

func send(ctx context.Context, messages []kafka.Message, changes ...func(*kafka.Writer)) {
	Check(trySend(ctx, messages, changes...))
}

func numbered(of string, partition, count int) (messages []kafka.Message) {
	for i := range count {
		messages = append(messages, kafka.Message{Topic: of, WriterData: partition, Key: []byte("k" + strconv.Itoa(i)), Value: []byte("v" + strconv.Itoa(i))})
	}
	return
}

func reader(of string, partition int, changes ...func(*kafka.ReaderConfig)) *kafka.Reader {
	config := kafka.ReaderConfig{Brokers: []string{Bootstrap}, Topic: of, Partition: partition, MaxWait: 200 * time.Millisecond, MaxBytes: 5_000_000}
	for _, change := range changes {
		change(&config)
	}
	return kafka.NewReader(config)
}

func poll(ctx context.Context, from *kafka.Reader, count int) (got []kafka.Message) {
	waiting, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for len(got) < count {
		message, err := from.FetchMessage(waiting)
		if err != nil {
			panic(fmt.Sprintf("%d of %d records came: %v", len(got), count, err))
		}
		got = append(got, message)
	}
	return
}

func read(ctx context.Context, of string, partition, count int, changes ...func(*kafka.ReaderConfig)) []kafka.Message {
	from := reader(of, partition, changes...)
	defer from.Close()
	return poll(ctx, from, count)
}

func main() {
	Begin("kafka-go", "github.com/segmentio/kafka-go")
	admin = &kafka.Client{Addr: kafka.TCP(Bootstrap), Timeout: 30 * time.Second, Transport: &kafka.Transport{MetadataTTL: 200 * time.Millisecond}}
	produces()
	fetches()
	administers()
	groups()
	rare()
	End()
}

func produces() {
	for _, compression := range Compressions {
		codec := func(writer *kafka.Writer) { writer.Compression = codecs[compression] }
		States(compression+": keys, values, headers, timestamps and order come back as sent", func(ctx context.Context) {
			of := topic(ctx, compression, 1, kept)
			sent := []kafka.Message{}
			for i := range 200 {
				message := kafka.Message{Topic: of, WriterData: 0, Time: time.UnixMilli(1_600_000_000_000 + int64(i*37%101)), Value: append(Noise(i*10+1), make([]byte, i*10)...)}
				if i%5 != 1 {
					message.Key = []byte("key" + strconv.Itoa(i))
				}
				if i%5 == 2 {
					message.Value = nil
				}
				for h := range i % 4 {
					// The same name several times, and an order that is not the alphabet's.
					message.Headers = append(message.Headers, kafka.Header{Key: []string{"z", "a"}[h%2], Value: []byte(fmt.Sprint("h", i, h))})
				}
				sent = append(sent, message)
			}
			send(ctx, sent, codec)
			for i, ours := range read(ctx, of, 0, 200) {
				theirs := sent[i]
				Expect("offset", int64(i), ours.Offset)
				Expect("key", string(theirs.Key), string(ours.Key))
				Expect("value", string(theirs.Value), string(ours.Value))
				Expect("headers", fmt.Sprint(theirs.Headers), fmt.Sprint(ours.Headers))
				Expect("timestamp", theirs.Time.UnixMilli(), ours.Time.UnixMilli())
			}
		})
		States(compression+": a record of 1 MB comes back as sent", func(ctx context.Context) {
			of := topic(ctx, compression, 1)
			value := Noise(1_000_000)
			send(ctx, []kafka.Message{{Topic: of, WriterData: 0, Value: value}}, codec)
			Expect("the value is the same", true, bytes.Equal(value, read(ctx, of, 0, 1)[0].Value))
		})
	}
	for shown, acks := range map[string]kafka.RequiredAcks{"acks=0": kafka.RequireNone, "acks=1": kafka.RequireOne, "acks=all": kafka.RequireAll} {
		States(shown+": records are stored in order, over many requests", func(ctx context.Context) {
			of := topic(ctx, "acks", 1)
			send(ctx, numbered(of, 0, 1_000), func(writer *kafka.Writer) { writer.RequiredAcks, writer.BatchSize = acks, 20 })
			for i, message := range read(ctx, of, 0, 1_000) {
				Expect("value", "v"+strconv.Itoa(i), string(message.Value))
			}
		})
	}
	for shown, balancer := range map[string]kafka.Balancer{"CRC32": kafka.CRC32Balancer{}, "murmur2": kafka.Murmur2Balancer{}, "hash": &kafka.Hash{}} {
		States(shown+": records of one key go to one partition, as many keys to all", func(ctx context.Context) {
			of := topic(ctx, "keys", 4)
			messages, homes, used := []kafka.Message{}, map[string]int{}, 0
			for i := range 400 {
				messages = append(messages, kafka.Message{Topic: of, Key: []byte(fmt.Sprint("key", i%40)), Value: []byte("v")})
			}
			send(ctx, messages, func(writer *kafka.Writer) { writer.Balancer = balancer })
			for _, told := range offsets(ctx, of, kafka.LastOffsetOf(0), kafka.LastOffsetOf(1), kafka.LastOffsetOf(2), kafka.LastOffsetOf(3)) {
				Expect("no error", nil, told.Error)
				if told.LastOffset > 0 {
					used++
					for _, message := range read(ctx, of, told.Partition, int(told.LastOffset)) {
						if home, known := homes[string(message.Key)]; known {
							Expect("partition of the key", home, message.Partition)
						}
						homes[string(message.Key)] = message.Partition
					}
				}
			}
			Expect("keys and partitions", "40 4", fmt.Sprint(len(homes), " ", used))
		})
	}
	States("a record above max.message.bytes is refused: MESSAGE_TOO_LARGE", func(ctx context.Context) {
		of := topic(ctx, "large", 1)
		RefusedAs(kafka.MessageSizeTooLarge, trySend(ctx, []kafka.Message{{Topic: of, WriterData: 0, Value: Noise(1_100_000)}}))
		Expect("end", int64(0), offsets(ctx, of, kafka.LastOffsetOf(0))[0].LastOffset)
	})
	// kafka-go does not look at it when it reads.
	States("LogAppendTime: the time by the broker's clock is told", func(ctx context.Context) {
		of := topic(ctx, "append-time", 1, kafka.ConfigEntry{ConfigName: "message.timestamp.type", ConfigValue: "LogAppendTime"})
		before := time.Now().Truncate(time.Millisecond)
		conn := Must(kafka.DialLeader(ctx, "tcp", Bootstrap, of, 0))
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(Patience))
		_, _, _, told, err := conn.WriteCompressedMessagesAt(kafka.Lz4.Codec(), kafka.Message{Value: []byte("v"), Time: time.UnixMilli(1_000)})
		Check(err)
		Expect("timestamp is of now", true, !told.Before(before) && !told.After(time.Now()))
	})
	States("a timestamp two hours ahead is refused by default: INVALID_TIMESTAMP", func(ctx context.Context) {
		of := topic(ctx, "ahead", 1)
		RefusedAs(kafka.InvalidTimestamp, trySend(ctx, []kafka.Message{{Topic: of, WriterData: 0, Value: []byte("v"), Time: time.Now().Add(2 * time.Hour)}}))
	})
	States("producing to a topic that does not exist creates it where that is asked for, and else is refused: UNKNOWN_TOPIC_OR_PARTITION", func(ctx context.Context) {
		of := Name("kafka-go", "sprung")
		RefusedAs(kafka.UnknownTopicOrPartition, trySend(ctx, numbered(of, 0, 1)))
		Eventually("it is there", func() bool {
			return trySend(ctx, numbered(of, 0, 1), func(writer *kafka.Writer) { writer.AllowAutoTopicCreation = true }) == nil
		})
		Expect("value", "v0", string(read(ctx, of, 0, 1)[0].Value))
	})
	States("one connection writes and reads a partition: offsets are told, its own deadline is kept", func(ctx context.Context) {
		of := topic(ctx, "conn", 1)
		conn := Must(kafka.DialLeader(ctx, "tcp", Bootstrap, of, 0))
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(Patience))
		_, partition, offset, _, err := conn.WriteCompressedMessagesAt(nil, kafka.Message{Value: []byte("a")}, kafka.Message{Value: []byte("b")})
		Check(err)
		Expect("told", "0 0", fmt.Sprint(partition, " ", offset))
		first, last, err := conn.ReadOffsets()
		Check(err)
		Expect("range", [2]int64{0, 2}, [2]int64{first, last})
		Must(conn.Seek(1, kafka.SeekAbsolute))
		Expect("value", "b", string(Must(conn.ReadMessage(1_000)).Value))
		conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err = conn.ReadMessage(1_000)
		timeout, ok := err.(net.Error)
		Expect("time is up", true, ok && timeout.Timeout() || errors.Is(err, kafka.RequestTimedOut))
	})
}

func fetches() {
	States("from offsets: first, exact within a batch, last; the high watermark is told", func(ctx context.Context) {
		of := topic(ctx, "offsets", 1)
		send(ctx, numbered(of, 0, 100), func(writer *kafka.Writer) { writer.Compression = kafka.Gzip })
		from := reader(of, 0)
		defer from.Close()
		for _, offset := range []int64{57, 3, 99, 0} {
			Check(from.SetOffset(offset))
			message := poll(ctx, from, 1)[0]
			Expect("first", fmt.Sprintf("%d v%d 100", offset, offset), fmt.Sprintf("%d %s %d", message.Offset, message.Value, message.HighWaterMark))
		}
		Check(from.SetOffset(kafka.LastOffset))
		send(ctx, numbered(of, 0, 1))
		Eventually("what came after the end is read, and nothing before", func() bool {
			message := poll(ctx, from, 1)[0]
			Expect("not before the end", true, message.Offset >= 100)
			return true
		})
	})
	States("from a time", func(ctx context.Context) {
		of := topic(ctx, "times", 1, kept)
		messages := numbered(of, 0, 30)
		for i := range messages {
			messages[i].Time = time.UnixMilli(10_000 + 100*int64(i))
		}
		send(ctx, messages)
		for at, offset := range map[int64]int64{1: 0, 10_000: 0, 10_001: 1, 10_700: 7, 12_900: 29} {
			from := reader(of, 0)
			Check(from.SetOffsetAt(ctx, time.UnixMilli(at)))
			Expect(fmt.Sprint("first at ", at), offset, poll(ctx, from, 1)[0].Offset)
			from.Close()
		}
		told := offsets(ctx, of, kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0), kafka.TimeOffsetOf(0, time.UnixMilli(10_700)))[0]
		Expect("first, last, by time", "0 30 10700", fmt.Sprint(told.FirstOffset, told.LastOffset, told.Offsets[7].UnixMilli()))
	})
	States("out of range is told where that is asked for: OFFSET_OUT_OF_RANGE", func(ctx context.Context) {
		of := topic(ctx, "range", 1)
		from := reader(of, 0, func(config *kafka.ReaderConfig) { config.OffsetOutOfRangeError = true })
		defer from.Close()
		Check(from.SetOffset(1_000))
		waiting, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		_, err := from.FetchMessage(waiting)
		RefusedAs(kafka.OffsetOutOfRange, err)
	})
	States("read_committed on plain records: the same records, and the lag", func(ctx context.Context) {
		of := topic(ctx, "committed", 1)
		send(ctx, numbered(of, 0, 50))
		from := reader(of, 0, func(config *kafka.ReaderConfig) { config.IsolationLevel = kafka.ReadCommitted })
		defer from.Close()
		Expect("last", int64(49), poll(ctx, from, 50)[49].Offset)
		Expect("lag", int64(0), Must(from.ReadLag(ctx)))
	})
	States("one fetch request: records, high watermark, log start, last stable offset", func(ctx context.Context) {
		of := topic(ctx, "fetch", 1)
		send(ctx, numbered(of, 0, 10))
		told := Must(admin.Fetch(ctx, &kafka.FetchRequest{Topic: of, Partition: 0, Offset: 4, MinBytes: 1, MaxBytes: 1_000_000, MaxWait: time.Second}))
		Check(told.Error)
		Expect("offsets", "10 10 0", fmt.Sprint(told.HighWatermark, told.LastStableOffset, told.LogStartOffset))
		// The batch comes whole, from its first record.
		record := Must(told.Records.ReadRecord())
		for record.Offset < 4 {
			record = Must(told.Records.ReadRecord())
		}
		Expect("record", "v4", string(Must(kafka.ReadAll(record.Value))))
	})
	States("long polling: a record produced while a consumer waits arrives well before MaxWait", func(ctx context.Context) {
		of := topic(ctx, "long-poll", 1)
		from := reader(of, 0, func(config *kafka.ReaderConfig) { config.MaxWait = 20 * time.Second })
		defer from.Close()
		for range 3 {
			send(ctx, numbered(of, 0, 1))
			start := time.Now()
			poll(ctx, from, 1)
			Expect("prompt", true, time.Since(start) < 5*time.Second)
		}
	})
}
