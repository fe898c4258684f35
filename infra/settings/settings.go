// Package settings is what a deployment can be told: the context of cdk.json,
// or of -c on the command line, as one checked struct. It knows nothing of CDK,
// so that the cost program can use it too.
package settings

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
	// Zones are the names of the three availability zones of a network of our
	// own, separated by commas; none for the first three of the region. MSK takes
	// no subnet in the zone with the id use1-az3 (AWS CloudFormation template
	// reference, "AWS::MSK::Cluster BrokerNodeGroupInfo"), and each account has
	// other names for the zones.
	Zones []string `context:"zones"`
	// ClusterARN is an existing provisioned MSK cluster with IAM authentication
	// to use instead of one of our own. The four below go with it.
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
	// ReserveConcurrency sets aside invocations for each stage, as many as it
	// has partitions to read; a new account has too few for that.
	ReserveConcurrency bool
	// LogDays is how long logs are kept.
	LogDays int
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

// Sizes are the sizes there are, the smallest first.
func Sizes() []Size {
	return []Size{
		{
			Name: "dev", SightingsPerSecond: 100, Cluster: Serverless, Partitions: 2, LogDays: 7,
		},
		{
			Name: "small", SightingsPerSecond: 5_000, Cluster: Express, BrokerType: "express.m7g.large", Brokers: 3,
			Pollers: Pollers{Sightings: 1, Max: 8}, ReserveConcurrency: true, LogDays: 30,
		},
		{
			Name: "large", SightingsPerSecond: 100_000, Cluster: Express, BrokerType: "express.m7g.large", Brokers: 3,
			Pollers: Pollers{Sightings: 8, Max: 32}, ReserveConcurrency: true, LogDays: 90,
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
