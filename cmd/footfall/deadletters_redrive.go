package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"footfall/shared/kafka"
)

// deadLetterRedriveCmd puts dead letters back.
type deadLetterRedriveCmd struct {
	clusterFlags
	deadLetterFlags
	Yes         bool    `help:"Put the dead letters back. Without this flag, redrive only lists them."`
	Rate        float64 `default:"0" placeholder:"N" help:"Maximum number of records a second; 0 for no limit."`
	MaxRedrives int     `default:"3" placeholder:"N" help:"Leave out records that were put back this many times already [3]."`
	Force       bool    `voids:"max-redrives" help:"Put back also the records that --max-redrives leaves out."`
}

// Help returns the help text: the effects of a redrive, and its guarantees.
func (c *deadLetterRedriveCmd) Help() string {
	return `A dead letter is produced to its former topic, with its key, its value and its own headers, into the partition of its
key, with a new timestamp. All readers of that topic read it again: the stage that gave it up, and stages that had
processed it already, which recognise the record by the ids in it.

Mend the cause first: a record that fails again becomes a dead letter again, and its header footfall-redrives counts the
redrives. The header footfall-redriven-from of a record names its dead letter.

The consumer group ` + kafka.RedriveGroup + ` notes which dead letters were put back, so redrive can be run again at any time
and continues with the others. No dead letter is lost. Each is put back once, with one exception: if redrive is killed,
or loses the cluster, between the produce of up to ` + strconv.Itoa(maxRound) + ` records and its commit, the next redrive produces them again,
which changes no count. Run one redrive at a time: a second one stops when it finds the other's commits.`
}

// Validate returns an error if the rate or the maximum number of redrives is out of
// range.
func (c *deadLetterRedriveCmd) Validate() error {
	if !(c.Rate >= 0) || math.IsInf(c.Rate, 1) {
		return fmt.Errorf("--rate %v is not a number of records a second", c.Rate)
	}
	if c.MaxRedrives < 0 {
		return fmt.Errorf("--max-redrives %d is negative", c.MaxRedrives)
	}
	return nil
}

// maxRound is the maximum number of dead letters that are put back between two
// commits.
const maxRound = 100

// Run counts the selected dead letters and, with --yes, puts them back.
func (c *deadLetterRedriveCmd) Run(ctx context.Context, s streams) error {
	client, err := c.client(ctx, kafka.ReadOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	source, err := c.open(ctx, client)
	if err != nil {
		return err
	}
	// Count first, and print the dead letters that are left out.
	plan, err := c.plan(ctx, s, source)
	if err != nil {
		return err
	}
	if plan.tooLarge > 0 {
		fmt.Fprintf(s.out, "%d left out: with the headers of a redrive too large for their topic\n", plan.tooLarge)
	}
	if plan.tooOften > 0 {
		fmt.Fprintf(s.out, "%d left out: put back %d times or more already; --force puts them back again\n", plan.tooOften, c.MaxRedrives)
	}
	if !c.Yes {
		fmt.Fprintf(s.out, "%d to put back; run again with --yes to put them back\n", plan.total)
		return nil
	}
	// Put them back.
	w := &redriveWork{deadLetterRedriveCmd: c, source: source, progress: newProgress(s.err, "putting back", plan.total), total: plan.total}
	err = w.redriveAll(ctx)
	took := w.progress.finish()
	fmt.Fprintf(s.err, "took %s\n", durationText(took))
	fmt.Fprintf(s.out, "%d put back\n", w.done)
	if left := plan.total - w.done; err == nil && left > 0 {
		fmt.Fprintf(s.out, "%d were removed by retention before they could be put back\n", left)
	}
	return err
}

// redrivePlan is the number of dead letters to put back, and of those left out.
type redrivePlan struct {
	total    int64
	tooOften int // put back too often already
	tooLarge int
}

// plan counts the dead letters; in a dry run it lists them too.
func (c *deadLetterRedriveCmd) plan(ctx context.Context, s streams, source *deadLetterSource) (redrivePlan, error) {
	var plan redrivePlan
	out := newDeadLetterOutput(s.out, false)
	for _, span := range source.ranges {
		err := source.read(ctx, s.err, span, func(l *kafka.DeadLetter) error {
			// Skip dead letters that were put back, are too large, or were put
			// back too often.
			switch {
			case source.redriver.Done(l.Position):
				return nil
			case !l.Fits():
				plan.tooLarge++
				return nil
			case c.redrivenTooOften(l):
				plan.tooOften++
				return nil
			}
			plan.total++
			if c.Yes {
				return nil
			}
			return out.print(l, false)
		})
		if err != nil {
			return plan, err
		}
	}
	return plan, out.flush()
}

// redrivenTooOften reports whether a record was put back --max-redrives times already,
// without --force.
func (c *deadLetterRedriveCmd) redrivenTooOften(l *kafka.DeadLetter) bool {
	return !c.Force && l.Redrives >= c.MaxRedrives
}

// redriveWork is a redrive under way.
type redriveWork struct {
	*deadLetterRedriveCmd
	source      *deadLetterSource
	progress    *progress
	done, total int64
	nextRound   time.Time // when the rate allows the next round
}

// redriveAll puts the dead letters of all partitions back, and returns the errors of
// all partitions.
func (w *redriveWork) redriveAll(ctx context.Context) error {
	var errs []error
	for _, span := range w.source.ranges {
		// An error of one partition, such as a concurrent redrive, does not stop the
		// other partitions.
		if err := w.redrivePartition(ctx, span); err != nil {
			errs = append(errs, err)
			// Without brokers every other partition would wait for its own timeout.
			if ctx.Err() != nil || w.source.client.Ping(ctx) != nil {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// redrivePartition puts the dead letters of one partition back, in rounds.
func (w *redriveWork) redrivePartition(ctx context.Context, span kafka.OffsetRange) error {
	// With a low rate a round is the records of one second, so that --rate holds.
	size := maxRound
	if w.Rate > 0 {
		size = max(min(int(w.Rate), maxRound), 1)
	}
	// Collect dead letters, and put them back a round at a time.
	round := make([]kafka.DeadLetter, 0, size)
	send := func() error {
		err := w.redriveRound(ctx, span, round)
		round = round[:0]
		return err
	}
	err := w.source.read(ctx, io.Discard, span, func(l *kafka.DeadLetter) error {
		if w.source.redriver.Done(l.Position) || !l.Fits() || w.redrivenTooOften(l) {
			return nil
		}
		round = append(round, *l)
		if len(round) < size {
			return nil
		}
		return send()
	})
	// The last round is usually smaller.
	if err == nil && len(round) > 0 {
		err = send()
	}
	return err
}

// redriveRound puts dead letters back as fast as the rate allows.
func (w *redriveWork) redriveRound(ctx context.Context, span kafka.OffsetRange, letters []kafka.DeadLetter) error {
	if err := waitUntil(ctx, w.nextRound); err != nil {
		return err
	}
	// The next round waits as long as the rate requires for this one.
	if w.Rate > 0 {
		w.nextRound = time.Now().Add(time.Duration(float64(len(letters)) / w.Rate * float64(time.Second)))
	}
	n, err := w.source.redriver.Redrive(ctx, span, letters)
	w.done += int64(n)
	w.progress.update(w.done, w.total, fmt.Sprintf("%d of %d, of %s", w.done, w.total, span))
	return err
}

// waitUntil waits until a moment, which may be in the past.
func waitUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
