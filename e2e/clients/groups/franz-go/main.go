// A member of a group that says what happens to it; groups/crew.py tells what it is called with and what the lines mean.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var saying sync.Mutex

func say(words ...any) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Fprintln(os.Stdout, words...)
}

// What it owns, as told by the callbacks, which tell differences.
type owned struct {
	sync.Mutex
	partitions map[string]bool
}

func (o *owned) change(some map[string][]int32, held bool) string {
	o.Lock()
	defer o.Unlock()
	for topic, partitions := range some {
		for _, partition := range partitions {
			name := fmt.Sprintf("%s:%d", topic, partition)
			if held {
				o.partitions[name] = true
			} else {
				delete(o.partitions, name)
			}
		}
	}
	var all []string
	for name := range o.partitions {
		all = append(all, name)
	}
	return text(all)
}

func text(partitions []string) string {
	if len(partitions) == 0 {
		return "-"
	}
	sort.Strings(partitions)
	return strings.Join(partitions, ",")
}

func names(some map[string][]int32) string {
	var all []string
	for topic, partitions := range some {
		for _, partition := range partitions {
			all = append(all, fmt.Sprintf("%s:%d", topic, partition))
		}
	}
	return text(all)
}

func main() {
	bootstrap, group, name, topics, assignor, session, instance := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6], os.Args[7]
	sessionMs, err := strconv.Atoi(session)
	if err != nil {
		panic(err)
	}
	balancer := kgo.RangeBalancer()
	if assignor == "cooperative-sticky" {
		balancer = kgo.CooperativeStickyBalancer()
	}
	mine := &owned{partitions: map[string]bool{}}
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap), kgo.ClientID(name), kgo.ConsumerGroup(group), kgo.ConsumeTopics(strings.Split(topics, ",")...),
		kgo.Balancers(balancer), kgo.SessionTimeout(time.Duration(sessionMs) * time.Millisecond), kgo.HeartbeatInterval(time.Second),
		kgo.MetadataMaxAge(2 * time.Second), kgo.MetadataMinAge(time.Second), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, added map[string][]int32) {
			member, generation := client.GroupMetadata()
			say("assigned", generation, member, mine.change(added, true))
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			mine.change(gone, false)
			say("revoked", names(gone))
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			mine.change(gone, false)
			say("lost", names(gone))
		}),
	}
	if instance != "-" {
		options = append(options, kgo.InstanceID(instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		panic(err)
	}
	running, leave := context.WithCancel(context.Background())
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		leave()
	}()
	for running.Err() == nil {
		turn(running, client, name)
	}
	client.CloseAllowingRebalance()
	say("left")
}

func turn(running context.Context, client *kgo.Client, name string) {
	poll, cancel := context.WithTimeout(running, 200*time.Millisecond)
	fetches := client.PollFetches(poll)
	cancel()
	defer client.AllowRebalance()
	for _, failure := range fetches.Errors() {
		if errors.Is(failure.Err, kerr.FencedInstanceID) {
			say("fenced", failure.Err)
			os.Exit(3)
		}
		if !errors.Is(failure.Err, context.DeadlineExceeded) && !errors.Is(failure.Err, context.Canceled) {
			say("refused", strings.ReplaceAll(failure.Err.Error(), "\n", " "))
		}
	}
	_, generation := client.GroupMetadata()
	offsets := map[string]map[int32]kgo.EpochOffset{}
	fetches.EachPartition(func(some kgo.FetchTopicPartition) {
		if len(some.Records) == 0 {
			return
		}
		last := some.Records[len(some.Records)-1]
		say("read", generation, some.Topic, some.Partition, some.Records[0].Offset, last.Offset)
		if offsets[some.Topic] == nil {
			offsets[some.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[some.Topic][some.Partition] = kgo.EpochOffset{Epoch: -1, Offset: last.Offset + 1}
	})
	if len(offsets) > 0 {
		commit(client, name, generation, offsets)
	}
}

func commit(client *kgo.Client, name string, generation int32, offsets map[string]map[int32]kgo.EpochOffset) {
	by := "by " + name
	described := kgo.PreCommitFnContext(context.Background(), func(request *kmsg.OffsetCommitRequest) error {
		for t := range request.Topics {
			for p := range request.Topics[t].Partitions {
				request.Topics[t].Partitions[p].Metadata = &by
			}
		}
		return nil
	})
	client.CommitOffsetsSync(described, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			say("refused", strings.ReplaceAll(err.Error(), "\n", " "))
			return
		}
		for _, topic := range answer.Topics {
			for _, partition := range topic.Partitions {
				if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
					say("refused", err)
				} else {
					say("committed", generation, topic.Topic, partition.Partition, offsets[topic.Topic][partition.Partition].Offset)
				}
			}
		}
	})
}
