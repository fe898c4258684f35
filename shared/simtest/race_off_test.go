//go:build !race

package simtest

// raceDetector makes the runs fewer.
const raceDetector = false
