package esm

import (
	"context"
	"slices"
	"testing"
	"time"

	"footfall/shared/pipeline"
)

func concurrency(n int) func(*Options) { return func(o *Options) { o.Concurrency = n } }

func oneBatchOfAPartitionInFlightInOrder(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 10)
		f := h.start(pipeline.Mapping{BatchSize: 4}, concurrency(3))
		c := f.expect("0:[0-3]")
		f.wantNoInvocation()
		c.ok()
		c = f.expect("0:[4-7]")
		h.produce(0, 4)
		f.wantNoInvocation()
		c.ok()
		f.expect("0:[8-11]").ok()
		f.expect("0:[12-13]").ok()
		h.wantCommitted(0, 14)
	})
}

func severalPartitionsUpToTheBatchSize(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 3)
		h.produce(1, 3)
		h.produce(2, 3)
		f := h.start(pipeline.Mapping{BatchSize: 7, Window: time.Second})
		c := f.expect("0:[0-2] 1:[0-2] 2:[0-0]")
		if got := c.event.EventSource; got != "aws:kafka" {
			h.Errorf("event source is %q", got)
		}
		if _, ok := c.event.Records["sightings-2"]; !ok {
			h.Errorf("records are under other names than sightings-2: %.200s", c.payload)
		}
		if want := []string{"sightings-0", "sightings-1", "sightings-2"}; !slices.Equal(slices.Sorted(slices.Values(c.names)), want) {
			h.Errorf("Partitions names %v, want %v", c.names, want)
		}
		c.ok()
		f.expect("2:[1-2]").ok()
		h.wantCommitted(2, 3)
	})
}

func parallelOnDisjointPartitions(t *testing.T) {
	bubble(t, func(h *harness) {
		for p := range int32(3) {
			h.produce(p, 4)
		}
		f := h.start(pipeline.Mapping{BatchSize: 2, Window: time.Second}, concurrency(2))
		first, second := f.next(), f.next()
		f.wantNoInvocation() // two are enough
		if first.ranges() == second.ranges() {
			h.Errorf("both hold %s", first.ranges())
		}
		second.ok()
		third := f.next()
		if third.ranges() == first.ranges() {
			h.Errorf("%s is in flight twice", first.ranges())
		}
		first.ok()
		third.ok()
	})
}

func windowUnlessFull(t *testing.T) {
	bubble(t, func(h *harness) {
		f := h.start(pipeline.Mapping{BatchSize: 5, Window: 20 * time.Second})
		h.produce(0, 5)
		f.expect("0:[0-4]").ok()

		time.Sleep(time.Minute) // the bubble's clock
		h.produce(1, 1)
		came := time.Now()
		time.Sleep(15 * time.Second)
		h.produce(2, 1)
		f.wantNoInvocation()
		c := f.expect("1:[0-0] 2:[0-0]")
		if waited := c.at.Sub(came).Round(time.Second); waited != 20*time.Second {
			h.Errorf("the oldest record waited %v, want 20s", waited)
		}
		c.ok()
	})
}

func noWindow(t *testing.T) {
	bubble(t, func(h *harness) {
		f := h.start(pipeline.Mapping{BatchSize: 500})
		time.Sleep(time.Minute)
		h.produce(3, 1)
		came := time.Now()
		c := f.expect("3:[0-0]")
		if waited := c.at.Sub(came); waited > 50*time.Millisecond {
			h.Errorf("the record waited %v", waited)
		}
		c.ok()
	})
}

// During a rush, records are delivered without the window, also those that were
// waiting; afterwards the window counts again.
func TestRushSkipsTheWindow(t *testing.T) {
	bubble(t, func(h *harness) {
		f := h.start(pipeline.Mapping{BatchSize: 5, Window: 20 * time.Second})
		waited := func(partition int32, want time.Duration) {
			h.Helper()
			h.produce(partition, 1)
			came := time.Now()
			c := f.next()
			if got := c.at.Sub(came).Round(time.Second); got != want {
				h.Errorf("the record of partition %d waited %v, want %v", partition, got, want)
			}
			c.ok()
		}
		h.produce(0, 1)
		f.wantNoInvocation()
		end, also := f.Rush(), f.Rush()
		f.expect("0:[0-0]").ok()
		waited(1, 0)
		end()
		waited(2, 0)
		also()
		waited(3, 20*time.Second)
	})
}

func successfulAnswers(t *testing.T) {
	for _, body := range []string{"{}", "null", "", " \n", `{"batchItemFailures":[]}`, `{"batchItemFailures":null}`, `{"other":1}`} {
		t.Run(body, func(t *testing.T) {
			bubble(t, func(h *harness) {
				h.produce(0, 2)
				f := h.start(pipeline.Mapping{})
				f.expect("0:[0-1]").answer(body)
				h.wantCommitted(0, 2)
				f.wantNoInvocation()
				if want := (Stats{Records: 2, Invocations: 1}); f.Stats() != want {
					h.Errorf("counted %+v, want %+v", f.Stats(), want)
				}
			})
		})
	}
}

func TestIdleWhileNoRecordIsHeld(t *testing.T) {
	bubble(t, func(h *harness) {
		f := h.start(pipeline.Mapping{Retries: 1})
		<-f.WhenIdle()
		h.produce(0, 1)
		c := f.next()
		select {
		case <-f.WhenIdle():
			h.Error("idle with an invocation in flight")
		default:
		}
		c.fail()
		c = f.next()
		select {
		case <-f.WhenIdle():
			h.Error("idle with a record that failed")
		default:
		}
		c.ok()
		<-f.WhenIdle()
		h.wantCommitted(0, 1)
	})
}

func TestStopAbandonsTheBatchInFlight(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 2)
		f := h.start(pipeline.Mapping{})
		f.expect("0:[0-1]") // never answered
		f.stop()
		h.wantCommitted(0, -1)
		h.start(pipeline.Mapping{}).expect("0:[0-1]").ok()
		h.wantCommitted(0, 2)
	})
}

func TestOptionsAreCheckedAllAtOnce(t *testing.T) {
	_, err := New(Options{})
	const want = "event source mapping of  on : Brokers is empty\nStage is empty\nMapping.Topic is empty\nMapping.BatchSize is not positive\n" +
		"Invoke is nil\nMapping.Retries is limited, so DeadLetters must name a topic"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	_, err = New(Options{
		Brokers: []string{"b"}, Stage: "s", Mapping: pipeline.Mapping{Topic: "t", BatchSize: 1, Retries: -1},
		Invoke: func(context.Context, []byte) ([]byte, error) { return nil, nil },
	})
	if err != nil {
		t.Errorf("endless retries need no dead letters, got %v", err)
	}
}
