package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

const dead = topic + "-dead-letters"

// deadLetterCluster starts a cluster with n dead letters in each of the first two
// partitions. Their values are "0", "1" and so on.
func deadLetterCluster(t *testing.T, n int) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	c := cluster(t, topic, dead)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	var records []stage.Record
	for i := range n {
		for p := range int32(2) {
			from := stage.Record{Topic: topic, Partition: p, Offset: int64(i), Key: fmt.Append(nil, "cafe/", i), Value: fmt.Append(nil, i)}
			d := stage.DeadLetter(pipeline.Enrich, &from, events.Undecodable, errors.New("x"))
			d.Partition = p
			records = append(records, d)
		}
	}
	produce(t, NewProducer(cl), records...)
	return c, cl
}

// readDeadLetters returns the dead letters of one partition and its range of
// offsets.
func readDeadLetters(t testing.TB, cl *kgo.Client, partition int32) (OffsetRange, []DeadLetter) {
	t.Helper()
	ranges, err := ListOffsetRanges(t.Context(), cl, dead)
	if err != nil {
		t.Fatal(err)
	}
	var all []DeadLetter
	err = Read(t.Context(), cl, ranges[partition:partition+1], func(r *kgo.Record) error {
		all = append(all, ParseDeadLetter(r))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ranges[partition], all
}

// newRedriver returns a Redriver that has read the present commits.
func newRedriver(t testing.TB, cl *kgo.Client) *Redriver {
	t.Helper()
	r, err := NewRedriver(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// redrivenFrom returns the positions of the dead letters whose records were put back,
// as "partition/offset" in order. It also checks the partition of each record.
func redrivenFrom(t testing.TB, c *kfake.Cluster) string {
	t.Helper()
	var from []string
	for p, rs := range stored(t, c, topic) {
		for _, r := range rs {
			if want := events.Partition(r.Key, partitions); p != want {
				t.Errorf("%s is in partition %d, want that of its key, %d", r.Key, p, want)
			}
			for _, h := range r.Headers {
				if h.Key == HeaderRedrivenFrom {
					from = append(from, strings.TrimPrefix(string(h.Value), dead+"/"))
				}
			}
		}
	}
	slices.Sort(from)
	return strings.Join(from, " ")
}

func TestRedrivePutsEachDeadLetterBackOnce(t *testing.T) {
	c, cl := deadLetterCluster(t, 5)
	held, all := readDeadLetters(t, cl, 0)
	// Each round is a redrive of its own. A dead letter that a round leaves out stays
	// open, and later rounds know the ones put back.
	for _, round := range []struct {
		letters []DeadLetter
		want    int
		back    string
		at      string // committed offset and metadata
	}{
		{[]DeadLetter{all[1], all[3]}, 2, "0/1 0/3", "0 1:1,1"},
		{[]DeadLetter{all[1], all[2], all[3]}, 1, "0/1 0/2 0/3", "0 1:1.3"},
		{all[:4], 1, "0/0 0/1 0/2 0/3", "4 "},
		{all, 1, "0/0 0/1 0/2 0/3 0/4", "5 "},
		{all, 0, "0/0 0/1 0/2 0/3 0/4", "5 "},
	} {
		r := newRedriver(t, cl)
		n, err := r.Redrive(t.Context(), held, round.letters)
		if err != nil || n != round.want {
			t.Fatalf("%d put back (%v), want %d", n, err, round.want)
		}
		if got := redrivenFrom(t, c); got != round.back {
			t.Errorf("put back %s, want %s", got, round.back)
		}
		committed, err := kadm.NewClient(cl).FetchOffsets(t.Context(), RedriveGroup)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := committed.Lookup(dead, 0)
		if got := fmt.Sprintf("%d %s", o.At, o.Metadata); got != round.at {
			t.Errorf("committed %q, want %q", got, round.at)
		}
		for _, l := range round.letters {
			if !r.Done(l.Position) || !newRedriver(t, cl).Done(l.Position) {
				t.Errorf("%s: Done = false after it was put back", l.Position)
			}
		}
	}
	if r := newRedriver(t, cl); r.Done(Position{dead, 1, 0}) || r.Done(Position{dead, 0, 5}) {
		t.Error("Done = true for dead letters that were not put back")
	}
}

// If the records are not acknowledged, a redrive commits nothing, and the next one
// writes them once. If the commit fails, the error announces that the next redrive
// writes the records again, and so it does. No dead letter is lost in either case.
func TestFailedRedriveLosesNoDeadLetter(t *testing.T) {
	for _, c := range []struct {
		name  string
		key   kmsg.Key
		twice bool // the records were written before it failed
	}{
		{"not written", kmsg.Produce, false},
		{"written and not committed", kmsg.OffsetCommit, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, cl := deadLetterCluster(t, 2)
			held, all := readDeadLetters(t, cl, 0)
			var mended atomic.Bool
			k.ControlKey(int16(c.key), func(req kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				if mended.Load() {
					return nil, nil, false
				}
				if r, ok := req.(*kmsg.ProduceRequest); ok {
					return rejectProduce(r), nil, true
				}
				return rejectCommit(req.(*kmsg.OffsetCommitRequest)), nil, true
			})
			n, err := newRedriver(t, cl).Redrive(t.Context(), held, all)
			if n != 0 || err == nil || strings.Contains(err.Error(), "puts them back again") != c.twice {
				t.Fatalf("%d put back, error %v, want an error that announces a repetition: %t", n, err, c.twice)
			}
			mended.Store(true)
			if n, err := newRedriver(t, cl).Redrive(t.Context(), held, all); n != 2 || err != nil {
				t.Fatalf("the next redrive: %d put back (%v), want 2", n, err)
			}
			want := "0/0 0/1"
			if c.twice {
				want = "0/0 0/0 0/1 0/1"
			}
			if got := redrivenFrom(t, k); got != want {
				t.Errorf("put back %s, want %s", got, want)
			}
		})
	}
}

// If no broker answers, a redrive fails after its timeout.
func TestRedriveEndsAfterItsTimeout(t *testing.T) {
	c, cl := deadLetterCluster(t, 2)
	held, all := readDeadLetters(t, cl, 0)
	var back atomic.Bool
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("gone"), !back.Load()
	})
	r := newRedriver(t, cl)
	r.timeout = time.Second
	if n, err := r.Redrive(t.Context(), held, all); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d put back, error %v, want a deadline exceeded", n, err)
	}
	back.Store(true)
	if n, err := newRedriver(t, cl).Redrive(t.Context(), held, all); n != 2 || err != nil {
		t.Fatalf("the next redrive: %d put back (%v), want 2", n, err)
	}
	if got := redrivenFrom(t, c); got != "0/0 0/1" {
		t.Errorf("put back %s, want each once", got)
	}
}

// rejectProduce answers every partition with a policy violation, which the client
// does not retry.
func rejectProduce(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.PolicyViolation.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// rejectCommit answers every partition with an authorization error.
func rejectCommit(req *kmsg.OffsetCommitRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.GroupAuthorizationFailed.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// Two redrives have read the same commits. After the first has committed, the second
// fails before it writes anything, and the first continues.
func TestConcurrentRedriveFails(t *testing.T) {
	c, cl := deadLetterCluster(t, 3)
	held, all := readDeadLetters(t, cl, 0)
	first, second := newRedriver(t, cl), newRedriver(t, cl)
	if _, err := first.Redrive(t.Context(), held, all[:1]); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Redrive(t.Context(), held, all); n != 0 || !errors.Is(err, ErrConcurrentRedrive) {
		t.Errorf("%d put back, error %v, want %v", n, err, ErrConcurrentRedrive)
	}
	if _, err := first.Redrive(t.Context(), held, all); err != nil {
		t.Error(err)
	}
	if got := redrivenFrom(t, c); got != "0/0 0/1 0/2" {
		t.Errorf("put back %s, want each once", got)
	}
}

func TestRedriveRejectsWrongDeadLetters(t *testing.T) {
	_, cl := deadLetterCluster(t, 1)
	held, all := readDeadLetters(t, cl, 0)
	_, others := readDeadLetters(t, cl, 1)
	r := newRedriver(t, cl)
	if _, err := r.Redrive(t.Context(), held, others); err == nil || !strings.Contains(err.Error(), dead+"/1/0 is a dead letter of another partition") {
		t.Errorf("a dead letter of another partition: error %v", err)
	}
	all[0].Origin.Topic = ""
	if _, err := r.Redrive(t.Context(), held, all); err == nil || !strings.Contains(err.Error(), "is not a dead-letter topic") {
		t.Errorf("a dead letter without an original topic: error %v", err)
	}
	// 1,500 single offsets, so far apart that each gap takes a few characters.
	scattered := offsetSet{}
	for i := range int64(1500) {
		scattered.add(1 + i*2000)
	}
	r.done = map[string]map[int32]*offsetSet{dead: {0: &scattered}}
	all[0].Origin.Topic, all[0].Offset = topic, 1500*2000+5
	if _, err := r.Redrive(t.Context(), held, all); !errors.Is(err, ErrTooManyGaps) {
		t.Errorf("error %v, want %v", err, ErrTooManyGaps)
	}
}

// Retention has dropped open dead letters. The next redrive commits past them, so the
// group has no lag for ever.
func TestRedriveAfterRetention(t *testing.T) {
	_, cl := deadLetterCluster(t, 4)
	held, all := readDeadLetters(t, cl, 0)
	if _, err := newRedriver(t, cl).Redrive(t.Context(), held, all[2:3]); err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	offsets.AddOffset(dead, 0, 2, -1)
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	held, all = readDeadLetters(t, cl, 0)
	if n, err := newRedriver(t, cl).Redrive(t.Context(), held, all); n != 1 || err != nil {
		t.Fatalf("%d put back (%v), want 1, the last one", n, err)
	}
	at, err := GroupOffsets(t.Context(), cl, RedriveGroup, dead)
	if err != nil || at[0].Committed != 4 || at[0].Lag() != 0 || at[1].Lag() != 4 {
		t.Errorf("offsets of the group %+v (%v), want the end of the first partition", at, err)
	}
}

// Redrives of randomly chosen dead letters run one after the other. Some end between
// the acknowledgement and the commit. Every dead letter is put back once, and once
// more for each such redrive while the dead letter was open.
func TestRedrivesThatEndBeforeTheCommit(t *testing.T) {
	const n = 12
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 0))
		c, cl := deadLetterCluster(t, n)
		held, all := readDeadLetters(t, cl, 0)
		want := map[string]int{}
		for range 6 {
			var chosen []DeadLetter
			for _, l := range all {
				if dice.IntN(2) == 0 {
					chosen = append(chosen, l)
				}
			}
			r := newRedriver(t, cl)
			ends := dice.IntN(3) == 0
			for i := range chosen {
				if p := chosen[i].Position; !r.Done(p) {
					want[strings.TrimPrefix(p.String(), dead+"/")]++
					if ends {
						produce(t, r.producer.(*Producer), chosen[i].RedrivenRecord())
					}
				}
			}
			if ends {
				continue
			}
			if _, err := r.Redrive(t.Context(), held, chosen); err != nil {
				t.Fatal(err)
			}
		}
		r := newRedriver(t, cl)
		for _, l := range all {
			if !r.Done(l.Position) {
				want[strings.TrimPrefix(l.Position.String(), dead+"/")]++
			}
		}
		if _, err := r.Redrive(t.Context(), held, all); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for from := range strings.FieldsSeq(redrivenFrom(t, c)) {
			got[from]++
		}
		if len(got) != n || !maps.Equal(got, want) {
			t.Errorf("seed %d: put back %v, want %v", seed, got, want)
		}
	}
}
