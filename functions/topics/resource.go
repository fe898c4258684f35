package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/invocation"
	"footfall/shared/kafka"
)

// physicalID names the topics to CloudFormation. It never changes: another id
// would have CloudFormation delete what the former one named.
const physicalID = "footfall-topics"

const (
	// pause is between two tries. A new cluster refuses connections for a minute
	// or so, and a new role's permissions take seconds to be known.
	pause = 2 * time.Second
	// maxReason keeps the answer below the 4,096 bytes that CloudFormation takes
	// (AWS CloudFormation user guide, "Custom resource response objects"), also
	// where JSON writes each byte as six. The log has all of it.
	maxReason = 600
)

// answerMargin is left of the invocation for the answer to CloudFormation: a
// fifth of the time, at most 10 s. It is longer than that of the other functions,
// since this answer is itself a request, over the network.
var answerMargin = invocation.Margin{Share: 5, Max: 10 * time.Second}

// resource is the custom resource.
type resource struct {
	connect func(ctx context.Context) (*kgo.Client, error)
	log     *slog.Logger
}

// handle applies the topics on Create and Update. It does nothing on Delete,
// for topics hold data, which outlives a deployment. Its properties are Topics,
// which is not looked at and only makes a change of the topics an update, and
// Partitions, a decimal number that replaces that of every topic unless it is 0.
func (r resource) handle(ctx context.Context, event cfn.Event) (string, map[string]any, error) {
	if event.RequestType == cfn.RequestDelete {
		r.log.InfoContext(ctx, "topics are kept")
		return physicalID, nil, nil
	}
	ctx, cancel := answerMargin.WithDeadline(ctx)
	defer cancel()
	err := r.apply(ctx, event.ResourceProperties)
	if err != nil {
		r.log.ErrorContext(ctx, "topics not applied", "error", err)
		err = errors.New(shorten(err.Error()))
	}
	return physicalID, nil, err
}

func (r resource) apply(ctx context.Context, properties map[string]any) error {
	partitions, err := partitionsOf(properties)
	if err != nil {
		return err
	}
	client, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	wanted := kafka.Wanted{Topics: events.Topics(), Partitions: partitions}
	for {
		err := r.try(ctx, client, wanted)
		if err == nil || hopeless(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no time left to try again: %w", err)
		case <-time.After(pause):
			r.log.WarnContext(ctx, "trying again", "error", err)
		}
	}
}

// try brings the topics to what is wanted, and logs what it does.
func (r resource) try(ctx context.Context, client *kgo.Client, wanted kafka.Wanted) error {
	plan, err := kafka.PlanTopics(ctx, client, wanted)
	if err != nil {
		return err
	}
	if err := plan.Apply(ctx); err != nil {
		return err
	}
	for _, c := range plan.Changes {
		log := r.log.With("topic", c.Topic, "config", c.What, "have", c.Have, "want", c.Want)
		if c.Left != "" {
			log.WarnContext(ctx, "topic differs", "left", c.Left)
			continue
		}
		log.InfoContext(ctx, "topic changed")
	}
	return nil
}

func partitionsOf(properties map[string]any) (int32, error) {
	text, _ := properties["Partitions"].(string)
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("property Partitions is %#v, which is not a decimal number of partitions", properties["Partitions"])
	}
	return int32(n), nil
}

// hopeless tells the errors that come again with each try from those that a
// cluster has while it starts.
func hopeless(err error) bool {
	return slices.ContainsFunc([]error{
		kerr.InvalidConfig, kerr.PolicyViolation, kerr.InvalidPartitions, kerr.InvalidRequest,
		kerr.InvalidTopicException, kerr.UnsupportedVersion,
	}, func(known error) bool { return errors.Is(err, known) })
}

// shorten cuts an error so that it fits into an answer.
func shorten(text string) string {
	if len(text) <= maxReason {
		return text
	}
	return text[:maxReason] + "..."
}
