package settings

import (
	"reflect"
	"strings"
	"testing"
)

const theirs = "arn:aws:kafka:eu-central-1:123456789012:cluster/theirs/0f1e2d3c-aaaa-bbbb-cccc-0123456789ab-7"

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		context map[string]any
		want    Settings
	}{
		{"nothing is enough", nil, Settings{Name: "footfall", Size: "small"}},
		{"CDK's own keys are passed over", map[string]any{
			"@aws-cdk/core:newStyleStackSynthesis": true, "aws:cdk:enable-path-metadata": true, "cli-telemetry": false,
			"aws-cdk:enableDiffNoFail": true, "availability-zones:account=1:region=x": []any{"a", 1.0}, "size": "dev",
		}, Settings{Name: "footfall", Size: "dev"}},
		{"an existing cluster, lists as text and as JSON", map[string]any{
			"name": "shop-2", "size": " large ", "alarmEmail": "ops@example.com", "slackWorkspace": "T0123ABCD", "slackChannel": "C0123ABCD",
			"clusterArn": theirs, "clusterVpc": "vpc-0a", "clusterSubnets": "subnet-0a, subnet-0b", "clusterSecurityGroup": "sg-0a",
			"clusterRouteTables": []any{"rtb-0a", "rtb-0b"},
		}, Settings{
			Name: "shop-2", Size: "large", AlarmEmail: "ops@example.com", SlackWorkspace: "T0123ABCD", SlackChannel: "C0123ABCD",
			ClusterARN: theirs, ClusterVPC: "vpc-0a", ClusterSubnets: []string{"subnet-0a", "subnet-0b"}, ClusterSecurityGroup: "sg-0a",
			ClusterRouteTables: []string{"rtb-0a", "rtb-0b"},
		}},
		{"zones", map[string]any{"zones": "us-east-1a, us-east-1b,us-east-1f"}, Settings{
			Name: "footfall", Size: "small", Zones: []string{"us-east-1a", "us-east-1b", "us-east-1f"},
		}},
		{"numbers and truth, as text and as JSON", map[string]any{"postRate": " 300", "postBurst": 900.0, "quietAllowed": true}, Settings{
			Name: "footfall", Size: "small", PostRate: 300, PostBurst: 900, QuietAllowed: true,
		}},
		{"stages that are released at once", map[string]any{"atOnce": "detect, count"}, Settings{
			Name: "footfall", Size: "small", AtOnce: []string{"detect", "count"},
		}},
		{"null and nothing are not given", map[string]any{"name": nil, "size": "", "clusterSubnets": "", "postRate": nil, "quietAllowed": ""}, Settings{Name: "footfall", Size: "small"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.context)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseReportsEveryMistake(t *testing.T) {
	for _, tt := range []struct {
		name    string
		context map[string]any
		want    []string
	}{
		{"mistyped and misshapen", map[string]any{
			"sice": "dev", "name": map[string]any{}, "clusterSubnets": []any{1.0}, "size": 3.0, "alarmEmail": "ops", "slackChannel": "#alarms",
		}, []string{
			"clusterSubnets: element 0 is a float64, not a string",
			"name: is a map[string]interface {}, not a string",
			"sice: no such setting; the settings are name, size, alarmEmail, slackWorkspace, slackChannel, quietAllowed, postRate, postBurst, atOnce, zones, clusterArn, clusterVpc, " +
				"clusterSubnets, clusterSecurityGroup, clusterRouteTables, clusterSecretsGroup",
			`size: "3" is not one of dev, small, large`,
			`alarmEmail: "ops" is not an address such as ops@example.com`,
			"slackWorkspace and slackChannel: give both or neither",
			`slackChannel: "#alarms" is not the id of a channel, such as C0123ABCD`,
		}},
		{"a cluster that is not provisioned, and half of what goes with it", map[string]any{
			"size": "dev", "name": "A", "clusterArn": theirs[:len(theirs)-1] + "s1", "clusterVpc": "vpc", "clusterSubnets": "subnet-0a,x", "clusterRouteTables": "y",
		}, []string{
			`name: "A" is not lower-case letters, digits and -, a letter first, 2 to 20 characters`,
			`clusterSubnets: "x" is not the id of a subnet, such as subnet-0123456789abcdef0`,
			`clusterRouteTables: "y" is not the id of a route table, such as rtb-0123456789abcdef0`,
			`clusterArn: "` + theirs[:len(theirs)-1] + `s1" is not the ARN of a provisioned MSK cluster`,
			`clusterVpc: "vpc" is not the id of the cluster's VPC, such as vpc-0123456789abcdef0`,
			`clusterSecurityGroup: "" is not the id of the cluster's group, such as sg-0123456789abcdef0`,
			"clusterArn: cannot be combined with size dev, whose pollers on demand need endpoints in a new VPC",
		}},
		{"one subnet, and no cluster", map[string]any{"clusterSubnets": "subnet-0a", "slackWorkspace": "x"}, []string{
			"slackWorkspace and slackChannel: give both or neither",
			`slackWorkspace: "x" is not the id of a workspace, such as T0123ABCD`,
			"clusterArn: not set, but other settings of an existing cluster are",
		}},
		{"zones by their ids, too few, and beside a cluster", map[string]any{
			"zones": "use1-az1,us-east-1a,us-east-1a", "clusterArn": theirs, "clusterVpc": "vpc-0a", "clusterSubnets": "subnet-0a,subnet-0b",
			"clusterSecurityGroup": "sg-0a",
		}, []string{
			`zones: "use1-az1" is not the name of a zone, such as eu-central-1a`,
			"zones: 2 different zones given, the brokers need 3",
			"zones: cannot be combined with clusterArn, whose subnets have their zones",
		}},
		{"numbers that are none, or more than there is", map[string]any{
			"postRate": 10_001.0, "postBurst": "many", "quietAllowed": "at night",
		}, []string{
			`postBurst: "many" is not a whole number above 0`, `quietAllowed: "at night" is neither true nor false`,
			"postRate: 10001 is over the limit of an account, 10000 a second",
		}},
		{"no posts at all, and half a post", map[string]any{"postRate": 0.0, "postBurst": 0.5}, []string{
			`postBurst: "0.5" is not a whole number above 0`, `postRate: "0" is not a whole number above 0`,
		}},
		{"a stage that there is not", map[string]any{"atOnce": "detect,all"}, []string{`atOnce: there is no stage "all"`}},
		{"an endpoint without its cluster, and one that is none", map[string]any{"clusterSecretsGroup": "vpce-0a"}, []string{
			"clusterArn: not set, but other settings of an existing cluster are",
		}},
		{"an endpoint in place of its group", map[string]any{
			"clusterArn": theirs, "clusterVpc": "vpc-0a", "clusterSubnets": "subnet-0a,subnet-0b", "clusterSecurityGroup": "sg-0a",
			"clusterSecretsGroup": "vpce-0a", "postBurst": "5001",
		}, []string{
			"postBurst: 5001 is over the limit of an account, 5000 at once",
			`clusterSecretsGroup: "vpce-0a" is not the id of the group of its endpoint, such as sg-0123456789abcdef0`,
		}},
		{"a cluster in one zone", map[string]any{
			"clusterArn": theirs, "clusterVpc": "vpc-0a", "clusterSubnets": "subnet-0a", "clusterSecurityGroup": "sg-0a",
		}, []string{"clusterSubnets: 1 given, a provisioned cluster has at least 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.context)
			if err == nil || !reflect.DeepEqual(got, Settings{}) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if want := strings.Join(tt.want, "\n"); err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
		})
	}
}

// Sizes are consistent: the values of each kind fit each other.
func TestSizes(t *testing.T) {
	last := 0
	for _, s := range Sizes() {
		if found, ok := SizeByName(s.Name); !ok || !reflect.DeepEqual(found, s) {
			t.Errorf("%s is found as %+v", s.Name, found)
		}
		if s.SightingsPerSecond <= last {
			t.Errorf("%s is not made for more than the size before it", s.Name)
		}
		last = s.SightingsPerSecond
		if (s.Cluster == Express) != (s.BrokerType != "") || s.Brokers%3 != 0 || (s.Cluster == Express) != (s.Brokers > 0) {
			t.Errorf("%s: %d brokers of type %q", s.Name, s.Brokers, s.BrokerType)
		}
		if p := s.Posts; p.Rate*SightingsPerPost < 4*s.SightingsPerSecond || p.Burst < p.Rate || p.Rate > accountRate || p.Burst > accountBurst {
			t.Errorf("%s: posts %+v for %d sightings a second", s.Name, p, s.SightingsPerSecond)
		}
		if s.Pollers.Sightings > s.Pollers.Max || (s.Cluster == Express) != (s.Pollers.Max > 0) {
			t.Errorf("%s: pollers %+v on %s", s.Name, s.Pollers, s.Cluster)
		}
	}
}

func TestPostsOf(t *testing.T) {
	small, _ := SizeByName("small")
	for _, tt := range []struct {
		name        string
		settings    Settings
		want        Posts
		concurrency int
	}{
		{"the size's own", Settings{}, Posts{200, 1000}, 20},
		{"one of them set", Settings{PostRate: 350}, Posts{350, 1000}, 35},
		{"both set, very low", Settings{PostRate: 5, PostBurst: 10}, Posts{5, 10}, 1},
	} {
		if got := tt.settings.PostsOf(small); got != tt.want || got.Concurrency() != tt.concurrency {
			t.Errorf("%s: %+v, %d at once", tt.name, got, got.Concurrency())
		}
	}
}

func TestPollersOf(t *testing.T) {
	p := Pollers{Sightings: 8, Max: 32}
	for _, tt := range []struct {
		name       string
		sightings  bool
		partitions int32
		from, to   int
	}{
		{"sightings have their own number", true, 64, 8, 32},
		{"others have one", false, 64, 1, 32},
		{"never more than partitions", false, 16, 1, 16},
		{"nor at least", true, 4, 4, 4},
	} {
		if from, to := PollersOf(p, tt.sightings, tt.partitions); from != tt.from || to != tt.to {
			t.Errorf("%s: %d to %d", tt.name, from, to)
		}
	}
}
