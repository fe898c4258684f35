// Command topics brings the topics of a cluster to what events says. Lambda
// invokes it for the CloudFormation custom resource of a deployment on a cluster
// whose topics are no resources themselves, which is MSK Serverless. It is no
// stage. A retry, of Lambda or of a deployment, finds the topics that an earlier
// try made, and leaves them.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/functions/internal/deps"
	"footfall/shared/invocation"
)

func main() {
	log := invocation.NewLogger(os.Stdout, slog.LevelInfo)
	r := resource{
		// Read at each event: wrong settings must be told to CloudFormation, which
		// otherwise waits an hour for a function that does not start.
		connect: func(ctx context.Context) (*kgo.Client, error) { return deps.Kafka(ctx, "topics", log) },
		log:     log.With("stage", "topics"),
	}
	lambda.Start(cfn.LambdaWrap(r.handle))
}
