//go:build race

package events

// raceEnabled is true under the race detector, which drops pooled memory at
// random: tests then do not count allocations.
const raceEnabled = true
