package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const group = "footfall-enrich-walk-ins"

// commitOffset commits an offset of group.
func commitOffset(t testing.TB, cl *kgo.Client, partition int32, offset int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}

func TestShiftGetsPastADamagedBatch(t *testing.T) {
	cl, p := damagedLog(t)
	putBatch(t, p, 1, "x")
	commitOffset(t, cl, 0, 2)
	commitOffset(t, cl, 1, 1)
	s, err := PlanShift(t.Context(), cl, group, topic, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if s.Target != 4 || len(s.Batches) != 2 || s.Batches[0].Err == nil || s.Batches[1].Err != nil || s.Batches[1].First != 4 {
		t.Errorf("plan %+v, want to pass over the damaged batch and to continue at 4", s)
	}
	wantGroup(t, cl, "2 4, 1 0") // PlanShift moves nothing
	if err := s.Apply(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	wantGroup(t, cl, "4 2, 1 0")
	if err := s.Apply(t.Context(), cl); err == nil || !strings.Contains(err.Error(), "moved from offset 2 to 4 meanwhile") {
		t.Errorf("the same shift again: error %v, want that the group has moved", err)
	}
}

// wantGroup checks the committed offset and the lag of group in each partition,
// written as "committed lag" with commas between partitions.
func wantGroup(t testing.TB, cl *kgo.Client, want string) {
	t.Helper()
	offsets, err := GroupOffsets(t.Context(), cl, group, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range offsets {
		got = append(got, fmt.Sprintf("%d %d", o.Committed, o.Lag()))
	}
	if g := strings.Join(got, ", "); g != want {
		t.Errorf("committed offsets and lags %s, want %s", g, want)
	}
}

func TestShiftStaysWithinTheLog(t *testing.T) {
	cl, _ := damagedLog(t)
	for _, c := range []struct {
		name string
		by   int64
		ok   bool
	}{
		{"from the start of the log, without a commit, to its end", 6, true},
		{"beyond the end", 7, false},
		{"before the start", -1, false},
		{"by 0", 0, true},
	} {
		_, err := PlanShift(t.Context(), cl, group, topic, 0, c.by)
		if (err == nil) != c.ok {
			t.Errorf("%s: error %v, want success: %t", c.name, err, c.ok)
		}
		if err != nil && !strings.Contains(err.Error(), "between 0 and 6") {
			t.Errorf("%s: error %v lacks the possible numbers", c.name, err)
		}
	}
	if _, err := PlanShift(t.Context(), cl, group, topic, 2, 1); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a missing partition: error %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
}

// The commits of RedriveGroup record which dead letters were put back, and a shift
// would delete that record.
func TestShiftOfTheRedriveGroupFails(t *testing.T) {
	cl := client(t, cluster(t, topic).ListenAddrs())
	if _, err := PlanShift(t.Context(), cl, RedriveGroup, topic, 0, 0); err == nil || !strings.Contains(err.Error(), "record which dead letters were put back") {
		t.Errorf("error %v", err)
	}
}

// A group with a member, of either group protocol, is not shifted. A group that gets
// a member after PlanShift is not shifted either. A shift by 0 is allowed.
func TestShiftOfAGroupWithMembersFails(t *testing.T) {
	for name, opt := range map[string]kgo.Opt{
		"classic": kgo.Balancers(kgo.CooperativeStickyBalancer()),
		"newer":   kgo.ServerSideBalancer(),
	} {
		t.Run(name, func(t *testing.T) {
			cl, _ := damagedLog(t)
			before, err := PlanShift(t.Context(), cl, group, topic, 0, 2)
			if err != nil {
				t.Fatal(err)
			}
			member, err := kgo.NewClient(kgo.SeedBrokers(cl.OptValue(kgo.SeedBrokers).([]string)[0]), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), opt)
			if err != nil {
				t.Fatal(err)
			}
			defer member.Close()
			if f := member.PollFetches(within(t, 30*time.Second)); f.NumRecords() == 0 {
				t.Fatal(f.Err())
			}
			if _, err := PlanShift(t.Context(), cl, group, topic, 0, 2); !errors.Is(err, ErrGroupActive) {
				t.Errorf("PlanShift: error %v, want %v", err, ErrGroupActive)
			}
			if err := before.Apply(t.Context(), cl); !errors.Is(err, ErrGroupActive) {
				t.Errorf("Apply: error %v, want %v", err, ErrGroupActive)
			}
			if _, err := PlanShift(t.Context(), cl, group, topic, 0, 0); err != nil {
				t.Errorf("PlanShift by 0: %v", err)
			}
		})
	}
}
