package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	. "clients/statements"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func itoa(n int32) string { return strconv.Itoa(int(n)) }

// A member reads in the background, for a franz-go client owns what it was told once it polls.
type member struct {
	*kgo.Client
	sync.Mutex
	owned map[string]bool
	got   []*kgo.Record
	stop  context.CancelFunc
	ended chan bool
}

func join(ctx context.Context, protocol, group, of string, options ...kgo.Opt) *member {
	m := &member{owned: map[string]bool{}, ended: make(chan bool)}
	change := func(held bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, some map[string][]int32) {
			m.Lock()
			defer m.Unlock()
			for topic, partitions := range some {
				for _, p := range partitions {
					if name := topic + ":" + itoa(p); held {
						m.owned[name] = true
					} else {
						delete(m.owned, name)
					}
				}
			}
		}
	}
	base := []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(of), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(10 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false))}
	if protocol == "consumer" {
		base = append(base, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	m.Client = client(append(base, options...)...)
	var running context.Context
	running, m.stop = context.WithCancel(ctx)
	go func() {
		defer close(m.ended)
		for running.Err() == nil {
			records := m.PollFetches(running).Records()
			m.Lock()
			m.got = append(m.got, records...)
			m.Unlock()
		}
	}()
	return m
}

func (m *member) owns() int {
	m.Lock()
	defer m.Unlock()
	return len(m.owned)
}

func (m *member) records() []*kgo.Record {
	m.Lock()
	defer m.Unlock()
	return append([]*kgo.Record{}, m.got...)
}

func (m *member) until(partitions int) {
	Eventually(fmt.Sprint("it owns ", partitions), func() bool { return m.owns() == partitions })
}

func (m *member) leave() {
	m.stop()
	<-m.ended
	m.CloseAllowingRebalance()
}

func groups(protocol string) {
	say := func(what string) string { return "groups, " + protocol + ": " + what }
	States(say("a commit is read back with its metadata, and a member that comes later reads on there"), func(ctx context.Context) {
		of, group := topic(ctx, "resume", 2, nil), Name("franz-go", "group")
		send(ctx, numbered(of, 0, 10))
		one := join(ctx, protocol, group, of)
		Eventually("all is read", func() bool { return len(one.records()) == 10 })
		Check(one.CommitRecords(ctx, one.records()[6]))
		one.leave()
		committed := Must(admin.FetchOffsets(ctx, group))
		Expect("committed", int64(7), committed[of][0].At)
		_, known := committed.Lookup(of, 1)
		Expect("the other has none", false, known)
		two := join(ctx, protocol, group, of)
		defer two.leave()
		Eventually("the rest is read", func() bool { return len(two.records()) == 3 })
		Expect("first", int64(7), two.records()[0].Offset)
	})
	States(say("a second member gets half of the partitions, and they are given back when it leaves"), func(ctx context.Context) {
		of, group := topic(ctx, "shared", 4, nil), Name("franz-go", "group")
		one := join(ctx, protocol, group, of)
		defer one.leave()
		one.until(4)
		two := join(ctx, protocol, group, of)
		one.until(2)
		two.until(2)
		for p := range int32(4) {
			send(ctx, numbered(of, p, 5))
		}
		Eventually("all is read", func() bool { return len(one.records())+len(two.records()) >= 20 })
		seen := map[string]bool{}
		for _, record := range append(one.records(), two.records()...) {
			seen[fmt.Sprint(record.Partition, ":", record.Offset)] = true
		}
		Expect("everything is read once", 20, len(seen))
		two.leave()
		one.until(4)
	})
	States(say("a regular expression of names finds topics that come later"), func(ctx context.Context) {
		base, group := Name("franz-go", "pattern"), Name("franz-go", "group")
		create := func(name string) { Must(admin.CreateTopic(ctx, 1, 1, nil, name)) }
		create(base + "a")
		one := join(ctx, protocol, group, "^"+base+".*$", kgo.ConsumeRegex())
		defer one.leave()
		one.until(1)
		create(base + "b")
		one.until(2)
	})
	States(say("it is listed by its state and type"), func(ctx context.Context) {
		of, group := topic(ctx, "list", 1, nil), Name("franz-go", "group")
		one := join(ctx, protocol, group, of)
		one.until(1)
		for state, listed := range map[string]bool{"Stable": true, "Empty": false} {
			for _, kind := range []string{"classic", "consumer"} {
				Eventually(fmt.Sprint("listed among ", state, " ", kind, " groups: ", listed && kind == protocol), func() bool {
					_, found := Must(admin.ListGroupsByType(ctx, []string{kind}, state))[group]
					return found == (listed && kind == protocol)
				})
			}
		}
		one.leave()
		Eventually("empty", func() bool { return Must(admin.ListGroups(ctx))[group].State == "Empty" })
	})
	States(say("offsets are altered and deleted without members, and a group is deleted then; while it has members: NON_EMPTY_GROUP"), func(ctx context.Context) {
		of, group := topic(ctx, "alter", 2, nil), Name("franz-go", "group")
		one := join(ctx, protocol, group, of)
		one.until(2)
		_, err := admin.DeleteGroup(ctx, group)
		Refused("NON_EMPTY_GROUP", err)
		var set kadm.TopicsSet
		set.Add(of, 1)
		Refused("GROUP_SUBSCRIBED_TO_TOPIC", Must(admin.DeleteOffsets(ctx, group, set))[of][1])
		one.leave()
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: of, Partition: 0, At: 3, LeaderEpoch: -1, Metadata: "schön ✓"})
		offsets.Add(kadm.Offset{Topic: of, Partition: 1, At: 4, LeaderEpoch: -1})
		Eventually("altered, once the member is gone", func() bool { return admin.CommitAllOffsets(ctx, group, offsets) == nil })
		Expect("metadata", "3 schön ✓", fmt.Sprint(Must(admin.FetchOffsets(ctx, group))[of][0].At, " ", Must(admin.FetchOffsets(ctx, group))[of][0].Metadata))
		Check(Must(admin.DeleteOffsets(ctx, group, set))[of][1])
		Expect("left", 1, len(Must(admin.FetchOffsets(ctx, group))[of]))
		Must(admin.DeleteGroup(ctx, group))
		_, err = admin.DeleteGroup(ctx, group)
		Refused("GROUP_ID_NOT_FOUND", err)
	})
	if protocol == "consumer" {
		States(say("describe tells the state, the epochs, the assignor, the members"), func(ctx context.Context) {
			of, group := topic(ctx, "describe", 3, nil), Name("franz-go", "group")
			one := join(ctx, protocol, group, of, kgo.ClientID("described"))
			defer one.leave()
			one.until(3)
			Eventually("the assignment is reconciled", func() bool {
				told := Must(admin.DescribeConsumerGroups(ctx, group))[group]
				Check(told.Err)
				return told.State == "Stable" && len(told.Members) == 1 && len(told.Members[0].Assignment[of]) == 3
			})
			told := Must(admin.DescribeConsumerGroups(ctx, group))[group]
			Expect("group", "uniform true", fmt.Sprint(told.AssignorName, " ", told.Epoch == told.AssignmentEpoch))
			Expect("member", fmt.Sprint("described /127.0.0.1 ", told.Epoch, [1]string{of}), fmt.Sprint(told.Members[0].ClientID, " ", told.Members[0].ClientHost, " ", told.Members[0].MemberEpoch, told.Members[0].SubscribedTopics))
		})
	}
}

// What only the classic protocol has.
func classic() {
	States("groups, classic: a static member that comes back has what it had", func(ctx context.Context) {
		of, group := topic(ctx, "static", 4, nil), Name("franz-go", "group")
		one := join(ctx, "classic", group, of, kgo.InstanceID("one"))
		two := join(ctx, "classic", group, of, kgo.InstanceID("two"))
		defer func() { two.leave() }()
		defer func() { one.leave() }()
		Eventually("each owns two", func() bool { return one.owns() == 2 && two.owns() == 2 })
		had := fmt.Sprint(two.owned)
		two.leave()
		two = join(ctx, "classic", group, of, kgo.InstanceID("two"))
		two.until(2)
		Expect("what it owns", had, fmt.Sprint(two.owned))
		Expect("what the other owns", 2, one.owns())
	})
	States("groups, classic: the lag is what is not committed yet", func(ctx context.Context) {
		of, group := topic(ctx, "lag", 1, nil), Name("franz-go", "group")
		send(ctx, numbered(of, 0, 10))
		one := join(ctx, "classic", group, of)
		defer one.leave()
		Eventually("all is read", func() bool { return len(one.records()) == 10 })
		Check(one.CommitRecords(ctx, one.records()[3]))
		lags := Must(admin.Lag(ctx, group))[group]
		Check(lags.Error())
		Expect("state and lag", "Stable 6", fmt.Sprint(lags.State, " ", lags.Lag[of][0].Lag))
	})
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer()} {
		States("groups, classic: "+name+" shares out all partitions of two topics among three members", func(ctx context.Context) {
			one, two, group := topic(ctx, "assignor", 3, nil), topic(ctx, "assignor", 3, nil), Name("franz-go", "group")
			members := []*member{}
			for range 3 {
				m := join(ctx, "classic", group, one, kgo.ConsumeTopics(one, two), kgo.Balancers(balancer))
				defer m.leave()
				members = append(members, m)
			}
			Eventually("each owns two", func() bool { return members[0].owns() == 2 && members[1].owns() == 2 && members[2].owns() == 2 })
			told := Must(admin.DescribeGroups(ctx, group))[group]
			Expect("state, assignor, members", "Stable "+name+" 3", fmt.Sprint(told.State, " ", told.Protocol, " ", len(told.Members)))
		})
	}
	States("groups, classic: a static member is removed by its instance", func(ctx context.Context) {
		of, group := topic(ctx, "remove", 1, nil), Name("franz-go", "group")
		one := join(ctx, "classic", group, of, kgo.InstanceID("one"))
		one.until(1)
		one.leave()
		Expect("members", 1, len(Must(admin.DescribeGroups(ctx, group))[group].Members))
		left := Must(admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("one")))
		Check(left.Error())
		Expect("state", "Empty", Must(admin.DescribeGroups(ctx, group))[group].State)
	})
	States("groups, classic: what nobody knows is Dead", func(ctx context.Context) {
		told := Must(admin.DescribeGroups(ctx, Name("franz-go", "nobody")))
		for _, group := range told {
			Expect("state", "Dead", group.State)
		}
	})
}
