package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"footfall/shared/kafka"
	"footfall/shared/pipeline"
)

// offsetsCmd shows and moves the committed offsets of consumer groups.
type offsetsCmd struct {
	Show  offsetsShowCmd  `cmd:"" help:"Show the offsets of consumer groups in every partition."`
	Shift offsetsShiftCmd `cmd:"" help:"Move the offset of one group in one partition, to skip a batch that no client can read."`
}

// offsetsShowCmd shows committed offsets.
type offsetsShowCmd struct {
	clusterFlags
	deploymentFlags
	Group     string `placeholder:"NAME" help:"Only this group; by default the groups of all stages."`
	Topic     string `placeholder:"NAME" help:"Only this topic."`
	Partition *int32 `placeholder:"N" help:"Only this partition."`
	JSON      bool   `help:"Print one JSON object a line for each partition: group, state, topic, partition, committed_offset (null if none is committed), start_offset, end_offset, lag_records."`
}

// offsetLine is the progress of a group in one partition, as a line of JSON.
type offsetLine struct {
	Group     string `json:"group"`
	State     string `json:"state"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed_offset"` // nil if the group has committed none
	Start     int64  `json:"start_offset"`
	End       int64  `json:"end_offset"`
	Lag       int64  `json:"lag_records"`
}

// groupTopics is a consumer group with the topics that it reads.
type groupTopics struct {
	group  string
	topics []string
}

// stageGroups returns the consumer groups of the stages of a deployment.
func (f deploymentFlags) stageGroups() []groupTopics {
	var groups []groupTopics
	for _, s := range pipeline.Default().Stages {
		for _, m := range s.Reads {
			groups = append(groups, groupTopics{pipeline.Group(f.Deployment, s.Name, m.Topic), []string{m.Topic}})
		}
	}
	return groups
}

// groups returns the selected groups. For a group of no stage the flags must name a
// topic, except for the group of redrive.
func (c *offsetsShowCmd) groups() ([]groupTopics, error) {
	known := append([]groupTopics{{kafka.RedriveGroup, kafka.DeadLetterTopics()}}, c.stageGroups()...)
	// Select by group: the given one, or those of the stages.
	if c.Group != "" {
		i := slices.IndexFunc(known, func(g groupTopics) bool { return g.group == c.Group })
		switch {
		case i >= 0:
			known = known[i : i+1]
		case c.Topic != "":
			known = []groupTopics{{c.Group, []string{c.Topic}}}
		default:
			return nil, fmt.Errorf("group %s belongs to no stage of deployment %s: name its topic with --topic", c.Group, c.Deployment)
		}
	} else {
		known = known[1:]
	}
	if c.Topic == "" {
		return known, nil
	}
	// Select by topic.
	for i := range known {
		known[i].topics = slices.DeleteFunc(known[i].topics, func(t string) bool { return t != c.Topic })
	}
	known = slices.DeleteFunc(known, func(g groupTopics) bool { return len(g.topics) == 0 })
	switch {
	case len(known) > 0:
		return known, nil
	case c.Group != "":
		return nil, fmt.Errorf("group %s does not read %s", c.Group, c.Topic)
	default:
		return nil, fmt.Errorf("no stage reads %s: name the group with --group", c.Topic)
	}
}

// Validate returns an error if the group is unknown, or does not read the topic.
func (c *offsetsShowCmd) Validate() error {
	_, err := c.groups()
	return err
}

// Run prints one line per partition.
func (c *offsetsShowCmd) Run(ctx context.Context, s streams) error {
	groups, err := c.groups()
	if err != nil {
		return err
	}
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	// Read all groups first, so that an error leaves no half of a list.
	var all []kafka.GroupOffset
	for _, g := range groups {
		offsets, err := kafka.GroupOffsets(ctx, client, g.group, g.topics...)
		if err != nil {
			return err
		}
		for _, o := range offsets {
			if c.Partition == nil || o.Partition == *c.Partition {
				all = append(all, o)
			}
		}
	}
	if len(all) == 0 && c.Partition != nil {
		return fmt.Errorf("there is no partition %d", *c.Partition)
	}
	if c.JSON {
		return printOffsetsJSON(s.out, all)
	}
	printOffsets(s.out, all)
	return nil
}

// printOffsetsJSON prints one JSON object a line for each partition.
func printOffsetsJSON(w io.Writer, all []kafka.GroupOffset) error {
	e := json.NewEncoder(w)
	for _, o := range all {
		line := offsetLine{Group: o.Group, State: o.State, Topic: o.Topic, Partition: o.Partition, Start: o.From, End: o.To, Lag: o.Lag()}
		if o.Committed >= 0 {
			line.Committed = &o.Committed
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// printOffsets prints a table for each group and topic: their names together would not
// fit into a line with the offsets.
func printOffsets(w io.Writer, all []kafka.GroupOffset) {
	for len(all) > 0 {
		first := all[0]
		end := slices.IndexFunc(all, func(o kafka.GroupOffset) bool { return o.Group != first.Group || o.Topic != first.Topic })
		if end < 0 {
			end = len(all)
		}
		fmt.Fprintf(w, "group %s (%s)\n", first.Group, first.State)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "TOPIC\tPARTITION\tCOMMITTED\tSTART\tEND\tLAG")
		for _, o := range all[:end] {
			committed := "-"
			if o.Committed >= 0 {
				committed = strconv.FormatInt(o.Committed, 10)
			}
			fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%d\t%d\n", o.Topic, o.Partition, committed, o.From, o.To, o.Lag())
		}
		flush(t)
		if all = all[end:]; len(all) > 0 {
			fmt.Fprintln(w)
		}
	}
}

// offsetsShiftCmd moves a committed offset.
type offsetsShiftCmd struct {
	clusterFlags
	deploymentFlags
	Group     string `required:"" placeholder:"NAME" help:"The consumer group, as offsets show prints it."`
	Topic     string `required:"" placeholder:"NAME" help:"The topic."`
	Partition int32  `required:"" placeholder:"N" help:"The partition."`
	By        int64  `required:"" placeholder:"N" help:"Number of offsets to skip; negative to go back, as in --by=-3."`
	Yes       bool   `help:"Move the offset. Without this flag, shift only lists the batches that it would skip."`
}

// Help returns the help text with the steps of a shift.
func (c *offsetsShiftCmd) Help() string {
	return `A batch with damaged bytes stops its partition, since every client rejects it. The log of the poller names topic,
partition and offset. Then:

  1. Disable the readers of the group (on AWS the event source mapping): a group with members cannot be moved.
  2. Run shift with --by 0, which lists the batches from the committed offset on and marks unreadable ones.
  3. Run shift with --by and the number of offsets to skip, check the output, and run it again with --yes.
  4. Enable the readers again.

Skipped records are neither processed nor sent to the dead letters, since they cannot be read. Going back is harmless,
since redelivered records change nothing. An offset outside the log of the partition is refused.`
}

// Validate returns an error if the partition is negative, or if there is nothing to
// confirm.
func (c *offsetsShiftCmd) Validate() error {
	if c.By == 0 && c.Yes {
		return errors.New("--yes has no effect with --by 0, which only lists the batches")
	}
	if c.Partition < 0 {
		return fmt.Errorf("--partition %d is negative", c.Partition)
	}
	return nil
}

// Run prints the effect of a shift and, with --yes, moves the offset.
func (c *offsetsShiftCmd) Run(ctx context.Context, s streams) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	// Read the committed offset and the batches from there on.
	shift, err := kafka.PlanShift(ctx, client, c.Group, c.Topic, c.Partition, c.By)
	if err != nil {
		return err
	}
	if shift.Current.GroupMissing() {
		// A mistyped name would create a group that nothing reads with, while the
		// intended group stands still.
		if !slices.ContainsFunc(c.stageGroups(), func(g groupTopics) bool { return g.group == c.Group }) {
			return fmt.Errorf("no group %s: footfall offsets show lists the groups of the stages", c.Group)
		}
		fmt.Fprintf(s.err, "note: group %s has no committed offset yet\n", c.Group)
	}
	// Without --yes the plan is only printed.
	printShift(s.out, shift)
	switch {
	case c.By == 0:
		return nil
	case !c.Yes:
		fmt.Fprintln(s.out, "nothing was changed; run again with --yes to move the offset")
		return nil
	}
	if err := shift.Apply(ctx, client); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "group %s continues at offset %d\n", c.Group, shift.Target)
	return nil
}

// printShift prints the offsets before and after a shift, and the batches from there
// on.
func printShift(w io.Writer, shift kafka.Shift) {
	// The direction of the shift.
	from, to := shift.Current.Next(), shift.Target
	switch {
	case to > from:
		fmt.Fprintf(w, "%s: would move from offset %d to %d and skip %d offsets\n", shift.Current.OffsetRange, from, to, to-from)
	case to < from:
		fmt.Fprintf(w, "%s: would move back from offset %d to %d and redeliver %d offsets\n", shift.Current.OffsetRange, from, to, from-to)
	default:
		fmt.Fprintf(w, "%s: is at offset %d of %d\n", shift.Current.OffsetRange, from, shift.Current.To)
	}
	if len(shift.Batches) == 0 {
		fmt.Fprintln(w, "no batches there")
		return
	}
	// The batches from the committed offset on.
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OFFSETS\tBYTES\tBATCH")
	for _, b := range shift.Batches {
		state := "can be read"
		if b.Err != nil {
			state = "CANNOT BE READ: " + b.Err.Error()
		}
		if to > b.First && to <= b.Last {
			state += fmt.Sprintf("; offset %d is in the middle of it", to)
		}
		fmt.Fprintf(t, "%d to %d\t%d\t%s\n", b.First, b.Last, b.Bytes, state)
	}
	flush(t)
}
