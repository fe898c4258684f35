package invocation

import "time"

// WallClock returns the machine's current time without a reading of the
// monotonic clock.
//
// Lambda freezes an environment between invocations, and the monotonic clock
// stands still meanwhile. A duration between two readings of it would leave out
// the pause: an entry read before a pause of an hour would look seconds old
// after the pause. Code that compares times of different invocations takes its
// times from WallClock; time.Now is enough for a duration within one invocation.
func WallClock() time.Time { return time.Now().Round(0) }
