package invocation

import "time"

// WallClock returns the machine's current time without a reading of the
// monotonic clock.
//
// Lambda freezes an environment between invocations, and a frozen monotonic clock
// stands still. A duration by the monotonic clock would leave out the pause: after
// a pause of an hour, an entry of a cache would seem to be seconds old. If two
// times may lie in different invocations, both must come from WallClock. For a
// duration within one invocation time.Now is enough.
func WallClock() time.Time { return time.Now().Round(0) }
