package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	. "clients/statements"

	"github.com/IBM/sarama"
)

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
