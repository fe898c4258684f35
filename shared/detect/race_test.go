package detect_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// Several pollers give the whole partition at once, each to an environment of its
// own and cut into batches of its own, going back now and then: walk-ins, ends
// and figures are those of a calm run.
func TestSeveralPollersAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawPartition(t)
		calm := newDeployment()
		if err := calm.environment().Handle(context.Background(), l.All()); err != nil {
			t.Fatal(err)
		}
		rough := newDeployment()
		rough.log = &lossyLog{VisitLog: rough.log, random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "faults"), 3))}
		var all sync.WaitGroup
		for range 4 {
			seed := rapid.Uint64().Draw(t, "poller")
			all.Go(func() { poll(rough, l, rand.New(rand.NewPCG(seed, 4))) })
		}
		all.Wait()
		for _, topic := range []string{events.WalkIns, events.VisitsEnded} {
			want, got := distinctValues(calm.out.On(topic)), distinctValues(rough.out.On(topic))
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %d distinct records, want %d", topic, len(got), len(want))
			}
		}
		if got, want := sumTally(t, rough.log), sumTally(t, calm.log); got != want {
			t.Fatalf("tally %+v, want %+v", got, want)
		}
	})
}

// poll gives a partition to environments in random batches, each until it is
// done. A batch begins at the latest with the first record that is not.
func poll(w *deployment, l *sightingsPartition, random *rand.Rand) {
	env := w.environment()
	for done := 0; done < len(l.Records); {
		from, to := max(0, done-random.IntN(4)), min(len(l.Records), done+1+random.IntN(12))
		if random.IntN(10) == 0 {
			env = w.environment()
		}
		if env.Handle(context.Background(), l.Batch(from, to)) == nil && random.IntN(10) > 0 {
			done = to
		}
	}
}

// lossyLog loses some writes and some answers.
type lossyLog struct {
	stage.VisitLog
	mu     sync.Mutex
	random *rand.Rand
}

func (s *lossyLog) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	s.mu.Lock()
	fate := s.random.IntN(12)
	s.mu.Unlock()
	if fate == 0 {
		return stagetest.ErrInjected
	}
	if err := s.VisitLog.Append(ctx, chain, item, expires); err != nil {
		return err
	}
	if fate == 1 {
		return stagetest.ErrInjected
	}
	return nil
}

// Partitions are added, and three environments adopt all of them at once, through
// a generation that nobody has begun for most of its partitions.
func TestAdoptionInSeveralEnvironmentsAtOnce(t *testing.T) {
	const devices = 2500
	for seed := range uint64(5) {
		w := newDeployment()
		parts := withVisits(t, w, devices)
		w.topics.Description.Partitions = 4
		parts[3].tick(t, noon.Add(time.Minute))
		if err := w.environment().Handle(t.Context(), parts[3].All()); err != nil {
			t.Fatal(err)
		}
		w.topics.Description.Partitions = 8
		begin := len(parts[0].Records)
		enterAll(t, parts, devices, 8, noon.Add(10*time.Minute))
		w.log = &lossyLog{VisitLog: w.log, random: rand.New(rand.NewPCG(seed, 5))}
		var all sync.WaitGroup
		for range 3 {
			env := w.environment()
			for p, part := range parts {
				batch := part.All()
				if p == 0 {
					batch = part.Batch(begin-1, len(part.Records))
				}
				all.Go(func() {
					for env.Handle(context.Background(), batch) != nil {
						continue
					}
				})
			}
		}
		all.Wait()
		wantOneWalkInEach(t, w, devices)
		if got := sumTallies(t, w, 1, 4, 8); got.Sightings != 2*devices || got.WalkIns != devices {
			t.Errorf("seed %d: tally %+v, want %d sightings and %d walk-ins", seed, got, 2*devices, devices)
		}
	}
}
