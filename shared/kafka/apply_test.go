package kafka

import (
	"context"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
)

// kept is a topic of two days, compacted is one that is compacted.
func kept(name string, partitions int32) events.Topic {
	return events.Topic{Name: name, Partitions: partitions, Retention: 48 * time.Hour, MaxMessage: 1 << 20}
}

func compacted(name string) events.Topic {
	return events.Topic{Name: name, Partitions: 4, Compacted: true, MaxMessage: 1 << 20}
}

// asKept are the configs that kept has on a cluster.
func asKept(change ...string) map[string]string {
	configs := TopicConfigs(kept("", 1))
	for i := 0; i < len(change); i += 2 {
		configs[change[i]] = change[i+1]
	}
	return configs
}

func planned(t *testing.T, cl *kgo.Client, w DesiredTopics) *TopicPlan {
	t.Helper()
	p, err := PlanTopics(within(t, 30*time.Second), cl, w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shown is changes as a person would see them.
func shown(p *TopicPlan) []string {
	var all []string
	for _, c := range p.Changes {
		line := strings.Join([]string{c.Topic, c.Setting, c.Have, c.Want}, "|")
		if c.SkipReason != "" {
			line += "|left: " + c.SkipReason
		}
		all = append(all, line)
	}
	return all
}

func wantPlan(t *testing.T, p *TopicPlan, want ...string) {
	t.Helper()
	if got := shown(p); !slices.Equal(got, want) {
		t.Errorf("planned\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What stands on the cluster, what is wanted, what that takes, and what is left
// to be said once it is applied.
func TestPlanAndApply(t *testing.T) {
	for _, c := range []struct {
		name    string
		have    int32 // partitions of the topic; 0 where it does not exist
		configs map[string]string
		want    events.Topic
		all     int32 // Wanted.Partitions
		grow    bool
		plan    []string
		after   []string
	}{
		{name: "a topic that is missing is created", want: kept("t", 4), plan: []string{"t|||4 partitions"}},
		{name: "with as many partitions as are wanted for all", want: kept("t", 4), all: 2, plan: []string{"t|||2 partitions"}},
		{name: "one that is as it should be is left", have: 4, configs: asKept(), want: kept("t", 4)},
		{name: "a config that differs is set", have: 4, configs: asKept("retention.ms", "1000", "max.message.bytes", "5"), want: kept("t", 4),
			plan: []string{"t|max.message.bytes|5|1048576", "t|retention.ms|1000|172800000"}},
		{name: "a config that Footfall says nothing of is nobody's business",
			have: 4, configs: asKept("segment.bytes", "2000000"), want: kept("t", 4)},
		// Adding partitions moves keys: detect would see the sightings of a device
		// in two partitions at once.
		{name: "partitions are not added unasked", have: 2, configs: asKept(), want: kept("t", 4),
			plan:  []string{"t|partitions|2|4|left: " + leftAdding},
			after: []string{"t|partitions|2|4|left: " + leftAdding}},
		{name: "but when asked for", have: 2, configs: asKept(), want: kept("t", 4), grow: true,
			plan: []string{"t|partitions|2|4"}},
		{name: "partitions cannot be removed, asked for or not", have: 8, configs: asKept(), want: kept("t", 4), grow: true,
			plan:  []string{"t|partitions|8|4|left: " + leftRemove},
			after: []string{"t|partitions|8|4|left: " + leftRemove}},
		{name: "a cleanup policy is left, for the other one deletes", have: 4, want: compacted("t"),
			configs: map[string]string{"cleanup.policy": "delete", "max.message.bytes": "1048576", "message.timestamp.before.max.ms": "7"},
			plan: []string{"t|cleanup.policy|delete|compact|left: " + leftCleanup,
				"t|message.timestamp.before.max.ms|7|9223372036854775807"},
			after: []string{"t|cleanup.policy|delete|compact|left: " + leftCleanup}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := cluster(t)
			if c.have > 0 {
				if err := cluster.CreateTopic("t", c.have, c.configs); err != nil {
					t.Fatal(err)
				}
			}
			cl := client(t, cluster.ListenAddrs())
			w := DesiredTopics{Topics: []events.Topic{c.want}, Partitions: c.all, AddPartitions: c.grow}
			before := cluster.TopicInfo("t")
			p := planned(t, cl, w)
			wantPlan(t, p, c.plan...)
			if after := cluster.TopicInfo("t"); !reflect.DeepEqual(before, after) {
				t.Errorf("planning changed %+v to %+v", before, after)
			}
			if err := p.Apply(within(t, 30*time.Second)); err != nil {
				t.Fatal(err)
			}
			wantPlan(t, planned(t, cl, w), c.after...)
			for name, value := range c.configs {
				if _, ours := TopicConfigs(c.want)[name]; !ours {
					if got := cluster.TopicInfo("t").Configs[name]; got == nil || *got != value {
						t.Errorf("%s was %s and is %v", name, value, got)
					}
				}
			}
		})
	}
}

func TestApplyMakesEveryTopicOnceAndKeepsTheOthers(t *testing.T) {
	c := cluster(t, "somebody-elses")
	cl := client(t, c.ListenAddrs())
	w := DesiredTopics{Topics: events.Topics()}
	if err := planned(t, cl, w).Apply(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if p := planned(t, cl, w); len(p.Changes) > 0 {
		t.Errorf("a second run would change\n%s", strings.Join(shown(p), "\n"))
	}
	if c.TopicInfo("somebody-elses") == nil {
		t.Error("a topic of somebody else is gone")
	}
	for _, want := range events.Topics() {
		if n := len(c.PartitionInfos(want.Name)); n != int(want.Partitions) {
			t.Errorf("%s has %d partitions, want %d", want.Name, n, want.Partitions)
		}
	}
}

// One failure must not keep the other topics from being right.
func TestApplyGoesOnAndNamesWhatFailed(t *testing.T) {
	c := cluster(t)
	for name, partitions := range map[string]int32{"bad-config": 4, "bad-growth": 2, "good": 2} {
		if err := c.CreateTopic(name, partitions, asKept("retention.ms", "1000")); err != nil {
			t.Fatal(err)
		}
	}
	cl := client(t, c.ListenAddrs())
	w := DesiredTopics{AddPartitions: true, Topics: []events.Topic{
		kept("bad-config", 4), kept("bad-growth", 4), kept("bad-new", 4), kept("good", 4), kept("good-new", 4),
	}}
	c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.IncrementalAlterConfigs}, Resource: "bad-config", Err: kerr.InvalidConfig, Count: -1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.CreatePartitions}, Topic: "bad-growth", Err: kerr.PolicyViolation, Count: -1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "bad-new", Err: kerr.PolicyViolation, Count: -1},
	)
	err := planned(t, cl, w).Apply(within(t, 30*time.Second))
	if err == nil {
		t.Fatal("nothing failed")
	}
	for _, part := range []string{
		"alter the configs of topic bad-config: INVALID_CONFIG",
		"add partitions to topic bad-growth: POLICY_VIOLATION",
		"create topic bad-new: POLICY_VIOLATION",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no word of %q in:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "good") {
		t.Errorf("a good topic is blamed: %v", err)
	}
	wantPlan(t, planned(t, cl, w), "bad-config|retention.ms|1000|172800000", "bad-growth|partitions|2|4", "bad-new|||4 partitions")
}

func TestPlanFailsWithWhatIsNotKnown(t *testing.T) {
	for _, f := range []struct {
		name  string
		fault kfake.Fault
		want  string
	}{
		{"the topics", kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "t", Err: kerr.TopicAuthorizationFailed, Count: -1},
			"look up topics: topic t: TOPIC_AUTHORIZATION_FAILED"},
		{"their configs", kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: "t", Err: kerr.InvalidRequest, Count: -1},
			"look up the configs of topic t: INVALID_REQUEST"},
	} {
		t.Run(f.name, func(t *testing.T) {
			c := cluster(t, "t")
			c.Fault(f.fault)
			_, err := PlanTopics(within(t, 30*time.Second), client(t, c.ListenAddrs()), DesiredTopics{Topics: []events.Topic{kept("t", 1)}})
			if err == nil || !strings.Contains(err.Error(), f.want) {
				t.Errorf("error %v, want %q", err, f.want)
			}
		})
	}
}

// asServerless has a cluster refuse the configs that MSK Serverless refuses.
func asServerless(c *kfake.Cluster) {
	c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.InvalidConfig, Count: -1, When: func(r kmsg.Request) bool {
			for _, t := range r.(*kmsg.CreateTopicsRequest).Topics {
				for _, config := range t.Configs {
					if config.Name == "message.timestamp.before.max.ms" {
						return true
					}
				}
			}
			return false
		}},
		kfake.Fault{Keys: []kmsg.Key{kmsg.IncrementalAlterConfigs}, Err: kerr.InvalidConfig, Count: -1, When: func(r kmsg.Request) bool {
			for _, t := range r.(*kmsg.IncrementalAlterConfigsRequest).Resources {
				for _, config := range t.Configs {
					if config.Name != "max.message.bytes" && config.Name != "retention.ms" {
						return true
					}
				}
			}
			return false
		}})
}

// Known by the name of its brokers, MSK Serverless gets the configs that it
// takes and no other; the same cluster by another name refuses the rest.
func TestServerlessGetsNoConfigThatItRefuses(t *testing.T) {
	for host, serverless := range map[string]bool{
		"boot-x1y2.c2.kafka-serverless.eu-central-1.amazonaws.com":     true,
		"boot-x1y2.c2.kafka-serverless.cn-north-1.amazonaws.com.cn":    true,
		"b-1.footfall.x1y2.c2.kafka.eu-central-1.amazonaws.com":        false,
		"boot-x1y2.kafka-serverless.example.org":                       false,
		"kafka-serverless.eu-central-1.amazonaws.com.somebody.example": false,
	} {
		t.Run(host, func(t *testing.T) {
			c := cluster(t)
			for _, old := range []struct {
				name    string
				configs map[string]string
			}{{events.Sightings, asKept("retention.ms", "1000")}, {events.WalkInCounts, nil}} {
				if err := c.CreateTopic(old.name, 2, old.configs); err != nil {
					t.Fatal(err)
				}
			}
			asServerless(c)
			address := c.ListenAddrs()[0]
			dialled := func(ctx context.Context, network, addr string) (net.Conn, error) {
				if strings.HasPrefix(addr, host) {
					addr = address
				}
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			cl := client(t, []string{host + ":9098"}, kgo.Dialer(dialled))
			p := planned(t, cl, DesiredTopics{Topics: events.Topics(), Partitions: 2})
			if err := p.Apply(within(t, 30*time.Second)); (err == nil) != serverless {
				t.Errorf("applied with %v", err)
			}
			if serverless {
				wantPlan(t, planned(t, cl, DesiredTopics{Topics: events.Topics(), Partitions: 2}),
					events.WalkInCounts+"|cleanup.policy|delete|compact|left: "+leftCleanup)
			}
		})
	}
}

// If this fails, a config was added: see in the guide that serverlessConfigs
// names whether MSK Serverless accepts it, and what its lack means if not.
func TestServerlessLacksOneConfig(t *testing.T) {
	for _, topic := range events.Topics() {
		for name := range TopicConfigs(topic) {
			if !slices.Contains(serverlessConfigs, name) && name != "message.timestamp.before.max.ms" {
				t.Errorf("%s has %s, of which nobody has said that MSK Serverless takes it", topic.Name, name)
			}
		}
		if topic.MaxMessage > 8<<20 {
			t.Errorf("%s: max.message.bytes %d is more than MSK Serverless takes", topic.Name, topic.MaxMessage)
		}
	}
}
