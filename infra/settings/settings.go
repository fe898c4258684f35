// Package settings is the configuration of a deployment: the context of cdk.json, or
// of -c on the command line, as one checked struct. It does not depend on CDK, so
// that the cost command can use it too.
//
// Start with Settings, and Parse in parse.go. Sizes lists the sizes of a deployment.
package settings

import "cmp"

// Settings is the configuration of one deployment. Each field is one key of the
// context; all have a usable zero value. Parse sets defaults and checks all values.
type Settings struct {
	// Name is the prefix of the names of stacks, tables, functions and groups, so
	// that several deployments can share an account: lower-case letters, digits and
	// -, at most 20 characters. Default footfall.
	Name string `context:"name"`
	// Size is dev, small or large; see Sizes. Default small.
	Size string `context:"size"`
	// AlarmEmail is the mail address for alarms, or "" for no mail.
	AlarmEmail string `context:"alarmEmail"`
	// SlackWorkspace and SlackChannel are the ids of the channel to which Amazon Q
	// Developer in chat applications (AWS Chatbot) posts alarms; both or neither.
	SlackWorkspace string `context:"slackWorkspace"`
	SlackChannel   string `context:"slackChannel"`
	// QuietAllowed leaves out the alarm for 15 minutes without an accepted sighting:
	// if all shops close at night, silence is no fault.
	QuietAllowed bool `context:"quietAllowed"`
	// PostRate and PostBurst limit the posts of routers, of all businesses together,
	// see Posts; 0 for the limits of the size.
	PostRate  int `context:"postRate"`
	PostBurst int `context:"postBurst"`
	// AtOnce holds the stages whose new version takes over at once, separated by
	// commas: for a release that cannot run beside the older version.
	AtOnce []string `context:"atOnce"`
	// Zones holds the names of the three availability zones of a new network,
	// separated by commas; empty for the first three of the region. MSK refuses
	// subnets in the zone with the id use1-az3 (AWS CloudFormation template
	// reference, "AWS::MSK::Cluster BrokerNodeGroupInfo"), and the names of zones
	// differ between accounts.
	Zones []string `context:"zones"`
	// ClusterARN is an existing provisioned MSK cluster with IAM authentication,
	// used instead of a new cluster. The five fields below belong to it.
	ClusterARN string `context:"clusterArn"`
	// ClusterVPC is the id of the cluster's VPC.
	ClusterVPC string `context:"clusterVpc"`
	// ClusterSubnets are the ids of the cluster's subnets, separated by commas.
	ClusterSubnets []string `context:"clusterSubnets"`
	// ClusterSecurityGroup is the id of the cluster's security group. The group must
	// allow itself on port 9098, since event source mappings connect from it.
	ClusterSecurityGroup string `context:"clusterSecurityGroup"`
	// ClusterRouteTables are the ids of the route tables of those subnets, separated
	// by commas; each gets an endpoint for DynamoDB. Empty if the VPC reaches
	// DynamoDB already.
	ClusterRouteTables []string `context:"clusterRouteTables"`
	// ClusterSecretsGroup is the id of the security group of an existing endpoint
	// for Secrets Manager; a second endpoint with private names is refused by AWS.
	// If "", the stack creates an endpoint.
	ClusterSecretsGroup string `context:"clusterSecretsGroup"`
}

// ClusterKind is a kind of MSK cluster.
type ClusterKind string

// The kinds of cluster of the sizes.
const (
	Serverless ClusterKind = "serverless"
	Express    ClusterKind = "express"
)

// Size is the capacity of a deployment. It holds all values that cost money while
// the deployment is idle.
type Size struct {
	Name string
	// SightingsPerSecond is the sustained rate that the size is made for.
	SightingsPerSecond int
	Cluster            ClusterKind
	BrokerType         string // of an Express cluster
	Brokers            int    // of an Express cluster, a multiple of its three zones
	// Partitions replaces the number of partitions of every topic; 0 keeps the
	// number in package events.
	Partitions int32
	// Pollers configures the pollers of an event source mapping. The zero value
	// selects Lambda's pollers on demand, which have neither partial answers nor
	// retries nor a failure destination.
	Pollers Pollers
	// Posts limits the posts of routers.
	Posts Posts
	// ReserveConcurrency reserves invocations for each stage, as many as it reads
	// partitions; the quota of a new account is too small for that.
	ReserveConcurrency bool
	// LogDays is the retention of logs in days.
	LogDays int
}

// Posts is the number of posts that the HTTP API accepts before it answers 429. It
// limits the cost of a flood. An account has 10,000 a second and 5,000 at once in a
// region, for all of its APIs (API Gateway developer guide, "Quotas").
type Posts struct {
	Rate  int // a second
	Burst int // at once, after a pause
}

// SightingsPerPost is the assumed number of sightings in a post: a post a minute
// from a network that hears a hundred devices. Senders that post each event alone
// need a higher rate.
const SightingsPerPost = 100

// Concurrency returns the number of posts that are handled at once if each takes a
// tenth of a second.
func (p Posts) Concurrency() int { return max(p.Rate/10, 1) }

// PostsOf returns the limits of a size, unless the settings override them.
func (s Settings) PostsOf(size Size) Posts {
	return Posts{Rate: cmp.Or(s.PostRate, size.Posts.Rate), Burst: cmp.Or(s.PostBurst, size.Posts.Burst)}
}

// SecretsZones returns the number of zones of the endpoint for Secrets Manager.
func (s Size) SecretsZones() int {
	if s.Cluster == Serverless {
		return 1
	}
	return 3
}

// Pollers are provisioned pollers. One poller moves up to 5 MB/s (AWS Lambda
// developer guide, "Provisioned mode").
type Pollers struct {
	// Sightings is the minimum number of pollers of the topic of sightings, by far
	// the largest topic; every other topic has at least one.
	Sightings int
	// Max is the maximum number of pollers of a topic that lags; never more than its
	// partitions.
	Max int
}

// Sizes returns all sizes, the smallest first. Each accepts four times the posts
// that carry its sightings, since routers do not post at an even rate.
func Sizes() []Size {
	return []Size{
		{
			Name: "dev", SightingsPerSecond: 100, Cluster: Serverless, Partitions: 2,
			Posts: Posts{Rate: 20, Burst: 100}, LogDays: 7,
		},
		{
			Name: "small", SightingsPerSecond: 5_000, Cluster: Express, BrokerType: "express.m7g.large", Brokers: 3,
			Pollers: Pollers{Sightings: 1, Max: 8}, Posts: Posts{Rate: 200, Burst: 1_000}, ReserveConcurrency: true, LogDays: 30,
		},
		{
			Name: "large", SightingsPerSecond: 100_000, Cluster: Express, BrokerType: "express.m7g.large", Brokers: 3,
			Pollers: Pollers{Sightings: 8, Max: 32}, Posts: Posts{Rate: 4_000, Burst: 5_000}, ReserveConcurrency: true, LogDays: 90,
		},
	}
}

// PollersOf returns the minimum and maximum number of pollers of a topic with the
// given number of partitions; sightings reports whether it is the topic of
// sightings.
func PollersOf(p Pollers, sightings bool, partitions int32) (from, to int) {
	from = 1
	if sightings {
		from = p.Sightings
	}
	to = min(p.Max, int(partitions))
	return min(from, to), to
}
