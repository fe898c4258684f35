// Command topics creates and changes the topics of a cluster, by the definitions in
// package events. Lambda calls the function for the CloudFormation custom resource
// of a deployment on MSK Serverless, where topics are not resources themselves.
// The function is not a stage. A retry, by Lambda or by the deployment, finds the
// topics that an earlier attempt created and leaves them unchanged.
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
		// The settings are read at each event. A function that does not start because
		// of wrong settings never answers, and CloudFormation would wait for an hour.
		connect: func(ctx context.Context) (*kgo.Client, error) { return deps.Kafka(ctx, "topics", log) },
		log:     log.With("stage", "topics"),
	}
	lambda.Start(cfn.LambdaWrap(r.handle))
}
