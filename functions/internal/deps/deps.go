// Package deps wires what the functions have in common: their settings, and the
// ports of shared/stage on Kafka and DynamoDB.
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

// Deps is what a stage can be made of. Making it connects to nothing, so a
// function that leaves a part unused needs no access to it.
type Deps struct {
	Log        *slog.Logger
	Out        stage.Producer
	Topics     stage.TopicInfos
	VisitLog   stage.VisitLog
	Identities stage.Identities
	Pending    stage.Pending
	Counts     stage.Counts
	Businesses *dynamo.Businesses
	Keys       *Keys // ingest's alone

	stage      string
	wholeBatch bool
}

// Serve handles the events of event source mappings with h. It does not return
// while the environment lives.
func (d Deps) Serve(h stage.Handler) {
	r := lambdarun.New(d.stage, h, d.Log)
	r.WholeBatch = d.wholeBatch
	r.Start()
}

// Run reads the settings and hands serve the deps of a stage. serve does not
// return while the environment lives. Where the settings are wrong, Run logs
// everything that is and gives the exit code of the process: Lambda then fails
// the invocation, and its caller tries again.
func Run(stageName string, serve func(d Deps)) (exitCode int) {
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

// Kafka reads the settings and makes a client for the cluster that they name,
// which connects when it is first used; the caller closes it. It is for a
// function that is no stage. name is the function's, for the brokers' logs and
// for log, which also gets what goes wrong inside of the client.
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

func connect(name string, cfg config.Config, aws aws.Config, log *slog.Logger) (*kgo.Client, error) {
	return kafka.NewClient(kafka.Config{
		Brokers: cfg.Brokers, Auth: string(cfg.KafkaAuth), Credentials: aws.Credentials,
		ClientID: "footfall-" + name, Logger: log.With("stage", name),
	})
}

func wire(ctx context.Context, stageName string, cfg config.Config, log *slog.Logger) (Deps, error) {
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return Deps{}, fmt.Errorf("AWS settings: %w", err)
	}
	broker, err := connect(stageName, cfg, aws, log)
	if err != nil {
		return Deps{}, err
	}
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
