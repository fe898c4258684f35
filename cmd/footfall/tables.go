package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/shared/dynamo"
)

// tableFlags select the tables: those that `footfall local` prints when it starts,
// or those in AWS.
type tableFlags struct {
	TableEndpoint string `placeholder:"URL" help:"Endpoint of the tables, as footfall local prints it; by default AWS, with the credentials and the region of the AWS SDK."`
	TablePrefix   string `placeholder:"TEXT" help:"Prefix of the table names."`
}

// tables returns a client for the tables.
func (f tableFlags) tables(ctx context.Context) (*dynamodb.Client, error) {
	if f.TableEndpoint != "" {
		// A local table server accepts any region and credentials.
		return dynamo.New(aws.Config{
			Region: "us-east-1", BaseEndpoint: &f.TableEndpoint,
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		}), nil
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS settings: %w", err)
	}
	// A user of footfall local who forgets the flag would otherwise get an error
	// about AWS credentials alone.
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("without --table-endpoint the tables are those in AWS: %w", err)
	}
	return dynamo.New(cfg), nil
}
