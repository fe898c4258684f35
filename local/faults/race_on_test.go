//go:build race

package faults

// raceDetector reports whether the race detector is on, which slows a run down
// about tenfold.
const raceDetector = true
