// Package settings is what a deployment can be told: the context of cdk.json,
// or of -c on the command line, as one checked struct. It knows nothing of CDK,
// so that the cost program can use it too.
package settings

import "cmp"

// Settings is one deployment. Each field is one key of the context; all have a
// usable zero value. Parse fills in what is not given and checks the rest.
type Settings struct {
	// Name is put before the names of stacks, tables, functions and groups, so
	// that several deployments can share an account: lower-case letters, digits
	// and -, at most 20 characters. Default footfall.
	Name string `context:"name"`
	// Size is dev, small or large; see Sizes. Default small.
	Size string `context:"size"`
	// AlarmEmail gets the alarms by mail, "" for nobody.
	AlarmEmail string `context:"alarmEmail"`
	// SlackWorkspace and SlackChannel are the ids of where alarms are posted, by
	// Amazon Q Developer in chat applications (AWS Chatbot); both or neither.
	SlackWorkspace string `context:"slackWorkspace"`
	SlackChannel   string `context:"slackChannel"`
	// QuietAllowed leaves out the alarm that rings when no sighting was let in
	// for 15 minutes: where all shops close at night, that is no fault.
	QuietAllowed bool `context:"quietAllowed"`
	// PostRate and PostBurst are how many posts of routers are let in, of all
	// businesses together, see Posts; 0 for what the size has.
	PostRate  int `context:"postRate"`
	PostBurst int `context:"postBurst"`
	// AtOnce names the stages whose new version takes over at once, separated by
	// commas: for a release that an older version cannot work beside.
	AtOnce []string `context:"atOnce"`
	// Zones are the names of the three availability zones of a network of our
	// own, separated by commas; none for the first three of the region. MSK takes
	// no subnet in the zone with the id use1-az3 (AWS CloudFormation template
	// reference, "AWS::MSK::Cluster BrokerNodeGroupInfo"), and each account has
	// other names for the zones.
	Zones []string `context:"zones"`
	// ClusterARN is an existing provisioned MSK cluster with IAM authentication
	// to use instead of one of our own. The five below go with it.
	ClusterARN string `context:"clusterArn"`
	// ClusterVPC is the id of the cluster's VPC.
	ClusterVPC string `context:"clusterVpc"`
	// ClusterSubnets are the ids of the cluster's subnets, separated by commas.
	ClusterSubnets []string `context:"clusterSubnets"`
	// ClusterSecurityGroup is the id of the cluster's security group. It must let
	// itself in on port 9098, as event source mappings come from it.
	ClusterSecurityGroup string `context:"clusterSecurityGroup"`
	// ClusterRouteTables are the ids of the route tables of those subnets,
	// separated by commas, which get an endpoint for DynamoDB. None where the VPC
	// reaches DynamoDB already.
	ClusterRouteTables []string `context:"clusterRouteTables"`
	// ClusterSecretsGroup is the id of the security group of the endpoint for
	// Secrets Manager that the VPC has already; a second one with private names is
	// refused. "" where it has none: it gets one.
	ClusterSecretsGroup string `context:"clusterSecretsGroup"`
}

// ClusterKind is a kind of MSK cluster.
type ClusterKind string

// The kinds of cluster that a size may have.
const (
	Serverless ClusterKind = "serverless"
	Express    ClusterKind = "express"
)

// Size is what a deployment is made for. It says everything that costs money
// while nothing happens.
type Size struct {
	Name string
	// SightingsPerSecond is what it is made for, as a sustained rate.
	SightingsPerSecond int
	Cluster            ClusterKind
	BrokerType         string // of an Express cluster
	Brokers            int    // of an Express cluster, a multiple of its three zones
	// Partitions replaces the number of partitions of every topic; 0 leaves
	// what events says.
	Partitions int32
	// Pollers is how an event source mapping polls. The zero value takes
	// Lambda's pollers on demand, which have neither partial answers nor retries
	// nor a failure destination.
	Pollers Pollers
	// Posts is how many posts of routers are let in.
	Posts Posts
	// ReserveConcurrency sets aside invocations for each stage, as many as it
	// has partitions to read; a new account has too few for that.
	ReserveConcurrency bool
	// LogDays is how long logs are kept.
	LogDays int
}

// Posts is how many posts the HTTP API lets in before it answers 429. It is a
// bound on what a flood costs. An account has 10,000 a second and 5,000 at once
// in a region, for all of its APIs (API Gateway developer guide, "Quotas").
type Posts struct {
	Rate  int // a second
	Burst int // at once, after a pause
}

// SightingsPerPost is what a post is taken to hold: one of a minute from a
// network that hears a hundred devices. Senders that post each event alone need
// a higher rate.
const SightingsPerPost = 100

// Concurrency is how many posts are worked on at once where each takes a tenth
// of a second.
func (p Posts) Concurrency() int { return max(p.Rate/10, 1) }

// PostsOf is what is let in with a size, unless the settings say otherwise.
func (s Settings) PostsOf(size Size) Posts {
	return Posts{Rate: cmp.Or(s.PostRate, size.Posts.Rate), Burst: cmp.Or(s.PostBurst, size.Posts.Burst)}
}

// SecretsZones is in how many zones the endpoint for Secrets Manager lies.
func (s Size) SecretsZones() int {
	if s.Cluster == Serverless {
		return 1
	}
	return 3
}

// Pollers are provisioned pollers. One moves up to 5 MB/s (AWS Lambda developer
// guide, "Provisioned mode").
type Pollers struct {
	// Sightings is how many always poll the topic of sightings, by far the
	// largest; the other topics have one each.
	Sightings int
	// Max is how many a topic may have when it lags; never more than it has
	// partitions.
	Max int
}

// Sizes are the sizes there are, the smallest first. Each lets in four times the
// posts that its sightings come in, since routers keep no even pace.
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

// PollersOf is how many pollers a topic has, at least and at most, given how
// many partitions it has and whether it is that of sightings.
func PollersOf(p Pollers, sightings bool, partitions int32) (from, to int) {
	from = 1
	if sightings {
		from = p.Sightings
	}
	to = min(p.Max, int(partitions))
	return min(from, to), to
}
