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

// post is a broker with n dead letters in each of the first two partitions, with
// values "0" and on.
func post(t *testing.T, n int) (*kfake.Cluster, *kgo.Client) {
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

// letters reads those of one partition.
func letters(t testing.TB, cl *kgo.Client, partition int32) (OffsetRange, []DeadLetter) {
	t.Helper()
	spans, err := ListOffsetRanges(t.Context(), cl, dead)
	if err != nil {
		t.Fatal(err)
	}
	var all []DeadLetter
	err = Read(t.Context(), cl, spans[partition:partition+1], func(r *kgo.Record) error {
		all = append(all, ParseDeadLetter(r))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return spans[partition], all
}

func redriver(t testing.TB, cl *kgo.Client) *Redriver {
	t.Helper()
	r, err := NewRedriver(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// arrived gives where the records that came back are from, in order.
func arrived(t testing.TB, c *kfake.Cluster) string {
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

func TestRedrivePutsEachLetterBackOnce(t *testing.T) {
	c, cl := post(t, 5)
	span, all := letters(t, cl, 0)
	// What a filter leaves out stays open, and a second redrive knows.
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
		r := redriver(t, cl)
		n, err := r.Redrive(t.Context(), span, round.letters)
		if err != nil || n != round.want {
			t.Fatalf("%d put back (%v), want %d", n, err, round.want)
		}
		if got := arrived(t, c); got != round.back {
			t.Errorf("back are %s, want %s", got, round.back)
		}
		committed, err := kadm.NewClient(cl).FetchOffsets(t.Context(), RedriveGroup)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := committed.Lookup(dead, 0)
		if got := fmt.Sprintf("%d %s", o.At, o.Metadata); got != round.at {
			t.Errorf("noted %q, want %q", got, round.at)
		}
		for _, l := range round.letters {
			if !r.Done(l.Position) || !redriver(t, cl).Done(l.Position) {
				t.Errorf("%s is not known to be back", l.Position)
			}
		}
	}
	if r := redriver(t, cl); r.Done(Position{dead, 1, 0}) || r.Done(Position{dead, 0, 5}) {
		t.Error("letters count as put back that were not")
	}
}

// A redrive whose records were not acknowledged notes nothing, and one whose
// note fails says that its letters come again. Neither loses one.
func TestRedriveThatFailsLosesNoLetter(t *testing.T) {
	for _, c := range []struct {
		name  string
		key   kmsg.Key
		twice bool // the records were written before it failed
	}{
		{"not written", kmsg.Produce, false},
		{"written and not noted", kmsg.OffsetCommit, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, cl := post(t, 2)
			span, all := letters(t, cl, 0)
			var mended atomic.Bool
			k.ControlKey(int16(c.key), func(req kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				if mended.Load() {
					return nil, nil, false
				}
				if r, ok := req.(*kmsg.ProduceRequest); ok {
					return refuse(r), nil, true
				}
				return refuseCommit(req.(*kmsg.OffsetCommitRequest)), nil, true
			})
			n, err := redriver(t, cl).Redrive(t.Context(), span, all)
			if n != 0 || err == nil || strings.Contains(err.Error(), "puts them back again") != c.twice {
				t.Fatalf("%d put back, error %v", n, err)
			}
			mended.Store(true)
			if n, err := redriver(t, cl).Redrive(t.Context(), span, all); n != 2 || err != nil {
				t.Fatalf("then %d put back (%v), want both", n, err)
			}
			want := "0/0 0/1"
			if c.twice {
				want = "0/0 0/0 0/1 0/1"
			}
			if got := arrived(t, k); got != want {
				t.Errorf("back are %s, want %s", got, want)
			}
		})
	}
}

// A redrive whose brokers are gone ends with an error, however long they are.
func TestRedriveDoesNotWaitForEver(t *testing.T) {
	c, cl := post(t, 2)
	span, all := letters(t, cl, 0)
	var back atomic.Bool
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("gone"), !back.Load()
	})
	r := redriver(t, cl)
	r.patience = time.Second
	if n, err := r.Redrive(t.Context(), span, all); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d put back, error %v, want that it took too long", n, err)
	}
	back.Store(true)
	if n, err := redriver(t, cl).Redrive(t.Context(), span, all); n != 2 || err != nil {
		t.Fatalf("then %d put back (%v), want both", n, err)
	}
	if got := arrived(t, c); got != "0/0 0/1" {
		t.Errorf("back are %s, want each once", got)
	}
}

func refuse(req *kmsg.ProduceRequest) kmsg.Response {
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

func refuseCommit(req *kmsg.OffsetCommitRequest) kmsg.Response {
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

// Of two redrives at the same time the one that finds the other's note stops
// before it writes anything.
func TestRedriveMeetsAnother(t *testing.T) {
	c, cl := post(t, 3)
	span, all := letters(t, cl, 0)
	first, second := redriver(t, cl), redriver(t, cl)
	if _, err := first.Redrive(t.Context(), span, all[:1]); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Redrive(t.Context(), span, all); n != 0 || !errors.Is(err, ErrConcurrentRedrive) {
		t.Errorf("%d put back, error %v, want %v", n, err, ErrConcurrentRedrive)
	}
	if _, err := first.Redrive(t.Context(), span, all); err != nil {
		t.Error(err)
	}
	if got := arrived(t, c); got != "0/0 0/1 0/2" {
		t.Errorf("back are %s", got)
	}
}

func TestRedriveRefuses(t *testing.T) {
	_, cl := post(t, 1)
	span, all := letters(t, cl, 0)
	_, others := letters(t, cl, 1)
	r := redriver(t, cl)
	if _, err := r.Redrive(t.Context(), span, others); err == nil || !strings.Contains(err.Error(), dead+"/1/0 is none of them") {
		t.Errorf("a letter of another partition: %v", err)
	}
	all[0].Origin.Topic = ""
	if _, err := r.Redrive(t.Context(), span, all); err == nil || !strings.Contains(err.Error(), "no topic for dead letters") {
		t.Errorf("a letter from nowhere: %v", err)
	}
	// Gaps between single letters, each wide enough to take a few characters.
	scattered := offsetSet{}
	for i := range int64(1500) {
		scattered.add(1 + i*2000)
	}
	r.done = map[string]map[int32]*offsetSet{dead: {0: &scattered}}
	all[0].Origin.Topic, all[0].Offset = topic, 1500*2000+5
	if _, err := r.Redrive(t.Context(), span, all); !errors.Is(err, ErrTooManyGaps) {
		t.Errorf("error %v, want %v", err, ErrTooManyGaps)
	}
}

// Letters that retention has dropped do not keep the group behind.
func TestRedriveAfterRetention(t *testing.T) {
	_, cl := post(t, 4)
	span, all := letters(t, cl, 0)
	if _, err := redriver(t, cl).Redrive(t.Context(), span, all[2:3]); err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	offsets.AddOffset(dead, 0, 2, -1)
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	span, all = letters(t, cl, 0)
	if n, err := redriver(t, cl).Redrive(t.Context(), span, all); n != 1 || err != nil {
		t.Fatalf("%d put back (%v), want the last one", n, err)
	}
	at, err := GroupOffsets(t.Context(), cl, RedriveGroup, dead)
	if err != nil || at[0].Committed != 4 || at[0].Lag() != 0 || at[1].Lag() != 4 {
		t.Errorf("the group is at %+v (%v), want the end of the first partition", at, err)
	}
}

// Redrives of drawn letters one after the other, some of which end between the
// acknowledgement and the note: every letter comes back, once and once more for
// each such end while it was open.
func TestRedrivesThatEndInTheMiddle(t *testing.T) {
	const n = 12
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 0))
		c, cl := post(t, n)
		span, all := letters(t, cl, 0)
		want := map[string]int{}
		for range 6 {
			var drawn []DeadLetter
			for _, l := range all {
				if dice.IntN(2) == 0 {
					drawn = append(drawn, l)
				}
			}
			r := redriver(t, cl)
			ends := dice.IntN(3) == 0
			for i := range drawn {
				if p := drawn[i].Position; !r.Done(p) {
					want[strings.TrimPrefix(p.String(), dead+"/")]++
					if ends {
						produce(t, r.out.(*Producer), drawn[i].RedrivenRecord())
					}
				}
			}
			if ends {
				continue
			}
			if _, err := r.Redrive(t.Context(), span, drawn); err != nil {
				t.Fatal(err)
			}
		}
		r := redriver(t, cl)
		for _, l := range all {
			if !r.Done(l.Position) {
				want[strings.TrimPrefix(l.Position.String(), dead+"/")]++
			}
		}
		if _, err := r.Redrive(t.Context(), span, all); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for from := range strings.FieldsSeq(arrived(t, c)) {
			got[from]++
		}
		if len(got) != n || !maps.Equal(got, want) {
			t.Errorf("seed %d: back are %v, want %v", seed, got, want)
		}
	}
}
