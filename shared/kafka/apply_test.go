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

// retainedTopic returns a topic with a retention of two days.
func retainedTopic(name string, partitions int32) events.Topic {
	return events.Topic{Name: name, Partitions: partitions, Retention: 48 * time.Hour, MaxMessage: 1 << 20}
}

// compactedTopic returns a compacted topic of four partitions.
func compactedTopic(name string) events.Topic {
	return events.Topic{Name: name, Partitions: 4, Compacted: true, MaxMessage: 1 << 20}
}

// retainedConfigs returns the configs of a retainedTopic, with changes as pairs of
// name and value.
func retainedConfigs(change ...string) map[string]string {
	configs := TopicConfigs(retainedTopic("", 1))
	for i := 0; i < len(change); i += 2 {
		configs[change[i]] = change[i+1]
	}
	return configs
}

// mustPlan returns the plan of PlanTopics, which must not fail.
func mustPlan(t *testing.T, cl *kgo.Client, w DesiredTopics) *TopicPlan {
	t.Helper()
	p, err := PlanTopics(within(t, 30*time.Second), cl, w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// planLines returns the changes of a plan, one line each.
func planLines(p *TopicPlan) []string {
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
	if got := planLines(p); !slices.Equal(got, want) {
		t.Errorf("planned\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Each case has a topic as it is on the cluster, the desired topic, the expected
// plan, and the plan that is left after the first one was applied.
func TestPlanAndApply(t *testing.T) {
	for _, c := range []struct {
		name    string
		have    int32 // partitions of the topic; 0 if it does not exist
		configs map[string]string
		want    events.Topic
		all     int32 // DesiredTopics.Partitions
		grow    bool
		plan    []string
		after   []string
	}{
		{name: "a missing topic is created", want: retainedTopic("t", 4), plan: []string{"t|||4 partitions"}},
		{name: "a missing topic is created with the number of partitions of all topics", want: retainedTopic("t", 4), all: 2, plan: []string{"t|||2 partitions"}},
		{name: "a topic that matches is not changed", have: 4, configs: retainedConfigs(), want: retainedTopic("t", 4)},
		{name: "a config with another value is set", have: 4, configs: retainedConfigs("retention.ms", "1000", "max.message.bytes", "5"), want: retainedTopic("t", 4),
			plan: []string{"t|max.message.bytes|5|1048576", "t|retention.ms|1000|172800000"}},
		{name: "a config outside TopicConfigs is ignored",
			have: 4, configs: retainedConfigs("segment.bytes", "2000000"), want: retainedTopic("t", 4)},
		// Added partitions move keys: detect would see the sightings of a device in
		// two partitions at once.
		{name: "partitions are not added by default", have: 2, configs: retainedConfigs(), want: retainedTopic("t", 4),
			plan:  []string{"t|partitions|2|4|left: " + skipAdding},
			after: []string{"t|partitions|2|4|left: " + skipAdding}},
		{name: "partitions are added if the caller allows it", have: 2, configs: retainedConfigs(), want: retainedTopic("t", 4), grow: true,
			plan: []string{"t|partitions|2|4"}},
		{name: "partitions are never removed", have: 8, configs: retainedConfigs(), want: retainedTopic("t", 4), grow: true,
			plan:  []string{"t|partitions|8|4|left: " + skipRemove},
			after: []string{"t|partitions|8|4|left: " + skipRemove}},
		{name: "the cleanup policy is not changed", have: 4, want: compactedTopic("t"),
			configs: map[string]string{"cleanup.policy": "delete", "max.message.bytes": "1048576", "message.timestamp.before.max.ms": "7"},
			plan: []string{"t|cleanup.policy|delete|compact|left: " + skipCleanup,
				"t|message.timestamp.before.max.ms|7|9223372036854775807"},
			after: []string{"t|cleanup.policy|delete|compact|left: " + skipCleanup}},
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
			p := mustPlan(t, cl, w)
			wantPlan(t, p, c.plan...)
			if after := cluster.TopicInfo("t"); !reflect.DeepEqual(before, after) {
				t.Errorf("PlanTopics changed the topic from %+v to %+v", before, after)
			}
			if err := p.Apply(within(t, 30*time.Second)); err != nil {
				t.Fatal(err)
			}
			wantPlan(t, mustPlan(t, cl, w), c.after...)
			for name, value := range c.configs {
				if _, ours := TopicConfigs(c.want)[name]; !ours {
					if got := cluster.TopicInfo("t").Configs[name]; got == nil || *got != value {
						t.Errorf("config %s is %v, want %s as before", name, got, value)
					}
				}
			}
		})
	}
}

// Apply creates all topics of the pipeline. A second run finds nothing to change,
// and a foreign topic stays.
func TestApplyCreatesAllTopicsAndKeepsForeignOnes(t *testing.T) {
	c := cluster(t, "foreign")
	cl := client(t, c.ListenAddrs())
	w := DesiredTopics{Topics: events.Topics()}
	if err := mustPlan(t, cl, w).Apply(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if p := mustPlan(t, cl, w); len(p.Changes) > 0 {
		t.Errorf("a second plan has the changes\n%s", strings.Join(planLines(p), "\n"))
	}
	if c.TopicInfo("foreign") == nil {
		t.Error("the foreign topic is gone")
	}
	for _, want := range events.Topics() {
		if n := len(c.PartitionInfos(want.Name)); n != int(want.Partitions) {
			t.Errorf("%s has %d partitions, want %d", want.Name, n, want.Partitions)
		}
	}
}

// After a failure Apply continues with the other topics, and its error names the
// topics that failed and no others.
func TestApplyContinuesAfterAFailure(t *testing.T) {
	c := cluster(t)
	for name, partitions := range map[string]int32{"bad-config": 4, "bad-growth": 2, "good": 2} {
		if err := c.CreateTopic(name, partitions, retainedConfigs("retention.ms", "1000")); err != nil {
			t.Fatal(err)
		}
	}
	cl := client(t, c.ListenAddrs())
	w := DesiredTopics{AddPartitions: true, Topics: []events.Topic{
		retainedTopic("bad-config", 4), retainedTopic("bad-growth", 4), retainedTopic("bad-new", 4), retainedTopic("good", 4), retainedTopic("good-new", 4),
	}}
	c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.IncrementalAlterConfigs}, Resource: "bad-config", Err: kerr.InvalidConfig, Count: -1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.CreatePartitions}, Topic: "bad-growth", Err: kerr.PolicyViolation, Count: -1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "bad-new", Err: kerr.PolicyViolation, Count: -1},
	)
	err := mustPlan(t, cl, w).Apply(within(t, 30*time.Second))
	if err == nil {
		t.Fatal("Apply succeeded, want an error")
	}
	for _, part := range []string{
		"alter the configs of topic bad-config: INVALID_CONFIG",
		"add partitions to topic bad-growth: POLICY_VIOLATION",
		"create topic bad-new: POLICY_VIOLATION",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "good") {
		t.Errorf("the error names a topic that did not fail: %v", err)
	}
	wantPlan(t, mustPlan(t, cl, w), "bad-config|retention.ms|1000|172800000", "bad-growth|partitions|2|4", "bad-new|||4 partitions")
}

// If topics or configs cannot be looked up, PlanTopics fails instead of returning a
// plan that is too short.
func TestPlanFailsIfALookupFails(t *testing.T) {
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
			_, err := PlanTopics(within(t, 30*time.Second), client(t, c.ListenAddrs()), DesiredTopics{Topics: []events.Topic{retainedTopic("t", 1)}})
			if err == nil || !strings.Contains(err.Error(), f.want) {
				t.Errorf("error %v, want %q", err, f.want)
			}
		})
	}
}

// rejectLikeServerless makes a cluster reject the configs that MSK Serverless
// rejects.
func rejectLikeServerless(c *kfake.Cluster) {
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

// A cluster whose brokers have the names of MSK Serverless gets only the configs
// that MSK Serverless accepts. With other names the same cluster gets all configs,
// and rejects some.
func TestServerlessGetsOnlyAcceptedConfigs(t *testing.T) {
	for host, serverless := range map[string]bool{
		"boot-x1y2.c2.kafka-serverless.eu-central-1.amazonaws.com":    true,
		"boot-x1y2.c2.kafka-serverless.cn-north-1.amazonaws.com.cn":   true,
		"b-1.footfall.x1y2.c2.kafka.eu-central-1.amazonaws.com":       false,
		"boot-x1y2.kafka-serverless.example.org":                      false,
		"kafka-serverless.eu-central-1.amazonaws.com.foreign.example": false,
	} {
		t.Run(host, func(t *testing.T) {
			c := cluster(t)
			for _, old := range []struct {
				name    string
				configs map[string]string
			}{{events.Sightings, retainedConfigs("retention.ms", "1000")}, {events.WalkInCounts, nil}} {
				if err := c.CreateTopic(old.name, 2, old.configs); err != nil {
					t.Fatal(err)
				}
			}
			rejectLikeServerless(c)
			address := c.ListenAddrs()[0]
			dialled := func(ctx context.Context, network, addr string) (net.Conn, error) {
				if strings.HasPrefix(addr, host) {
					addr = address
				}
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			cl := client(t, []string{host + ":9098"}, kgo.Dialer(dialled))
			p := mustPlan(t, cl, DesiredTopics{Topics: events.Topics(), Partitions: 2})
			if err := p.Apply(within(t, 30*time.Second)); (err == nil) != serverless {
				t.Errorf("Apply: error %v, want success: %t", err, serverless)
			}
			if serverless {
				wantPlan(t, mustPlan(t, cl, DesiredTopics{Topics: events.Topics(), Partitions: 2}),
					events.WalkInCounts+"|cleanup.policy|delete|compact|left: "+skipCleanup)
			}
		})
	}
}

// If this test fails, a config was added: look up in the guide that the comment of
// serverlessConfigs names whether MSK Serverless accepts the config, and if not,
// which effect its lack has.
func TestServerlessLacksOneConfig(t *testing.T) {
	for _, topic := range events.Topics() {
		for name := range TopicConfigs(topic) {
			if !slices.Contains(serverlessConfigs, name) && name != "message.timestamp.before.max.ms" {
				t.Errorf("%s has config %s: look up whether MSK Serverless accepts it", topic.Name, name)
			}
		}
		if topic.MaxMessage > 8<<20 {
			t.Errorf("%s: max.message.bytes %d, MSK Serverless accepts at most %d", topic.Name, topic.MaxMessage, 8<<20)
		}
	}
}
