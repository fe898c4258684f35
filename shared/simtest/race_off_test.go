//go:build !race

package simtest

// raceDetector is true under the race detector, which is slow: quickRun then
// returns true.
const raceDetector = false
