package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Work of twelve seconds shows that it has begun, and twice how far it has got; its
// error is returned.
func TestDuringShowsThatWorkGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began, failed := time.Now(), errors.New("failed")
		err := during(&out, "comparing", func() string { return fmt.Sprint(time.Since(began)) }, func() error {
			time.Sleep(12 * time.Second) // the bubble's clock
			return failed
		})
		if want := "comparing\ncomparing: 5s\ncomparing: 10s\n"; out.String() != want || !errors.Is(err, failed) {
			t.Errorf("printed %q, %v, want %q and the error", out.String(), err, want)
		}
	})
}
