//go:build race

package events

// raceEnabled: the race detector drops pooled memory at random, so allocations
// are not counted under it.
const raceEnabled = true
