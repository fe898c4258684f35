// Package deps wires the parts that the functions have in common: the settings
// from the environment, and the ports of package stage on Kafka and DynamoDB.
//
// Start reading at Run, which the main of every stage calls. Kafka is for the
// function topics, which is not a stage. Keys holds the pseudonym keys of ingest.
package deps

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/config"
	"footfall/shared/dynamo"
	"footfall/shared/invocation"
	"footfall/shared/kafka"
	"footfall/shared/lambdarun"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// Deps holds the ports of all stages. A port connects only when it is first used: a
// function needs no access to the ports that its stage does not use.
type Deps struct {
	Log        *slog.Logger
	Out        stage.Producer
	Topics     stage.TopicInfos
	VisitLog   stage.VisitLog
	Identities stage.Identities
	Pending    stage.Pending
	Counts     stage.Counts
	Businesses *dynamo.Businesses
	Keys       *Keys // nil in every function but ingest

	stage      string
	wholeBatch bool
}

// Serve handles the events of event source mappings with h. It does not return
// before the environment ends.
func (d Deps) Serve(h stage.Handler) {
	r := lambdarun.New(d.stage, h, d.Log)
	r.WholeBatch = d.wholeBatch
	r.Start()
}

// Run reads the settings and calls serve with the ports for a stage. serve does not
// return before the environment ends. If the settings are wrong, Run logs every
// mistake in them and returns the exit code of the process. Lambda then fails the
// invocation, and its caller tries again.
func Run(stageName string, serve func(d Deps)) (exitCode int) {
	// The level of the log is a setting: until it is known, info.
	log := invocation.NewLogger(os.Stdout, slog.LevelInfo)
	cfg, err := config.Load()
	if err == nil {
		log = invocation.NewLogger(os.Stdout, cfg.LogLevel)
		var d Deps
		if d, err = wire(context.Background(), stageName, cfg, log); err == nil {
			serve(d)
			return 0
		}
	}
	log.Error("cannot start", "stage", stageName, "error", err)
	return 1
}

// Kafka reads the settings and returns a client for the cluster that they name, for
// a function that is not a stage. The client connects at its first use. The caller
// closes the client. name is the function's name in the brokers' logs and in log;
// the client logs its own errors to log.
func Kafka(ctx context.Context, name string, log *slog.Logger) (*kgo.Client, error) {
	cfg, err := config.Load()
	if err != nil {
		return nil, err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS settings: %w", err)
	}
	return connect(name, cfg, aws, log)
}

// connect returns a Kafka client for a function.
func connect(name string, cfg config.Config, aws aws.Config, log *slog.Logger) (*kgo.Client, error) {
	return kafka.NewClient(kafka.Config{
		Brokers: cfg.Brokers, Auth: string(cfg.KafkaAuth), Credentials: aws.Credentials,
		ClientID: "footfall-" + name, Logger: log.With("stage", name),
	})
}

// wire returns the ports for a stage, on Kafka and DynamoDB.
func wire(ctx context.Context, stageName string, cfg config.Config, log *slog.Logger) (Deps, error) {
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return Deps{}, fmt.Errorf("AWS settings: %w", err)
	}
	broker, err := connect(stageName, cfg, aws, log)
	if err != nil {
		return Deps{}, err
	}
	// Only ingest may read the keys: in AWS, no other function has the permission.
	var keys *Keys
	if stageName == pipeline.Ingest {
		if keys, err = readKeys(ctx, cfg.PseudonymKeys, aws); err != nil {
			return Deps{}, err
		}
	}
	tables := dynamo.New(aws)
	return Deps{
		Log:        log,
		Out:        lambdarun.LogDeadLetters(kafka.NewProducer(broker), stageName, log),
		Topics:     kafka.NewTopicInfos(broker),
		VisitLog:   dynamo.NewVisitLog(tables, cfg.TablePrefix),
		Identities: dynamo.NewIdentities(tables, cfg.TablePrefix),
		Pending:    dynamo.NewPending(tables, cfg.TablePrefix),
		Counts:     dynamo.NewCounts(tables, cfg.TablePrefix),
		Businesses: dynamo.NewBusinesses(tables, cfg.TablePrefix),
		Keys:       keys,
		stage:      stageName,
		wholeBatch: cfg.WholeBatch,
	}, nil
}
