package recording

import (
	"fmt"
	"slices"
	"strings"
)

// Reason is the reason why a record of a recording is left out. A value that
// is missing, or that no device can have, leaves its record out. A text that is
// no value of its column at all is an error: it is most likely a mistake in the
// whole file.
type Reason int

const (
	used Reason = iota // the record is not left out

	// NoTime is a record without a time.
	NoTime
	// BadTime is a record with a time outside of the years 2000 to 2099, such
	// as those of a machine whose clock was never set.
	BadTime
	// NoSensor is a record without a sensor.
	NoSensor
	// NoAddress is a record without an address of a device.
	NoAddress
	// ZeroAddress is a record with the address 00:00:00:00:00:00.
	ZeroAddress
	// Multicast is a transmitter with a multicast address, which no device may
	// transmit from. In the recordings looked at these are bursts of up to four
	// frames, never heard again, one frame in 400.
	Multicast
	// NoSignal is a record without a signal strength.
	NoSignal
	// BadSignal is a record with a signal strength outside of [-127, 0] dBm.
	BadSignal
	// Malformed is a packet that cannot be decoded or was received damaged.
	Malformed
	// OtherFrames is a packet that is no probe request.
	OtherFrames

	reasons // the number of reasons
)

// reasonTexts are the texts of the reasons.
var reasonTexts = [reasons]string{
	NoTime:      "no time",
	BadTime:     "time not within the years 2000 to 2099",
	NoSensor:    "no sensor",
	NoAddress:   "no address of a device",
	ZeroAddress: "address 00:00:00:00:00:00",
	Multicast:   "multicast address, which no device has",
	NoSignal:    "no signal strength",
	BadSignal:   "signal strength not within [-127, 0] dBm",
	Malformed:   "packet damaged or of unknown form",
	OtherFrames: "no probe request",
}

// mayBeCut reports whether a record that is cut off may have the reason.
func (r Reason) mayBeCut() bool {
	switch r {
	case NoTime, BadTime, NoSensor, NoAddress, NoSignal, BadSignal:
		return true
	default:
		return false
	}
}

// String returns the reason in words.
func (r Reason) String() string { return reasonTexts[r] }

// Counts holds the number of records left out, by reason.
type Counts [reasons]int64

// LeftOut is the number of records that were left out for one reason.
type LeftOut struct {
	Reason  Reason
	Records int64
	First   Position // the first of them
}

// String returns "3: no signal strength, first at office.csv:17".
func (l LeftOut) String() string {
	return fmt.Sprintf("%d: %v, first at %v", l.Records, l.Reason, l.First)
}

// report collects what a person should know of the files that were read: the
// records left out, and notes.
type report struct {
	stats Stats
	first [reasons]Position
	notes []string
}

// leaveOut counts a record that is left out.
func (r *report) leaveOut(why Reason, at Position) {
	if r.stats.LeftOut[why] == 0 {
		r.first[why] = at
	}
	r.stats.LeftOut[why]++
}

// note adds a note unless the report has it already.
func (r *report) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// leftOut returns the records left out, in the order of the reasons.
func (r *report) leftOut() []LeftOut {
	var all []LeftOut
	for why, n := range r.stats.LeftOut {
		if n > 0 {
			all = append(all, LeftOut{Reason(why), n, r.first[why]})
		}
	}
	return all
}

// nothing returns the error for files of which nothing was read.
func (r *report) nothing(names []string) error {
	var why []string
	for _, l := range r.leftOut() {
		why = append(why, "left out "+l.String())
	}
	if why = append(why, r.notes...); len(why) == 0 {
		why = append(why, "it holds no sightings")
	}
	return fmt.Errorf("%s: nothing was read from the recording: %s", strings.Join(names, ", "), strings.Join(why, "; "))
}
