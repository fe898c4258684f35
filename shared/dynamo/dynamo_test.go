package dynamo

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/local/dynalite"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
	"footfall/shared/storetest"
)

// server is the table server of all tests of this package. Each test has tables of
// its own.
var server *dynalite.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	if server, err = dynalite.Start(ctx, dynalite.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := server.Close(); err != nil { // the server ended before the tests did
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// localConfig returns the configuration of a client for a server on this machine.
func localConfig(endpoint string) aws.Config {
	return aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: &endpoint,
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

var prefixes atomic.Int64

// tables creates the pipeline's tables under a new prefix.
func tables(t testing.TB) (client *dynamodb.Client, prefix string) {
	t.Helper()
	client = New(localConfig(server.Endpoint()))
	prefix = fmt.Sprintf("t%d-", prefixes.Add(1))
	if err := CreateTables(t.Context(), client, prefix, pipeline.Default().Tables); err != nil {
		t.Fatal(err)
	}
	return client, prefix
}

func TestVisitLog(t *testing.T) {
	storetest.VisitLog(t, func(t *testing.T) stage.VisitLog { return NewVisitLog(tables(t)) })
}

func TestIdentities(t *testing.T) {
	storetest.Identities(t, func(t *testing.T) stage.Identities { return NewIdentities(tables(t)) })
}

func TestPending(t *testing.T) {
	storetest.Pending(t, func(t *testing.T) stage.Pending { return NewPending(tables(t)) })
}

func TestCounts(t *testing.T) {
	storetest.Counts(t, func(t *testing.T) stage.Counts { return NewCounts(tables(t)) })
}

func TestBaseCount(t *testing.T) {
	c := NewCounts(tables(t))
	storetest.BaseCount(t, c)
}

func TestBusinesses(t *testing.T) {
	storetest.Businesses(t, func(t *testing.T) storetest.BusinessStore { return NewBusinesses(tables(t)) })
}
