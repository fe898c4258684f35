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

// physicalID identifies the topics to CloudFormation. It must never change:
// CloudFormation would delete the resource with the former id.
const physicalID = "footfall-topics"

const (
	// pause is the time between two attempts. A new cluster refuses connections for
	// about a minute, and the permissions of a new role take seconds to be known.
	pause = 2 * time.Second
	// maxReason is the longest reason of an answer in bytes. CloudFormation accepts
	// answers of 4,096 bytes (AWS CloudFormation user guide, "Custom resource
	// response objects"), and JSON may write each byte of the reason as six. The log
	// holds the whole reason.
	maxReason = 600
)

// answerMargin is the time left for the answer to CloudFormation: a fifth of the
// time of the invocation, at most 10 s. The answer is a request over the network,
// so the margin is longer than [invocation.AnswerMargin].
var answerMargin = invocation.Margin{Share: 5, Max: 10 * time.Second}

// resource is the custom resource.
type resource struct {
	connect func(ctx context.Context) (*kgo.Client, error)
	log     *slog.Logger
}

// handle applies the topics on Create and Update. It does nothing on Delete, since
// topics hold data, which outlives a deployment.
//
// The resource has two properties. Partitions is a decimal number; unless 0, every
// topic has this number of partitions in place of its own. handle ignores Topics:
// the property is there to make a change of the topics an update. The reason of a
// failure is cut to maxReason.
func (r resource) handle(ctx context.Context, event cfn.Event) (string, map[string]any, error) {
	if event.RequestType == cfn.RequestDelete {
		r.log.InfoContext(ctx, "topics are kept")
		return physicalID, nil, nil
	}

	// End in time for the answer: without any, CloudFormation waits for an hour.
	ctx, cancel := answerMargin.WithDeadline(ctx)
	defer cancel()
	err := r.apply(ctx, event.ResourceProperties)
	if err != nil {
		r.log.ErrorContext(ctx, "topics not applied", "error", err)
		err = errors.New(shorten(err.Error()))
	}
	return physicalID, nil, err
}

// apply creates and changes the topics. If an attempt fails, apply tries again until
// the error is permanent or ctx ends.
func (r resource) apply(ctx context.Context, properties map[string]any) error {
	partitions, err := readPartitions(properties)
	if err != nil {
		return err
	}
	client, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	wanted := kafka.DesiredTopics{Topics: events.Topics(), Partitions: partitions}
	for {
		// The first attempts may fail because the cluster is still starting.
		err := r.try(ctx, client, wanted)
		if err == nil || permanent(err) {
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

// try compares the topics with wanted, applies the changes, and logs each of them.
// A difference that may not be applied is a warning and not an error.
func (r resource) try(ctx context.Context, client *kgo.Client, wanted kafka.DesiredTopics) error {
	plan, err := kafka.PlanTopics(ctx, client, wanted)
	if err != nil {
		return err
	}
	if err := plan.Apply(ctx); err != nil {
		return err
	}
	for _, c := range plan.Changes {
		log := r.log.With("topic", c.Topic, "config", c.Setting, "have", c.Have, "want", c.Want)
		if c.SkipReason != "" {
			log.WarnContext(ctx, "topic differs", "left", c.SkipReason)
			continue
		}
		log.InfoContext(ctx, "topic changed")
	}
	return nil
}

// readPartitions returns the property Partitions.
func readPartitions(properties map[string]any) (int32, error) {
	text, _ := properties["Partitions"].(string)
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("property Partitions is %#v, which is not a decimal number of partitions", properties["Partitions"])
	}
	return int32(n), nil
}

// permanent reports whether an error would recur at each attempt. The errors of a
// starting cluster would not.
func permanent(err error) bool {
	return slices.ContainsFunc([]error{
		kerr.InvalidConfig, kerr.PolicyViolation, kerr.InvalidPartitions, kerr.InvalidRequest,
		kerr.InvalidTopicException, kerr.UnsupportedVersion,
	}, func(known error) bool { return errors.Is(err, known) })
}

// shorten cuts a text to maxReason bytes and three dots.
func shorten(text string) string {
	if len(text) <= maxReason {
		return text
	}
	return text[:maxReason] + "..."
}
