// Package presence decides: when a device is in the store, which contact a
// walk-in is attributed to, and how many visits of a contact count. Every
// function is pure: the result depends on the arguments alone. The package
// reads no wall clock, does no I/O and writes no log, so a replay of the same
// records returns the same decisions.
//
// # The rules of a visit
//
// A visit is decided per device and business by seven rules. The defaults are in
// brackets; Rules holds the settings of one business.
//
//   - Entry threshold: a sighting at or above the entry threshold [-70 dBm] is
//     strong and opens a candidate. A weaker sighting of a device that is not
//     inside is a passer-by: it is counted and opens no candidate.
//   - Confirmation: a candidate becomes a visit after [2] strong steps at least
//     [5 min] apart without a gap over [10 min]; at once if a strong sighting is
//     associated.
//   - Session gap: sightings at or above the hold threshold [-85 dBm] extend the
//     visit. The visit ends after the session gap [30 min; 15 min if all
//     sightings were associated].
//   - Session: a router that reports sessions is silent from the association to
//     the disassociation. In between the visit does not end, until [12 h] after the
//     latest association. The latest association at any router of the store
//     decides, and only the router of that association can close the session.
//   - Disorder: input up to one step [2 min] out of order gives the same walk-ins
//     as input in order. A sighting further behind the watermark than the allowed
//     lateness [15 min] counts only inside an open visit.
//   - Resident devices: a device is resident if it is listed, or if it was inside
//     in more than [10] hours, or in a closed hour [none], on [3] days of these: the
//     local day of the visit and the 28 days before. Its visits are no walk-ins, nor
//     is a visit that begins in a closed hour, even if no device is learnt.
//   - Anonymous day: a randomised address that never associated lives for one
//     local day [UTC]; its walk-in is anonymous.
//
// # The grid
//
// The rules are evaluated on a grid of event time: steps of 2 minutes (Grid) with
// their origin at the Unix epoch. A step begins at its first millisecond and ends
// before that of the next step. A step counts once, however many sightings lie in
// it, so a duplicate changes nothing.
//
// A gap is rounded up to whole steps, and a sighting that many steps later still
// belongs to the stay: with 15 minutes, one up to 8 steps later does. So a gap is
// never shorter than its setting, and less than two steps longer. The span of the
// confirmation and the allowed lateness are compared to the millisecond.
//
// The days and hours of a sighting are those of the moment at which its step
// begins, in the time zone of the store.
//
// The watermark of a partition is its event-time clock: the moment of its latest
// tick record, 0 before the first tick. A sighting does not move the watermark,
// so a router with a fast clock does not either.
//
// # Where to start reading
//
// Device.Next decides on one sighting and Device.Tick applies a tick; both are in
// device.go and return the events to emit. settle.go confirms, merges and ends
// stays, stay.go is the state of one candidate or visit, habit.go learns resident
// devices. History in identity.go attributes a walk-in to a contact, and
// CountVisits in count.go counts.
//
// If the order of arrival is the reason for a piece of code, its comment has a
// worked sequence: sightings and ticks in the order in which they arrive, each with
// its time. Steps begin at even minutes, the rules are the default ones, and each
// sequence is a case of the tests. Package oracle computes the same results from
// the whole input, slowly, for the tests.
package presence
