// Package storetest says what a store of shared/stage has to do, as tests that
// every implementation passes. Each function takes a way to make an empty
// store and runs its cases as subtests.
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

// writers is how many goroutines race in the tests of concurrent writes.
const writers = 8

// noon is the moment the tests count from.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// later is noon and some minutes.
func later(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// walkInID is the nth of some well-formed walk-in ids.
func walkInID(n int) events.WalkInID { return events.WalkInID(fmt.Sprintf("%032x", n)) }

// race runs write from several goroutines at once and gives their errors.
func race(write func(writer int) error) []error {
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

// oneWins checks that exactly one of the racing writers had no error and the
// others a conflict, and gives the winner.
func oneWins(t *testing.T, errs []error) (winner int) {
	t.Helper()
	winner = -1
	for w, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = w
		case err == nil:
			t.Fatalf("writers %d and %d both won", winner, w)
		case !conflicts(err):
			t.Fatalf("writer %d: %v, want a conflict", w, err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	return winner
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func conflicts(err error) bool { return errors.Is(err, stage.ErrConflict) }

func wantConflict(t *testing.T, err error) {
	t.Helper()
	if !conflicts(err) {
		t.Errorf("error %v, want a conflict", err)
	}
}

// wantCanceled checks the error of a call whose context was done before.
func wantCanceled(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that the context is canceled", err)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
