package main

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// newDeadLetters returns a broker with one dead letter of walk-ins in each of two
// partitions.
func newDeadLetters(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kafka.NewClient(kafka.Config{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.CreateTopics(t.Context(), client, events.Topics(), 2, 1); err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		r := stage.Record{Topic: events.WalkIns, Partition: p, Key: []byte("cafe/phone"), Value: []byte("x")}
		letter := stage.DeadLetter(pipeline.Enrich, &r, events.Undecodable, errors.New("x"))
		letter.Partition = p
		if err := kafka.NewProducer(client).Produce(t.Context(), []stage.Record{letter}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// footfall runs a command on the broker and returns its exit status and output.
func footfall(c *kfake.Cluster, args ...string) (status int, out, err string) {
	var stdout, stderr strings.Builder
	status = run(append(args, "--brokers", c.ListenAddrs()[0]), streams{out: &stdout, err: &stderr})
	return status, stdout.String(), stderr.String()
}

// The second partition is emptied once the redrive works on the first, which is when
// it reads the commits of its group for the second time.
func TestRedriveWhileRetentionDropsLetters(t *testing.T) {
	c := newDeadLetters(t)
	client, err := kafka.NewClient(kafka.Config{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var looks atomic.Int32
	c.ControlKey(int16(kmsg.OffsetFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if looks.Add(1) == 2 {
			c.SleepControl(func() {
				var offsets kadm.Offsets
				offsets.AddOffset(events.WalkIns+"-dead-letters", 1, 1, -1)
				if _, err := kadm.NewClient(client).DeleteRecords(t.Context(), offsets); err != nil {
					t.Error(err)
				}
			})
		}
		return nil, nil, false
	})
	status, out, errs := footfall(c, "dead-letters", "redrive", "--yes")
	if want := "1 put back\n1 were removed by retention before they could be put back\n"; status != 0 || out != want {
		t.Errorf("status %d, printed %q, want %q; %s", status, out, want, errs)
	}
}

// Without brokers a redrive ends at the first partition, and the error names it.
func TestRedriveEndsWithTheBrokers(t *testing.T) {
	c := newDeadLetters(t)
	var looks atomic.Int32
	c.ControlKey(int16(kmsg.OffsetFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if looks.Add(1) < 2 {
			return nil, nil, false
		}
		go c.Close()
		return nil, errors.New("gone"), true
	})
	status, out, errs := footfall(c, "dead-letters", "redrive", "--yes")
	if status != 1 || out != "0 put back\n" || !strings.Contains(errs, "footfall: redrive 1 dead letters of walk-ins-dead-letters/0: ") ||
		strings.Contains(errs, "walk-ins-dead-letters/1") {
		t.Errorf("status %d, printed %q and %q", status, out, errs)
	}
}
