// Package deps wires what the functions have in common: their settings, and the
// ports of shared/stage on Kafka and DynamoDB.
package deps

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"footfall/shared/config"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/lambdarun"
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
}

// Run reads the settings and hands serve the deps of a stage. serve does not
// return while the environment lives. Where the settings are wrong, Run logs
// everything that is and gives the exit code of the process: Lambda then fails
// the invocation, and its caller tries again.
func Run(stageName string, serve func(d Deps)) (exitCode int) {
	log := lambdarun.NewLogger(os.Stdout, slog.LevelInfo)
	cfg, err := config.Load()
	if err == nil {
		log = lambdarun.NewLogger(os.Stdout, cfg.LogLevel)
		var d Deps
		if d, err = wire(context.Background(), stageName, cfg, log); err == nil {
			serve(d)
			return 0
		}
	}
	log.Error("cannot start", "stage", stageName, "error", err)
	return 1
}

func wire(ctx context.Context, stageName string, cfg config.Config, log *slog.Logger) (Deps, error) {
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return Deps{}, fmt.Errorf("AWS settings: %w", err)
	}
	broker, err := kafka.NewClient(kafka.Config{
		Brokers: cfg.Brokers, Auth: string(cfg.KafkaAuth), Credentials: aws.Credentials,
		ClientID: "footfall-" + stageName, Logger: log.With("stage", stageName),
	})
	if err != nil {
		return Deps{}, err
	}
	tables := dynamo.New(aws)
	return Deps{
		Log:        log,
		Out:        kafka.NewProducer(broker),
		Topics:     kafka.NewTopicInfos(broker),
		VisitLog:   dynamo.NewVisitLog(tables, cfg.TablePrefix),
		Identities: dynamo.NewIdentities(tables, cfg.TablePrefix),
		Pending:    dynamo.NewPending(tables, cfg.TablePrefix),
		Counts:     dynamo.NewCounts(tables, cfg.TablePrefix),
	}, nil
}
