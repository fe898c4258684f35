package town

import (
	"math"
	"math/rand/v2"
	"time"
)

// dice is a source of random numbers. Each part of the town has its own, so
// that the events in one part do not depend on the number of draws in another.
type dice struct{ *rand.Rand }

// Streams of random numbers.
const (
	planStream uint64 = iota + 1
	streetStream
	phoneStream
	houseStream
	outageStream
	postStream
	staffStream
)

// newDice returns the dice of a part of the town.
func newDice(seed uint64, part ...uint64) dice {
	h := hash(seed, part...)
	return dice{rand.New(rand.NewPCG(h, hash(h)))}
}

// hash mixes numbers into one (SplitMix64's finaliser, Steele et al. 2014).
func hash(seed uint64, parts ...uint64) uint64 {
	h := mix(seed)
	for _, p := range parts {
		h = mix(h ^ p)
	}
	return h
}

// mix is one step of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit converts a hash to a number within [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// chance returns true with probability p.
func (d dice) chance(p float64) bool { return d.Float64() < p }

// between returns a duration within [a, b), in whole milliseconds.
func (d dice) between(a, b time.Duration) time.Duration {
	return (a + time.Duration(d.Float64()*float64(b-a))).Truncate(time.Millisecond)
}

// around returns a log-normally distributed duration: half of the durations are
// below median, and about two thirds within a factor of e^spread of it.
func (d dice) around(median time.Duration, spread float64) time.Duration {
	return time.Duration(float64(median) * math.Exp(spread*d.NormFloat64())).Truncate(time.Millisecond)
}
