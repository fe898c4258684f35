package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/stage"
)

// deps is the command's own access to the broker and the tables of a pipeline.
type deps struct {
	client     *kgo.Client
	Out        stage.Producer
	Topics     stage.TopicInfos
	Partitions int32 // of sightings
	Log        stage.VisitLog
	Pending    stage.Pending
	Counts     stage.Counts
}

// openDeps connects to a pipeline on this machine. The caller closes the result.
func openDeps(ctx context.Context, stack *local.Stack) (*deps, error) {
	client, err := kafka.NewClient(kafka.Config{Brokers: stack.Brokers(), Auth: "none", ClientID: "footfall"})
	if err != nil {
		return nil, err
	}
	tables := stack.TableClient()
	d := &deps{
		client: client, Out: kafka.NewProducer(client), Topics: kafka.NewTopicInfos(client),
		Log:     dynamo.NewVisitLog(tables, stack.TablePrefix()),
		Pending: dynamo.NewPending(tables, stack.TablePrefix()),
		Counts:  dynamo.NewCounts(tables, stack.TablePrefix()),
	}
	// The feed puts every tick on each partition of sightings.
	info, err := d.Topics.Info(ctx, events.Sightings, 0)
	if err != nil {
		client.Close()
		return nil, err
	}
	d.Partitions = info.Partitions
	return d, nil
}

// Close ends the connections.
func (d *deps) Close() { d.client.Close() }
