package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/local/esm"
	"footfall/shared/kafka"
	"footfall/shared/lambdarun"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

const (
	topic      = events.WalkIns
	partitions = 3
)

// TestKafka runs callers that produce to brokers that fail, with the client of
// production, and a mapping that feeds a function that fails. It checks that
//
//   - records whose Produce call returned nil are in the log, for each caller in its
//     order per partition, and the log holds no record that was never sent;
//   - every record is delivered to the function and answered for at least once, in
//     the order of its partition: no record is delivered before those in front of it
//     are done;
//   - no offset is committed beyond the records that were answered for;
//   - in the end all offsets are committed;
//   - no failure is taken for a damaged batch, which an operator would have to skip.
func TestKafka(t *testing.T) {
	forSeeds(t, func(t *testing.T, h *history) {
		f := &function{T: t, history: h}
		b := startBrokers(t, h, topic, partitions, f.watchCommit)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { b.moveLeaders(ctx) })
		wg.Go(func() { b.runPollers(ctx, t, f) })

		var calling sync.WaitGroup
		var callers []*caller
		// Without compression: zstd decoders end in finalizers, which run
		// outside the bubble.
		client, err := kafka.NewClient(kafka.Config{Brokers: []string{"localhost:9092"}},
			kgo.Dialer(b.dial), kgo.ProducerBatchCompression(kgo.NoCompression()))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 1 + h.dice("callers").IntN(3) {
			c := &caller{T: t, history: h, name: fmt.Sprint("caller", n), out: kafka.NewProducer(client)}
			callers = append(callers, c)
			calling.Go(c.run)
		}
		calling.Wait()
		drained := b.awaitCommits(t)
		cancel()
		wg.Wait()
		client.Close()
		if !drained {
			return
		}
		if strings.Contains(h.String(), "cannot read a batch") {
			t.Error("a failure was taken for a damaged batch")
		}
		log := b.read(t)
		for _, c := range callers {
			c.check(log)
		}
		f.check(log)
	})
}

// caller produces with a Producer that it shares with other callers.
type caller struct {
	*testing.T
	*history
	name     string
	out      *kafka.Producer
	attempts []attempt
}

// attempt is one call of Produce.
type attempt struct {
	records []stage.Record
	err     error
}

// run makes some calls. A call that failed is mostly repeated, as a stage's
// next invocation repeats it.
func (c *caller) run() {
	dice := c.dice(c.name)
	for call := range 2 + dice.IntN(6) {
		n := 1 + dice.IntN(20)
		for try := 0; ; try++ {
			a := attempt{}
			for i := range n {
				a.records = append(a.records, stage.Record{
					Topic: topic, Partition: stage.AnyPartition, Key: fmt.Append(nil, "shop/device-", i%7),
					Value: fmt.Appendf(nil, "%s call %d try %d record %d", c.name, call, try, i),
				})
			}
			patience := []time.Duration{time.Second, 10 * time.Second, time.Minute}[dice.IntN(3)]
			ctx, cancel := context.WithTimeout(c.Context(), patience)
			began := time.Now()
			a.err = c.out.Produce(ctx, a.records)
			if took := time.Since(began); took > patience {
				c.Errorf("%s call %d try %d: returned after %v of %v", c.name, call, try, took, patience)
			}
			cancel()
			c.attempts = append(c.attempts, a)
			c.note("%s call %d try %d: %d records within %v: %v", c.name, call, try, n, patience, a.err)
			if a.err == nil || dice.IntN(4) == 0 {
				break
			}
		}
		time.Sleep(time.Duration(dice.Int64N(int64(3 * time.Second))))
	}
}

// check compares the caller's attempts with the log: records of successful
// calls are a subsequence of each partition, and each record of a failed call
// was written unchanged or not at all.
func (c *caller) check(log map[int32][]string) {
	known := map[string]bool{}
	at := map[int32]int{}
	for _, a := range c.attempts {
		for _, r := range a.records {
			known[string(r.Value)] = true
			if a.err != nil {
				continue
			}
			p := events.Partition(r.Key, partitions)
			n := slices.Index(log[p][at[p]:], string(r.Value))
			if n < 0 {
				c.Errorf("%q was acknowledged and is not in partition %d behind the caller's earlier records", r.Value, p)
				return
			}
			at[p] += n + 1
		}
	}
	for p, values := range log {
		for _, v := range values {
			if strings.HasPrefix(v, c.name+" ") && !known[v] {
				c.Errorf("partition %d holds %q, which was never sent", p, v)
			}
		}
	}
}

// runPollers runs one mapping until ctx is done, and at times a second poller
// beside it for a while.
func (b *brokers) runPollers(ctx context.Context, t *testing.T, f *function) {
	var wg sync.WaitGroup
	wg.Go(func() { b.runPoller(ctx, t, f) })
	for ctx.Err() == nil {
		dice := b.dice("poller")
		pause := time.Duration(dice.Int64N(int64(time.Minute)))
		life := time.Duration(dice.Int64N(int64(30 * time.Second)))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			if dice.IntN(2) == 0 && b.fault("a second poller for %v", life) {
				short, cancel := context.WithTimeout(ctx, life)
				b.runPoller(short, t, f)
				cancel()
			}
		}
	}
	wg.Wait()
}

// runPoller runs one poller until ctx is done.
func (b *brokers) runPoller(ctx context.Context, t *testing.T, f *function) {
	dice := b.dice("mapping")
	p, err := esm.New(esm.Options{
		Brokers: []string{"localhost:9092"}, Client: []kgo.Opt{kgo.Dialer(b.dial)}, Stage: pipeline.Enrich,
		Mapping: pipeline.Mapping{
			Topic: topic, BatchSize: 1 + dice.IntN(30), Window: time.Duration(dice.IntN(2)) * time.Second,
			Retries: -1, Bisect: dice.IntN(2) == 0,
		},
		Invoke: f.invoke, Concurrency: 1 + dice.IntN(3), UnreportedDone: dice.IntN(2) == 0,
		Log: slog.New(slog.NewTextHandler(historyWriter{b.history}, nil)),
	})
	if err == nil {
		err = p.Run(ctx)
	}
	if err != nil {
		t.Error(err)
	}
}

// awaitCommits reports whether everything is committed within a time that is
// longer than all the faults can take.
func (b *brokers) awaitCommits(t *testing.T) bool {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Second) {
		group := b.cluster.GroupInfo(pipeline.Group(pipeline.LocalDeployment, pipeline.Enrich, topic))
		var open []string
		for _, p := range b.cluster.PartitionInfos(topic) {
			if p.HighWatermark > 0 && (group == nil || group.Commits[topic][p.Partition].Offset < p.HighWatermark) {
				open = append(open, fmt.Sprintf("partition %d to its end at %d", p.Partition, p.HighWatermark))
			}
		}
		if len(open) == 0 {
			return true
		}
		if time.Since(began) > time.Hour {
			t.Errorf("not committed: %v", open)
			return false
		}
	}
}

// read returns the values in the log by partition. It switches the faults off.
func (b *brokers) read(t *testing.T) map[int32][]string {
	t.Helper()
	b.mu.Lock()
	b.budget = 0
	b.mu.Unlock()
	left := int64(0)
	for _, p := range b.cluster.PartitionInfos(topic) {
		left += p.HighWatermark
	}
	client, err := kgo.NewClient(kgo.SeedBrokers("localhost:9092"), kgo.Dialer(b.net.DialContext), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	log := map[int32][]string{}
	for left > 0 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			log[r.Partition] = append(log[r.Partition], string(r.Value))
			left--
		})
	}
	return log
}

// function is the function that the mapping invokes. At times it fails, wholly
// or from a record on, or takes long. It checks the events that it receives.
type function struct {
	*testing.T
	*history
	mu        sync.Mutex
	done      [partitions]int64    // the offset before which all records were answered for
	firstDone [partitions][]string // values in the order in which they were first done
}

func (f *function) invoke(_ context.Context, payload []byte) ([]byte, error) {
	parts, err := lambdarun.DecodeEvent(payload)
	if err != nil {
		return nil, err
	}
	dice := f.dice("invoke")
	fails, from := dice.IntN(4), dice.IntN(len(parts[0].Batch.Records))
	time.Sleep(time.Duration(dice.Int64N(int64(300 * time.Millisecond))))
	switch {
	case fails == 0 && f.fault("the function fails with %s", describe(parts)):
		return nil, errors.New("no")
	case fails == 1 && f.fault("the function fails with %s, from the %dth record on", describe(parts), from):
		return f.doneBefore(parts, from), nil
	case fails == 2 && dice.IntN(4) == 0 && f.fault("the function takes 20 s for %s", describe(parts)):
		time.Sleep(20 * time.Second) // longer than the session timeout of a group
	}
	f.note("the function is done with %s", describe(parts))
	return f.doneBefore(parts, -1), nil
}

// doneBefore marks records as done and returns the answer: of the first
// partition only those before from, unless from is negative. The answer names
// all other records, as shared/lambdarun does.
func (f *function) doneBefore(parts []lambdarun.Partition, from int) []byte {
	var items []any
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, part := range parts {
		p := part.Batch.Partition
		for n, r := range part.Batch.Records {
			if i == 0 && from >= 0 && n >= from {
				items = append(items, map[string]any{"itemIdentifier": map[string]any{"partition": part.ID, "offset": r.Offset}})
				continue
			}
			if r.Offset > f.done[p] {
				f.Errorf("partition %d: offset %d was delivered before offset %d was done", p, r.Offset, f.done[p])
			}
			if r.Offset == f.done[p] {
				f.firstDone[p] = append(f.firstDone[p], string(r.Value))
				f.done[p]++
			}
		}
	}
	answer, err := json.Marshal(map[string]any{"batchItemFailures": items})
	if err != nil {
		f.Error(err)
	}
	return answer
}

// describe names the records of an event for the history.
func describe(parts []lambdarun.Partition) string {
	var all []string
	for _, p := range parts {
		rs := p.Batch.Records
		all = append(all, fmt.Sprintf("%d:[%d-%d]", p.Batch.Partition, rs[0].Offset, rs[len(rs)-1].Offset))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// watchCommit checks that no offset is committed beyond the records that were
// answered for.
func (f *function) watchCommit(r *kmsg.OffsetCommitRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			f.note("commit of partition %d up to %d", p.Partition, p.Offset)
			if p.Offset > f.done[p.Partition] {
				f.Errorf("partition %d: offset %d was committed, records are done up to %d", p.Partition, p.Offset, f.done[p.Partition])
			}
		}
	}
}

// check checks that every record of the log was done, in the order of the log.
func (f *function) check(log map[int32][]string) {
	for p := range int32(partitions) {
		if !slices.Equal(f.firstDone[p], log[p]) {
			f.Errorf("partition %d: got %q done, want the log's %q", p, f.firstDone[p], log[p])
		}
	}
}
