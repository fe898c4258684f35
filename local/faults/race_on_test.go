//go:build race

package faults

// raceDetector slows a run down about tenfold.
const raceDetector = true
