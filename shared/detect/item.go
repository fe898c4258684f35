package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"footfall/shared/presence"
)

// changelogItem is the content of one item of a partition's changelog: how far
// the partition has been decided, and the state of each device that changed
// since the item before.
//
// The packed form is as follows. A varint is that of encoding/binary, signed;
// a uvarint is unsigned; times are presence.Instant, in milliseconds.
//
//	byte     version of the format, 2 or 3
//	varint   offset
//	varint   watermark
//	varint   oldestNeeded
//	uvarint  flags: bit 0 partial, bit 1 sealed
//	8 varint the tally, in the order of its fields
//	uvarint  number of entries; then each entry, in ascending order of the keys:
//	  uvarint  how many bytes the key shares with the start of the key before
//	  uvarint  how many bytes of the key follow, and those bytes
//	  uvarint  twice the number of stays, plus 1 if the device has a habit
//	  stays    each:
//	    uvarint  flags, see flagConfirmed and the others; in version 2 a byte
//	    varint   watermark minus Start
//	    varint   Last minus Start
//	    varint   ConfirmedStart minus Start, if the stay is confirmed; otherwise
//	    uvarint  Strong
//	    varint   Weak minus Start, if flagWeak is set
//	    session  if flagSession is set, in version 3 only:
//	      varint   JoinedAt minus Start
//	      uvarint  Router
//	      uvarint  LeftAt minus JoinedAt, 0 while the session is open
//	  habit    if the device has one:
//	    uvarint  number of days, then each:
//	      varint   its number minus the number of the day before; the first day
//	               counts from the UTC day of the watermark
//	      uvarint  the bits of the hours that the day lacks, 0 for presence.Full
type changelogItem struct {
	offset       int64            // the last offset of sightings that is decided, -1 for none
	watermark    presence.Instant // of the partition after that offset, 0 before the first tick
	oldestNeeded int64            // sequence number of the oldest item that a cold reader needs
	partial      bool             // the adoption of the former topic epoch goes on in the next item
	sealed       bool             // the changelog ends here: a later topic epoch has adopted its devices
	tally        Tally            // of the records since the item before
	entries      []itemEntry      // sorted by key
}

// itemEntry is a device whose state changed, and the state that the device has
// now. A device without stays and without a habit is forgotten.
type itemEntry struct {
	key    string // of the device's records
	device presence.Device
}

// itemVersion is the latest version of the format. Former versions are read too.
// Version 2 has no sessions, and a byte of flags. Version 1 had no habits either, so
// the number of stays stood alone, and six tallies instead of eight. An environment
// of a release that does not know a version fails on its items, and the batch is
// redelivered to another environment.
const itemVersion = 3

// version returns the version that encode writes: version 2 if no device has a
// session. So a former release can read the items while the releases of detect
// change, since the stage that writes sessions is released after detect.
func (it *changelogItem) version() byte {
	for i := range it.entries {
		for j := range it.entries[i].device.Stays {
			if it.entries[i].device.Stays[j].Session.JoinedAt != 0 {
				return itemVersion
			}
		}
	}
	return 2
}

// talliesOfVersion1 is the count of tally numbers in an item of version 1.
const talliesOfVersion1 = 6

// Bits of an item's flags.
const (
	flagPartial = 1 << iota
	flagSealed
)

// Bits of a stay's flags.
const (
	flagConfirmed = 1 << iota
	flagEnded
	flagAssociated
	flagPlain
	flagWeakPlain
	flagRandomised
	flagWeak // the stay holds a weak sighting
	flagResident
	flagSession // the device has joined a router
)

const (
	// maxStayBytes is an upper bound of one packed stay, which takes 67 bytes at
	// most, and of the lengths and counts that an entry has beside its stays.
	maxStayBytes = 77
	// maxDayBytes is an upper bound of one packed day of a habit, which takes 9 bytes
	// at most, and of the count of the days.
	maxDayBytes = 10
)

// maxEntrySize returns an upper bound of the bytes that a device takes in an
// item. A device with fewer than two stays is counted with room for two.
func maxEntrySize(key string, d *presence.Device) int {
	return len(key) + max(2, len(d.Stays))*maxStayBytes + len(d.Habit)*maxDayBytes
}

// errItem is the error for bytes that encode did not write.
var errItem = errors.New("changelog item does not parse")

// encode packs the item.
func (it *changelogItem) encode() []byte {
	version := it.version()
	b := it.appendHead(append(make([]byte, 0, 64+48*len(it.entries)), version))
	keyBefore := ""
	for i := range it.entries {
		e := &it.entries[i]
		b = appendEntry(b, keyBefore, e, it.watermark, version)
		keyBefore = e.key
	}
	return b
}

// appendHead packs all that comes before the entries, except for the version.
func (it *changelogItem) appendHead(b []byte) []byte {
	b = binary.AppendVarint(b, it.offset)
	b = binary.AppendVarint(b, int64(it.watermark))
	b = binary.AppendVarint(b, it.oldestNeeded)

	flags := uint64(0)
	if it.partial {
		flags |= flagPartial
	}
	if it.sealed {
		flags |= flagSealed
	}
	b = binary.AppendUvarint(b, flags)

	for _, n := range it.tally.numbers() {
		b = binary.AppendVarint(b, *n)
	}
	return binary.AppendUvarint(b, uint64(len(it.entries)))
}

// appendEntry packs one device. keyBefore is the key of the entry before, ""
// for the first.
func appendEntry(b []byte, keyBefore string, e *itemEntry, watermark presence.Instant, version byte) []byte {
	shared := sharedPrefix(keyBefore, e.key)
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(e.key)-shared))
	b = append(b, e.key[shared:]...)

	// The lowest bit of the count marks a habit.
	count := uint64(len(e.device.Stays)) << 1
	if len(e.device.Habit) > 0 {
		count |= 1
	}
	b = binary.AppendUvarint(b, count)
	for i := range e.device.Stays {
		b = appendStay(b, &e.device.Stays[i], watermark, version)
	}
	return appendHabit(b, e.device.Habit, watermark)
}

// appendHabit packs days as differences, and the hours that a day lacks instead
// of those that it has: a day that speaks for a resident device lacks none and
// takes two bytes.
func appendHabit(b []byte, h presence.Habit, watermark presence.Instant) []byte {
	if len(h) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(h)))
	dayBefore := utcDay(watermark)
	for _, d := range h {
		b = binary.AppendVarint(b, int64(d.Number)-dayBefore)
		b = binary.AppendUvarint(b, uint64(presence.Full&^d.Hours))
		dayBefore = int64(d.Number)
	}
	return b
}

// utcDay returns the number of the day since the epoch, in UTC.
func utcDay(t presence.Instant) int64 { return int64(t) / (24 * 60 * 60 * 1000) }

// sharedPrefix returns how many bytes a and b have in common at their start.
func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// appendStay packs the times of a stay as differences, the start to the
// watermark and the others to the start: they are small numbers then.
func appendStay(b []byte, s *presence.Stay, watermark presence.Instant, version byte) []byte {
	flags := uint64(0)
	// In the order of the bits.
	for bit, set := range []bool{
		s.Confirmed, s.Ended, s.Associated, s.Plain, s.WeakPlain, s.Randomised, s.Weak != 0, s.Resident, s.Session.JoinedAt != 0,
	} {
		if set {
			flags |= 1 << bit
		}
	}
	if version == 2 {
		b = append(b, byte(flags))
	} else {
		b = binary.AppendUvarint(b, flags)
	}
	b = binary.AppendVarint(b, int64(watermark-s.Start))
	b = binary.AppendVarint(b, int64(s.Last-s.Start))

	// A visit has the start that its walk-in has, a candidate has strong steps.
	if s.Confirmed {
		b = binary.AppendVarint(b, int64(s.ConfirmedStart-s.Start))
	} else {
		b = binary.AppendUvarint(b, s.Strong)
	}
	if s.Weak != 0 {
		b = binary.AppendVarint(b, int64(s.Weak-s.Start))
	}
	if session := &s.Session; session.JoinedAt != 0 {
		b = binary.AppendVarint(b, int64(session.JoinedAt-s.Start))
		b = binary.AppendUvarint(b, uint64(session.Router))
		b = binary.AppendUvarint(b, uint64(max(0, session.LeftAt-session.JoinedAt)))
	}
	return b
}

// decodeItem unpacks an item. Bytes that encode did not write are an error
// wherever the difference can be seen.
func decodeItem(data []byte) (changelogItem, error) {
	r := &itemDecoder{b: data}
	if v := r.bytes(1); r.bad || v[0] == 0 || v[0] > itemVersion {
		return changelogItem{}, fmt.Errorf("%w: its version is not one of 1 to %d", errItem, itemVersion)
	}
	r.version = data[0]

	// The head, up to the number of entries.
	it := changelogItem{offset: r.varint(), watermark: presence.Instant(r.varint()), oldestNeeded: r.varint()}
	flags := r.uvarint()
	it.partial, it.sealed = flags&flagPartial != 0, flags&flagSealed != 0
	tallies := it.tally.numbers()
	if r.version == 1 {
		tallies = tallies[:talliesOfVersion1]
	}
	for _, n := range tallies {
		*n = r.varint()
	}
	count := r.uvarint()
	// An entry takes a byte or more, so a larger count is wrong. The check comes
	// before memory is allocated for that many.
	if r.bad || count > uint64(len(r.b)) {
		return changelogItem{}, fmt.Errorf("%w: its head is cut short", errItem)
	}

	// The entries. A key is built on top of the key before.
	it.entries = make([]itemEntry, 0, count)
	key := []byte(nil)
	for range count {
		shared := r.uvarint()
		if shared > uint64(len(key)) {
			return changelogItem{}, fmt.Errorf("%w: a key shares %d bytes with the key before, which has %d", errItem, shared, len(key))
		}
		key = append(key[:shared], r.bytes(r.uvarint())...)
		it.entries = append(it.entries, itemEntry{string(key), r.device(it.watermark)})
	}
	if r.bad || len(r.b) > 0 {
		return changelogItem{}, fmt.Errorf("%w: its entries are cut short or too long", errItem)
	}
	return it, nil
}

// itemDecoder unpacks the parts of an item. After the first part that does not
// fit, bad is set and each method returns a zero value.
type itemDecoder struct {
	b       []byte // the rest
	version byte
	bad     bool
}

func (r *itemDecoder) varint() int64 {
	v, n := binary.Varint(r.b)
	return skip(r, v, n)
}

func (r *itemDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return skip(r, v, n)
}

// skip returns v and removes the n bytes that v was read from. n is 0 or less
// if there was no v.
func skip[T any](r *itemDecoder, v T, n int) T {
	if n <= 0 {
		r.bad, r.b = true, nil
		var zero T
		return zero
	}
	r.b = r.b[n:]
	return v
}

// bytes returns the next n bytes.
func (r *itemDecoder) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// device unpacks the state of one device.
func (r *itemDecoder) device(watermark presence.Instant) presence.Device {
	count, hasHabit := r.uvarint(), false
	if r.version > 1 {
		count, hasHabit = count>>1, count&1 != 0
	}
	if count > uint64(len(r.b)) { // a stay takes a byte or more
		r.bad = true
		return presence.Device{}
	}
	d := presence.Device{Stays: make([]presence.Stay, 0, count)}
	for range count {
		d.Stays = append(d.Stays, r.stay(watermark))
	}
	if hasHabit {
		d.Habit = r.habit(watermark)
	}
	return d
}

// habit unpacks the days of a habit.
func (r *itemDecoder) habit(watermark presence.Instant) presence.Habit {
	count := r.uvarint()
	if count == 0 || count > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	h := make(presence.Habit, 0, count)
	dayBefore := utcDay(watermark)
	for range count {
		number, lacks := r.varint()+dayBefore, r.uvarint()
		h = append(h, presence.Day{Number: int32(number), Hours: presence.Full &^ uint32(lacks)})
		dayBefore = int64(int32(number))
	}
	return h
}

// stay unpacks one stay.
func (r *itemDecoder) stay(watermark presence.Instant) presence.Stay {
	flags := r.flags()
	has := func(bit uint64) bool { return flags&bit != 0 }
	s := presence.Stay{
		Confirmed: has(flagConfirmed), Ended: has(flagEnded), Associated: has(flagAssociated),
		Plain: has(flagPlain), WeakPlain: has(flagWeakPlain), Randomised: has(flagRandomised),
		Resident: has(flagResident),
	}
	// The times, as differences to the watermark and to the start.
	s.Start = watermark - presence.Instant(r.varint())
	s.Last = s.Start + presence.Instant(r.varint())
	if s.Confirmed {
		s.ConfirmedStart = s.Start + presence.Instant(r.varint())
	} else {
		s.Strong = r.uvarint()
	}
	if has(flagWeak) {
		s.Weak = s.Start + presence.Instant(r.varint())
	}
	if has(flagSession) {
		s.Session = r.session(s.Start)
	}
	return s
}

// session unpacks the session of a stay that began at start.
func (r *itemDecoder) session(start presence.Instant) presence.Session {
	s := presence.Session{JoinedAt: start + presence.Instant(r.varint()), Router: uint32(r.uvarint())}
	if left := presence.Instant(r.uvarint()); left != 0 {
		s.LeftAt = s.JoinedAt + left
	}
	r.bad = r.bad || s.JoinedAt == 0 || s.LeftAt != 0 && s.LeftAt <= s.JoinedAt
	return s
}

// flags unpacks the flags of a stay: one byte up to version 2.
func (r *itemDecoder) flags() uint64 {
	if r.version > 2 {
		return r.uvarint()
	}
	if b := r.bytes(1); !r.bad {
		return uint64(b[0])
	}
	return 0
}

// splitEntries cuts sorted entries into parts of up to limit bytes each, so that
// each part fits an item. It returns one empty part if there are no entries. An
// entry over the limit is a part of its own.
func splitEntries(entries []itemEntry, watermark presence.Instant, limit int) [][]itemEntry {
	var parts [][]itemEntry
	begin, size := 0, 0
	for i := range entries {
		// Without a key before, since the entry may become the first of its part.
		n := len(appendEntry(nil, "", &entries[i], watermark, itemVersion))
		if size+n > limit && i > begin {
			parts = append(parts, entries[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	return append(parts, slices.Clip(entries[begin:]))
}
