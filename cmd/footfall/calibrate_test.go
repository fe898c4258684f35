package main

import "testing"

// A recording is parted where the share of what is known lies, so that both
// parts have something to choose or to report on.
func TestSplitAt(t *testing.T) {
	for _, c := range []struct {
		why     string
		weights []float64
		share   float64
		want    int
	}{
		{"all days alike", []float64{1, 1, 1, 1}, 0.5, 2},
		{"most is known of the last days", []float64{0, 0, 0, 24, 24}, 0.5, 4},
		{"the nearest midnight", []float64{1, 2, 1, 7, 1}, 0.5, 3},
		{"a greater share", []float64{1, 1, 1, 1}, 0.75, 3},
		{"one day cannot be parted", []float64{5}, 0.5, 0},
		{"nor can what is known of one day", []float64{0, 5, 0}, 0.5, 0},
		{"no day at all", nil, 0.5, 0},
	} {
		if got := splitAt(c.weights, c.share); got != c.want {
			t.Errorf("%s: before day %d, want %d", c.why, got, c.want)
		}
	}
}
