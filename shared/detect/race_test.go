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
)

// Several pollers deliver the whole partition at the same time, each to an
// environment of its own and in batches of its own, of which some are
// redelivered: walk-ins, ends and tallies are those of one environment without
// faults.
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

// poll delivers a partition to environments in random batches, until all of it is
// done. No batch begins after the first record that is not done.
func poll(dep *deployment, l *sightingsPartition, random *rand.Rand) {
	env := dep.environment()
	for done := 0; done < len(l.Records); {
		from, to := max(0, done-random.IntN(4)), min(len(l.Records), done+1+random.IntN(12))
		if random.IntN(10) == 0 {
			env = dep.environment()
		}
		if env.Handle(context.Background(), l.Batch(from, to)) == nil && random.IntN(10) > 0 {
			done = to
		}
	}
}

// Partitions are added, and three environments adopt the devices of all of them at
// the same time, through a topic epoch of which most changelogs have not begun.
func TestAdoptionInSeveralEnvironmentsAtOnce(t *testing.T) {
	const devices = 2500
	for seed := range uint64(5) {
		dep := newDeployment()
		parts := withVisits(t, dep, devices)
		dep.topics.Description.Partitions = 4
		parts[3].tick(t, noon.Add(time.Minute))
		if err := dep.environment().Handle(t.Context(), parts[3].All()); err != nil {
			t.Fatal(err)
		}
		dep.topics.Description.Partitions = 8
		begin := len(parts[0].Records)
		enterAll(t, parts, devices, 8, noon.Add(10*time.Minute))
		dep.log = &lossyLog{VisitLog: dep.log, random: rand.New(rand.NewPCG(seed, 5))}
		var all sync.WaitGroup
		for range 3 {
			env := dep.environment()
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
		wantOneWalkInEach(t, dep, devices)
		if got := sumTallies(t, dep, 1, 4, 8); got.Sightings != 2*devices || got.WalkIns != devices {
			t.Errorf("seed %d: tally %+v, want %d sightings and %d walk-ins", seed, got, 2*devices, devices)
		}
	}
}
