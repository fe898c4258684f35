package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/kafka"
	"footfall/shared/pipeline"
)

// clusterFlags select a Kafka cluster: the one that `footfall local` prints when it
// starts, or one in AWS.
type clusterFlags struct {
	Brokers   []string `required:"" placeholder:"HOST:PORT" help:"Bootstrap addresses of the cluster."`
	KafkaAuth string   `enum:"none,iam" default:"none" help:"How to authenticate: none, or iam with the credentials of the AWS SDK."`
}

// patience is how long a request or a record is retried. The user waits, and may
// only have mistyped an address: the client's default is minutes.
const patience = 15 * time.Second

// client returns a client for the cluster; opts override the client's own options.
// It connects at the first use. The caller closes the client.
func (f clusterFlags) client(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	// Only iam needs credentials: a local cluster works without AWS settings.
	var credentials aws.CredentialsProvider
	if f.KafkaAuth == kafka.AuthIAM {
		cfg, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("AWS settings: %w", err)
		}
		credentials = cfg.Credentials
	}
	return kafka.NewClient(kafka.Config{
		Brokers: f.Brokers, Auth: f.KafkaAuth, Credentials: credentials, ClientID: "footfall",
	}, append([]kgo.Opt{kgo.RetryTimeout(patience), kgo.RecordDeliveryTimeout(patience)}, opts...)...)
}

// deploymentFlags name the deployment that the consumer groups of the stages belong
// to.
type deploymentFlags struct {
	Deployment string `default:"footfall" placeholder:"NAME" help:"Name of the deployment, with which the consumer groups of its stages begin [footfall]."`
}

// offsets returns the offsets of a stage on a topic that it reads.
func (f deploymentFlags) offsets(ctx context.Context, client *kgo.Client, stageName, topic string) ([]kafka.GroupOffset, error) {
	return kafka.GroupOffsets(ctx, client, pipeline.Group(f.Deployment, stageName, topic), topic)
}
