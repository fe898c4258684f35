// Package storetest is the conformance test of the tables of shared/stage: every
// implementation (shared/dynamo, shared/memory) passes the same tests.
//
// Each exported function tests one port. It takes an empty store, or a function
// that opens an empty store per case, and runs its cases as subtests. The names of
// the cases state the properties; start with visitlog.go.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// writers is the number of goroutines in the tests of concurrent writes.
const writers = 8

// noon is the time from which later counts.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// later returns the time some minutes after noon.
func later(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// walkInID returns the nth well-formed walk-in id.
func walkInID(n int) events.WalkInID { return events.WalkInID(fmt.Sprintf("%032x", n)) }

// race calls write in several goroutines at the same time and returns their errors,
// by writer.
func race(write func(writer int) error) []error {
	// Goroutines wait for start, so that the calls overlap.
	errs := make([]error, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			<-start
			errs[w] = write(w)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOneWinner fails the test unless exactly one of the racing writers had no
// error, and the others had a conflict. It returns the writer without an error.
func wantOneWinner(t *testing.T, errs []error) (winner int) {
	t.Helper()
	winner = -1
	for w, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = w
		case err == nil:
			t.Fatalf("writers %d and %d both succeeded, want one", winner, w)
		case !conflicts(err):
			t.Fatalf("writer %d: got error %v, want a conflict", w, err)
		}
	}
	if winner < 0 {
		t.Fatal("no writer succeeded, want one")
	}
	return winner
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// conflicts reports whether err is that of a conditional write whose condition did
// not hold.
func conflicts(err error) bool { return errors.Is(err, stage.ErrConflict) }

func wantConflict(t *testing.T, err error) {
	t.Helper()
	if !conflicts(err) {
		t.Errorf("got error %v, want a conflict", err)
	}
}

// wantCanceled checks the error of a call with a canceled context.
func wantCanceled(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

// canceled returns a context that is done.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
