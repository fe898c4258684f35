package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"footfall/events"
	"footfall/shared/kafka"
)

// deadLetterListCmd lists dead letters.
type deadLetterListCmd struct {
	clusterFlags
	deadLetterFlags
	Open bool `help:"Only dead letters that were not put back."`
	JSON bool `help:"Print a JSON object a line instead of a table."`
}

// Help returns the help text about the columns of the table.
func (c *deadLetterListCmd) Help() string {
	return `TIME is the time of the record. ORIGIN is the topic, partition and offset of the record before: ? if the headers do
not name them, as with records that Lambda itself delivered to a failure destination. BACK shows whether redrive has put the dead letter back; such dead
letters stay in their topic until retention removes them.`
}

// reasonTally counts the dead letters of one reason.
type reasonTally struct {
	reason      events.Reason
	total, back int
}

// Run prints the dead letters partition by partition, while it reads.
func (c *deadLetterListCmd) Run(ctx context.Context, s streams) error {
	client, err := c.client(ctx, kafka.ReadOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	source, err := c.open(ctx, client)
	if err != nil {
		return err
	}
	// Print each dead letter, and count by reason.
	out := newDeadLetterOutput(s.out, c.JSON)
	tallies := map[events.Reason]*reasonTally{}
	for _, span := range source.ranges {
		err := source.read(ctx, s.err, span, func(l *kafka.DeadLetter) error {
			back := source.redriver.Done(l.Position)
			if back && c.Open {
				return nil
			}
			t := tallies[l.Reason]
			if t == nil {
				t = &reasonTally{reason: l.Reason}
				tallies[l.Reason] = t
			}
			t.total++
			if back {
				t.back++
			}
			return out.print(l, back)
		})
		if err != nil {
			return err
		}
	}
	// JSON is for programs: without the counts.
	if err := out.flush(); err != nil || c.JSON {
		return err
	}
	if len(tallies) == 0 && source.seen > 0 {
		fmt.Fprintf(s.out, "none of %d dead letters match\n", source.seen)
		return nil
	}
	printTallies(s.out, tallies)
	return nil
}

// printTallies prints the number of dead letters of each reason, and their sum.
func printTallies(w io.Writer, tallies map[events.Reason]*reasonTally) {
	var all []*reasonTally
	sum := reasonTally{reason: "in all"}
	for _, t := range tallies {
		all = append(all, t)
		sum.total += t.total
		sum.back += t.back
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "no dead letters")
		return
	}
	// The most frequent reason comes first.
	slices.SortFunc(all, func(a, b *reasonTally) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.reason, b.reason))
	})
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range append(all, &sum) {
		fmt.Fprintf(t, "%s\t%d", printable([]byte(r.reason)), r.total)
		if r.back > 0 {
			fmt.Fprintf(t, "\t%d put back", r.back)
		}
		fmt.Fprintln(t)
	}
	flush(t)
}

// deadLetterLine is a dead letter in the form of --json. Partition and offset of the
// origin are null if they are unknown.
type deadLetterLine struct {
	Topic     string        `json:"topic"`
	Partition int32         `json:"partition"`
	Offset    int64         `json:"offset"`
	Time      time.Time     `json:"time"`
	Key       *string       `json:"key"`
	Reason    events.Reason `json:"reason"`
	Error     string        `json:"error,omitempty"`
	Stage     string        `json:"stage,omitempty"`
	Origin    struct {
		Topic     string `json:"topic"`
		Partition *int32 `json:"partition"`
		Offset    *int64 `json:"offset"`
	} `json:"origin"`
	Bytes    int  `json:"bytes"`
	Redrives int  `json:"redrives"`
	PutBack  bool `json:"put_back"`
}

func newDeadLetterLine(l *kafka.DeadLetter, back bool) deadLetterLine {
	line := deadLetterLine{
		Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Time: l.Time.UTC(),
		Reason: l.Reason, Error: l.Error, Stage: l.Stage, Bytes: l.Size(), Redrives: l.Redrives, PutBack: back,
	}
	if l.Key != nil {
		key := string(l.Key)
		line.Key = &key
	}
	line.Origin.Topic = l.Origin.Topic
	if l.Origin.Partition >= 0 {
		line.Origin.Partition = &l.Origin.Partition
	}
	if l.Origin.Offset >= 0 {
		line.Origin.Offset = &l.Origin.Offset
	}
	return line
}

// deadLetterOutput prints dead letters one after the other.
type deadLetterOutput struct {
	print func(l *kafka.DeadLetter, back bool) error
	flush func() error
}

// tableChunk is the number of lines after which the table is printed. The columns
// may move then, but a long list is visible while it is read.
const tableChunk = 500

func newDeadLetterOutput(w io.Writer, asJSON bool) deadLetterOutput {
	if asJSON {
		enc := json.NewEncoder(w)
		return deadLetterOutput{
			print: func(l *kafka.DeadLetter, back bool) error { return enc.Encode(newDeadLetterLine(l, back)) },
			flush: func() error { return nil },
		}
	}
	// A table. Its head is printed with the first dead letter.
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lines := 0
	return deadLetterOutput{
		print: func(l *kafka.DeadLetter, back bool) error {
			if lines == 0 {
				fmt.Fprintln(t, "TOPIC\tPARTITION\tOFFSET\tTIME\tREASON\tSTAGE\tORIGIN\tBYTES\tBACK")
			}
			lines++
			yes := "-"
			if back {
				yes = "yes"
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%d\t%s\n", l.Topic, l.Partition, l.Offset, l.Time.UTC().Format(time.RFC3339),
				printable([]byte(l.Reason)), printable([]byte(cmp.Or(l.Stage, "-"))), l.Origin, l.Size(), yes)
			if lines%tableChunk == 0 {
				return t.Flush()
			}
			return nil
		},
		flush: t.Flush,
	}
}

// printable returns text that is safe to print on a terminal: quoted if it holds
// control characters, since records hold arbitrary bytes.
func printable(b []byte) string {
	if quoted := strconv.Quote(string(b)); quoted != `"`+string(b)+`"` {
		return quoted
	}
	return string(b)
}
