package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"footfall/events"
	"footfall/shared/kafka"
)

// topicsCmd manages the topics of a cluster.
type topicsCmd struct {
	Apply topicsApplyCmd `cmd:"" help:"Create the missing topics and set the configs that differ. Deletes nothing."`
}

// topicsApplyCmd creates and changes the topics of a cluster as this version of
// Footfall needs them.
type topicsApplyCmd struct {
	clusterFlags
	DryRun        bool  `help:"Only print the changes."`
	AddPartitions bool  `help:"Add the partitions that existing topics lack. Drain the topics first: keys move to other partitions, and records of a key that are still to be read lose their order."`
	JSON          bool  `help:"Print one JSON object a line for each difference: topic, setting (topic if it is missing), is (null if missing), wanted, action (create, set or none), reason (of none)."`
	Partitions    int32 `default:"0" help:"Partitions of every topic; 0 for the number of each topic."`
}

// Validate returns an error if no topic can have the number of partitions.
func (c *topicsApplyCmd) Validate() error {
	if c.Partitions < 0 {
		return fmt.Errorf("--partitions %d is negative", c.Partitions)
	}
	return nil
}

// Run prints the differences and, unless it is a dry run, applies the changes.
func (c *topicsApplyCmd) Run(ctx context.Context, s streams) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	// Compare the cluster with events/topics.go, print, then apply.
	plan, err := kafka.PlanTopics(ctx, client, kafka.DesiredTopics{
		Topics: events.Topics(), Partitions: c.Partitions, AddPartitions: c.AddPartitions,
	})
	if err != nil {
		return err
	}
	if err := c.print(s.out, plan); err != nil {
		return err
	}
	if c.DryRun {
		return nil
	}
	return plan.Apply(ctx)
}

// topicDifference is one difference of a topic from its definition, as a line of JSON.
type topicDifference struct {
	Topic   string  `json:"topic"`
	Setting string  `json:"setting"` // topic if the topic is missing
	Is      *string `json:"is"`      // nil if it is missing
	Wanted  string  `json:"wanted"`
	Action  string  `json:"action"`           // create, set or none
	Reason  string  `json:"reason,omitempty"` // of none
}

// differences returns the differences of a plan.
func differences(plan *kafka.TopicPlan) []topicDifference {
	var all []topicDifference
	for _, c := range plan.Changes {
		d := topicDifference{Topic: c.Topic, Setting: c.Setting, Wanted: c.Want, Action: "set", Reason: c.SkipReason}
		if c.Have != "" {
			d.Is = &c.Have
		}
		switch {
		case c.SkipReason != "":
			d.Action = "none"
		case c.Setting == "":
			d.Setting, d.Action = "topic", "create"
		}
		all = append(all, d)
	}
	return all
}

// print lists the changes and counts them. The reason of a difference that is not
// changed stands on a line of its own.
func (c *topicsApplyCmd) print(w io.Writer, plan *kafka.TopicPlan) error {
	all := differences(plan)
	if c.JSON {
		e := json.NewEncoder(w)
		for _, d := range all {
			if err := e.Encode(d); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "all topics are up to date")
		return nil
	}
	left := 0
	for _, d := range all {
		is := "-"
		if d.Is != nil {
			is = *d.Is
		}
		switch d.Action {
		case "create":
			fmt.Fprintf(w, "create %s: %s\n", d.Topic, d.Wanted)
		case "set":
			fmt.Fprintf(w, "set    %s\n         %s: %s, was %s\n", d.Topic, d.Setting, d.Wanted, is)
		default:
			left++
			fmt.Fprintf(w, "keep   %s\n         %s: %s, wanted %s\n", d.Topic, d.Setting, is, d.Wanted)
			fmt.Fprintln(w, wrap("         "+d.Reason, "         "))
		}
	}
	fmt.Fprintf(w, "%d to change, %d not changed\n", len(all)-left, left)
	return nil
}
