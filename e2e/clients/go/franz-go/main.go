// main BOOTSTRAP PEER: what franz-go expects of Kafka.
package main

import (
	"bytes"
	"context"
	"fmt"
	"sort"
	"strconv"
	"time"

	. "clients/statements"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	admin  *kadm.Client
	codecs = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	// For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
	kept = map[string]*string{"retention.ms": kadm.StringPtr("-1")}
)

func client(options ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{kgo.SeedBrokers(Bootstrap), kgo.FetchMaxWait(200 * time.Millisecond), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(2 * time.Second), kgo.RetryTimeout(20 * time.Second)}
	return Must(kgo.NewClient(append(base, options...)...))
}

func topic(ctx context.Context, hint string, partitions int32, config map[string]*string) string {
	created := Name("franz-go", hint)
	Must(admin.CreateTopic(ctx, partitions, 1, config, created))
	// Kafka's controller answers before the broker leads the partitions.
	Eventually("the topic is led", func() bool {
		ends, err := admin.ListEndOffsets(ctx, created)
		return err == nil && ends.Error() == nil && len(ends[created]) == int(partitions)
	})
	return created
}

func send(ctx context.Context, records []*kgo.Record, options ...kgo.Opt) []*kgo.Record {
	sent, err := trySend(ctx, records, options...)
	Check(err)
	return sent
}

func trySend(ctx context.Context, records []*kgo.Record, options ...kgo.Opt) ([]*kgo.Record, error) {
	producer := client(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
	defer producer.Close()
	results := producer.ProduceSync(ctx, records...)
	sent := []*kgo.Record{}
	for _, result := range results {
		sent = append(sent, result.Record)
	}
	return sent, results.FirstErr()
}

func numbered(of string, partition int32, count int) (records []*kgo.Record) {
	for i := range count {
		records = append(records, &kgo.Record{Topic: of, Partition: partition, Key: []byte("k" + strconv.Itoa(i)), Value: []byte("v" + strconv.Itoa(i))})
	}
	return
}

func values(records []*kgo.Record) (all []string) {
	for _, record := range records {
		all = append(all, string(record.Value))
	}
	return
}

func texts(count int, prefix string) (all []string) {
	for i := range count {
		all = append(all, prefix+strconv.Itoa(i))
	}
	return
}

func at(of string, partitions int32, offset kgo.Offset) kgo.Opt {
	all := map[int32]kgo.Offset{}
	for p := range partitions {
		all[p] = offset
	}
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{of: all})
}

func poll(ctx context.Context, reader *kgo.Client, count int) (got []*kgo.Record) {
	waiting, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for len(got) < count {
		fetches := reader.PollFetches(waiting)
		if err := fetches.Err(); err != nil {
			panic(fmt.Sprintf("%d of %d records came: %v", len(got), count, err))
		}
		got = append(got, fetches.Records()...)
	}
	return
}

func read(ctx context.Context, of string, partitions int32, count int, options ...kgo.Opt) []*kgo.Record {
	reader := client(append([]kgo.Opt{at(of, partitions, kgo.NewOffset().AtStart())}, options...)...)
	defer reader.Close()
	return poll(ctx, reader, count)
}

func first[T any](value T, _ error) T { return value }

func main() {
	Begin("franz-go", "github.com/twmb/franz-go")
	base := client()
	admin = kadm.NewClient(base)
	produces()
	fetches()
	administers()
	groups("classic")
	groups("consumer")
	classic()
	rare()
	base.Close()
	End()
}

func produces() {
	for _, compression := range Compressions {
		States(compression+": keys, values, headers, timestamps and order come back as sent", func(ctx context.Context) {
			of := topic(ctx, compression, 1, kept)
			sent := []*kgo.Record{}
			for i := range 200 {
				record := &kgo.Record{Topic: of, Timestamp: time.UnixMilli(1_600_000_000_000 + int64(i*37%101)), Value: append(Noise(i*10), make([]byte, i*10)...)}
				if i%5 != 1 {
					record.Key = []byte("key" + strconv.Itoa(i))
				}
				if i%7 == 0 {
					record.Key = []byte{}
				}
				if i%5 == 2 {
					record.Value = nil
				}
				for h := range i % 4 {
					// The same name several times, and an order that is not the alphabet's.
					record.Headers = append(record.Headers, kgo.RecordHeader{Key: []string{"z", "a"}[h%2], Value: []byte(fmt.Sprint("h", i, h))})
				}
				sent = append(sent, record)
			}
			send(ctx, sent, kgo.ProducerBatchCompression(codecs[compression]))
			for i, ours := range read(ctx, of, 1, 200) {
				theirs := sent[i]
				Expect("offset", int64(i), ours.Offset)
				Expect("key", theirs.Key, ours.Key)
				Expect("value", theirs.Value, ours.Value)
				Expect("headers", theirs.Headers, ours.Headers)
				Expect("timestamp", theirs.Timestamp.UnixMilli(), ours.Timestamp.UnixMilli())
				Expect("timestamp type", int8(0), ours.Attrs.TimestampType())
			}
		})
		States(compression+": a record of 1 MB comes back as sent", func(ctx context.Context) {
			of := topic(ctx, compression, 1, nil)
			value := Noise(990_000)
			send(ctx, []*kgo.Record{{Topic: of, Value: value}}, kgo.ProducerBatchCompression(codecs[compression]))
			Expect("the value is the same", true, bytes.Equal(value, read(ctx, of, 1, 1)[0].Value))
		})
	}
	for shown, options := range map[string][]kgo.Opt{
		"acks=1":                  {kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
		"acks=all":                {kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite()},
		"idempotent":              {},
		"idempotent, one request": {kgo.MaxProduceRequestsInflightPerBroker(1)},
	} {
		States(shown+": offsets are told and consecutive, and records come in order", func(ctx context.Context) {
			of := topic(ctx, "acks", 1, nil)
			told := send(ctx, numbered(of, 0, 2_000), append(options, kgo.ProducerBatchMaxBytes(1_000))...)
			for i, record := range told {
				Expect("told offset", int64(i), record.Offset)
			}
			Expect("values", texts(2_000, "v"), values(read(ctx, of, 1, 2_000)))
		})
	}
	States("acks=0: records are stored in order", func(ctx context.Context) {
		of := topic(ctx, "acks", 1, nil)
		send(ctx, numbered(of, 0, 100), kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
		Expect("values", texts(100, "v"), values(read(ctx, of, 1, 100)))
	})
	States("records of one key go to one partition, as many keys to all", func(ctx context.Context) {
		of := topic(ctx, "keys", 4, nil)
		records, homes, used := []*kgo.Record{}, map[string]int32{}, map[int32]bool{}
		for i := range 400 {
			records = append(records, &kgo.Record{Topic: of, Key: []byte(strconv.Itoa(i % 40)), Value: []byte("v")})
		}
		for _, record := range send(ctx, records, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))) {
			if home, known := homes[string(record.Key)]; known {
				Expect("partition of the key", home, record.Partition)
			}
			homes[string(record.Key)], used[record.Partition] = record.Partition, true
		}
		Expect("partitions", 4, len(used))
	})
	States("a record above max.message.bytes is refused: MESSAGE_TOO_LARGE", func(ctx context.Context) {
		of := topic(ctx, "large", 1, nil)
		_, err := trySend(ctx, []*kgo.Record{{Topic: of, Value: Noise(1_100_000)}}, kgo.ProducerBatchMaxBytes(2_000_000))
		Refused("MESSAGE_TOO_LARGE", err)
		Expect("offset of the next", int64(0), send(ctx, []*kgo.Record{{Topic: of, Value: []byte("small")}})[0].Offset)
	})
	States("LogAppendTime: the broker's clock replaces the record's timestamp", func(ctx context.Context) {
		of := topic(ctx, "append-time", 1, map[string]*string{"message.timestamp.type": kadm.StringPtr("LogAppendTime")})
		before := time.Now().Truncate(time.Millisecond)
		for _, compression := range Compressions {
			send(ctx, []*kgo.Record{{Topic: of, Value: []byte("v"), Timestamp: time.UnixMilli(1_000)}}, kgo.ProducerBatchCompression(codecs[compression]))
		}
		for _, record := range read(ctx, of, 1, len(Compressions)) {
			Expect("type", int8(1), record.Attrs.TimestampType())
			Expect("timestamp is of now", true, !record.Timestamp.Before(before) && !record.Timestamp.After(time.Now()))
		}
	})
	States("a timestamp two hours ahead is refused by default: INVALID_TIMESTAMP", func(ctx context.Context) {
		of := topic(ctx, "ahead", 1, nil)
		_, err := trySend(ctx, []*kgo.Record{{Topic: of, Value: []byte("v"), Timestamp: time.Now().Add(2 * time.Hour)}})
		Refused("INVALID_TIMESTAMP", err)
	})
	States("a compacted topic refuses a record without key: INVALID_RECORD", func(ctx context.Context) {
		of := topic(ctx, "compact", 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
		_, err := trySend(ctx, []*kgo.Record{{Topic: of, Value: []byte("v")}})
		Refused("INVALID_RECORD", err)
		Expect("offset", int64(0), send(ctx, []*kgo.Record{{Topic: of, Key: []byte("k")}})[0].Offset)
	})
	States("producing to a topic that does not exist creates it where that is asked for, and else is refused: UNKNOWN_TOPIC_OR_PARTITION", func(ctx context.Context) {
		of := Name("franz-go", "sprung")
		_, err := trySend(ctx, numbered(of, 0, 1), kgo.UnknownTopicRetries(0))
		Refused("UNKNOWN_TOPIC_OR_PARTITION", err)
		Expect("offset", int64(0), send(ctx, numbered(of, 0, 1), kgo.AllowAutoTopicCreation())[0].Offset)
		Expect("values", []string{"v0"}, values(read(ctx, of, 1, 1)))
	})
	States("50 partitions: each keeps its order, and nothing is lost or doubled", func(ctx context.Context) {
		of := topic(ctx, "fifty", 50, nil)
		records := []*kgo.Record{}
		for i := range 5_000 {
			records = append(records, &kgo.Record{Topic: of, Partition: int32(i % 50), Value: []byte(strconv.Itoa(i))})
		}
		send(ctx, records, kgo.ProducerBatchCompression(kgo.Lz4Compression()))
		next := make([]int, 50)
		for _, record := range read(ctx, of, 50, 5_000) {
			p := record.Partition
			Expect("offset and value", fmt.Sprintf("%d %d", next[p], next[p]*50+int(p)), fmt.Sprintf("%d %s", record.Offset, record.Value))
			next[p]++
		}
	})
}

func fetches() {
	States("from offsets: start, end, exact within a batch, relative to either, clipped into the range", func(ctx context.Context) {
		of := topic(ctx, "offsets", 1, nil)
		send(ctx, numbered(of, 0, 100), kgo.ProducerBatchCompression(kgo.GzipCompression()))
		for shown, from := range map[string]struct {
			offset kgo.Offset
			first  int64
		}{"start": {kgo.NewOffset().AtStart(), 0}, "57": {kgo.NewOffset().At(57), 57}, "99": {kgo.NewOffset().At(99), 99},
			"start+3": {kgo.NewOffset().AtStart().Relative(3), 3}, "end-10": {kgo.NewOffset().AtEnd().Relative(-10), 90}} {
			reader := client(at(of, 1, from.offset))
			record := poll(ctx, reader, 1)[0]
			reader.Close()
			Expect("first from "+shown, fmt.Sprintf("%d v%d", from.first, from.first), fmt.Sprintf("%d %s", record.Offset, record.Value))
		}
	})
	States("from the end, only what is written from then on is read", func(ctx context.Context) {
		of := topic(ctx, "latest", 1, nil)
		send(ctx, numbered(of, 0, 10))
		reader := client(at(of, 1, kgo.NewOffset().AtEnd()))
		defer reader.Close()
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		Expect("nothing yet", 0, reader.PollFetches(short).NumRecords())
		cancel()
		send(ctx, numbered(of, 0, 1))
		Expect("first", int64(10), poll(ctx, reader, 1)[0].Offset)
	})
	States("from a time, also of the middle of a batch", func(ctx context.Context) {
		of := topic(ctx, "times", 1, kept)
		records := numbered(of, 0, 30)
		for i, record := range records {
			record.Timestamp = time.UnixMilli(10_000 + 100*int64(i))
		}
		send(ctx, records)
		for _, c := range [][2]int64{{1, 0}, {10_000, 0}, {10_001, 1}, {10_700, 7}, {12_900, 29}} {
			reader := client(at(of, 1, kgo.NewOffset().AfterMilli(c[0])))
			Expect(fmt.Sprint("first after ", c[0]), c[1], poll(ctx, reader, 1)[0].Offset)
			reader.Close()
			listed := Must(admin.ListOffsetsAfterMilli(ctx, c[0], of))[of][0]
			Expect(fmt.Sprint("listed after ", c[0]), fmt.Sprint(c[1], 10_000+100*c[1]), fmt.Sprint(listed.Offset, listed.Timestamp))
		}
	})
	States("seek: reading goes on at exactly that offset", func(ctx context.Context) {
		of := topic(ctx, "seek", 1, nil)
		send(ctx, numbered(of, 0, 100))
		reader := client(at(of, 1, kgo.NewOffset().AtStart()))
		defer reader.Close()
		poll(ctx, reader, 100)
		for _, offset := range []int64{57, 3, 99, 0} {
			reader.SetOffsets(map[string]map[int32]kgo.EpochOffset{of: {0: {Epoch: -1, Offset: offset}}})
			Expect("first", offset, poll(ctx, reader, 1)[0].Offset)
		}
	})
	States("a paused partition gives nothing until it is resumed, and the others go on", func(ctx context.Context) {
		of := topic(ctx, "pause", 2, nil)
		reader := client(at(of, 2, kgo.NewOffset().AtStart()))
		defer reader.Close()
		paused := map[string][]int32{of: {0}}
		reader.PauseFetchPartitions(paused)
		send(ctx, append(numbered(of, 0, 5), numbered(of, 1, 5)...))
		for _, record := range poll(ctx, reader, 5) {
			Expect("partition", int32(1), record.Partition)
		}
		reader.ResumeFetchPartitions(paused)
		for _, record := range poll(ctx, reader, 5) {
			Expect("partition", int32(0), record.Partition)
		}
	})
	States("out of range: without a reset it is told, OFFSET_OUT_OF_RANGE; with one it goes there", func(ctx context.Context) {
		of := topic(ctx, "range", 1, nil)
		send(ctx, numbered(of, 0, 10))
		reader := client(at(of, 1, kgo.NewOffset().At(1_000)), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		waiting, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		Refused("OFFSET_OUT_OF_RANGE", reader.PollFetches(waiting).Errors()[0].Err)
		reader.Close()
		Expect("first", int64(0), read(ctx, of, 1, 1, at(of, 1, kgo.NewOffset().At(1_000)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))[0].Offset)
	})
	for shown, option := range map[string]kgo.Opt{"read_committed": kgo.FetchIsolationLevel(kgo.ReadCommitted()), "without fetch sessions": kgo.DisableFetchSessions(),
		"a regular expression of names": kgo.ConsumeRegex()} {
		States(shown+" on plain records: the same records", func(ctx context.Context) {
			of := topic(ctx, "plain", 3, nil)
			for p := range int32(3) {
				send(ctx, numbered(of, p, 50))
			}
			var reader *kgo.Client
			if shown == "a regular expression of names" {
				reader = client(option, kgo.ConsumeTopics("^"+of+"$"), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
			} else {
				reader = client(option, at(of, 3, kgo.NewOffset().AtStart()))
			}
			defer reader.Close()
			Expect("records", 150, len(poll(ctx, reader, 150)))
		})
	}
	States("long polling: a record produced while a consumer waits arrives well before the longest wait", func(ctx context.Context) {
		of := topic(ctx, "long-poll", 1, nil)
		reader := client(at(of, 1, kgo.NewOffset().AtStart()), kgo.FetchMaxWait(20*time.Second))
		defer reader.Close()
		for range 3 {
			send(ctx, numbered(of, 0, 1))
			start := time.Now()
			poll(ctx, reader, 1)
			Expect("prompt", true, time.Since(start) < 5*time.Second)
		}
	})
	States("a batch larger than every fetch limit is delivered all the same", func(ctx context.Context) {
		of := topic(ctx, "tight", 3, nil)
		seen := []int{}
		for p := range int32(3) {
			send(ctx, []*kgo.Record{{Topic: of, Partition: p, Value: Noise(50_000)}})
		}
		for _, record := range read(ctx, of, 3, 3, kgo.FetchMaxBytes(1), kgo.FetchMaxPartitionBytes(1)) {
			seen = append(seen, int(record.Partition))
		}
		sort.Ints(seen)
		Expect("partitions", []int{0, 1, 2}, seen)
	})
	States("records tell their leader epoch, and where that epoch ends", func(ctx context.Context) {
		of := topic(ctx, "epoch", 1, nil)
		send(ctx, numbered(of, 0, 10))
		record := read(ctx, of, 1, 10)[9]
		var request kadm.OffsetForLeaderEpochRequest
		request.Add(of, 0, record.LeaderEpoch)
		told := Must(admin.OffsetForLeaderEpoch(ctx, request))[of][0]
		Expect("epoch and end", fmt.Sprint(record.LeaderEpoch, 10), fmt.Sprint(told.LeaderEpoch, told.EndOffset))
	})
}
