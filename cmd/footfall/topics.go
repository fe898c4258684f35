package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

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
	printPlan(s.out, plan)
	if c.DryRun {
		return nil
	}
	return plan.Apply(ctx)
}

// printPlan lists the changes and counts them.
func printPlan(w io.Writer, plan *kafka.TopicPlan) {
	if len(plan.Changes) == 0 {
		fmt.Fprintln(w, "all topics are up to date")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TOPIC\tSETTING\tIS\tWANTED\tACTION")
	left := 0
	// One line for each difference. A difference that is not changed has a reason.
	for _, c := range plan.Changes {
		what, have, action := c.Setting, c.Have, "set"
		switch {
		case c.SkipReason != "":
			action = "not changed: " + c.SkipReason
			left++
		case c.Setting == "":
			what, have, action = "topic", "-", "create"
		}
		if have == "" {
			have = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Topic, what, have, c.Want, action)
	}
	flush(t)
	fmt.Fprintf(w, "%d to change, %d not changed\n", len(plan.Changes)-left, left)
}
