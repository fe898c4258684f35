package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"footfall/shared/presence"
)

// Tally counts what detect saw. It is kept in the partition log, so that a sum
// over a chain is exact whatever was retried.
type Tally struct {
	Sightings int64 // decided on, late ones and passers-by among them
	Late      int64 // too far behind the clock to count
	PassersBy int64 // sightings of devices that are not inside and weak
	WalkIns   int64
	Anonymous int64 // of WalkIns
	Dead      int64 // records sent to the dead letters
	Residents int64 // visits of devices that are no customers', which have no walk-in
	Excluded  int64 // sightings that the business has ruled out
}

// Plus adds two tallies.
func (t Tally) Plus(u Tally) Tally {
	return Tally{
		t.Sightings + u.Sightings, t.Late + u.Late, t.PassersBy + u.PassersBy,
		t.WalkIns + u.WalkIns, t.Anonymous + u.Anonymous, t.Dead + u.Dead,
		t.Residents + u.Residents, t.Excluded + u.Excluded,
	}
}

// logEntry is a device whose state changed, and the state it has now.
type logEntry struct {
	key    string
	device presence.Device
}

// logRecord is what an item of a partition log says. Packed, it is a version
// byte, varints, and the entries in ascending order of their keys, each key
// without the part that it shares with the one before it.
type logRecord struct {
	offset  int64            // the last offset it covers, -1 for none
	clock   presence.Instant // of the partition, after that offset
	from    int64            // the oldest item of the chain that a cold reader needs
	partial bool             // an adoption that goes on in the next item
	sealed  bool             // the chain ends here: a later generation has adopted it
	tally   Tally
	entries []logEntry // sorted by key
}

// logVersion is what is written. What the first version wrote is read too: it had
// no habits, and two numbers less of tallies. Whoever knows that version alone
// fails on an item of this one, and is given the batch again elsewhere.
const logVersion = 2

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
	flagWeak
	flagResident
)

var errLogItem = errors.New("log item does not parse")

func (r *logRecord) appendHead(b []byte) []byte {
	b = append(b, logVersion)
	b = binary.AppendVarint(b, r.offset)
	b = binary.AppendVarint(b, int64(r.clock))
	b = binary.AppendVarint(b, r.from)
	flags := uint64(0)
	if r.partial {
		flags |= flagPartial
	}
	if r.sealed {
		flags |= flagSealed
	}
	b = binary.AppendUvarint(b, flags)
	for _, n := range r.tally.numbers() {
		b = binary.AppendVarint(b, *n)
	}
	return binary.AppendUvarint(b, uint64(len(r.entries)))
}

func (t *Tally) numbers() []*int64 {
	return []*int64{
		&t.Sightings, &t.Late, &t.PassersBy, &t.WalkIns, &t.Anonymous, &t.Dead, &t.Residents, &t.Excluded,
	}
}

// encode packs the record.
func (r *logRecord) encode() []byte {
	b := r.appendHead(make([]byte, 0, 64+48*len(r.entries)))
	former := ""
	for i := range r.entries {
		e := &r.entries[i]
		b = appendEntry(b, former, e, r.clock)
		former = e.key
	}
	return b
}

func appendEntry(b []byte, former string, e *logEntry, clock presence.Instant) []byte {
	shared := sharedPrefix(former, e.key)
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(e.key)-shared))
	b = append(b, e.key[shared:]...)
	count := uint64(len(e.device.Stays)) << 1 // the last bit says that there is a habit
	if len(e.device.Habit) > 0 {
		count |= 1
	}
	b = binary.AppendUvarint(b, count)
	for i := range e.device.Stays {
		b = appendStay(b, &e.device.Stays[i], clock)
	}
	return appendHabit(b, e.device.Habit, clock)
}

// appendHabit writes days as how far each is from the one before it, or the first
// from that of the clock, and which hours it lacks: of a day that speaks for a
// resident, 0.
func appendHabit(b []byte, h presence.Habit, clock presence.Instant) []byte {
	if len(h) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(h)))
	former := utcDay(clock)
	for _, d := range h {
		b = binary.AppendVarint(b, int64(d.Number)-former)
		b = binary.AppendUvarint(b, uint64(presence.Full&^d.Hours))
		former = int64(d.Number)
	}
	return b
}

func utcDay(at presence.Instant) int64 { return int64(at) / (24 * 60 * 60 * 1000) }

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func appendStay(b []byte, s *presence.Stay, clock presence.Instant) []byte {
	flags := byte(0)
	for bit, set := range []bool{s.Confirmed, s.Ended, s.Associated, s.Plain, s.WeakPlain, s.Randomised, s.Weak != 0, s.Resident} {
		if set {
			flags |= 1 << bit
		}
	}
	b = append(b, flags)
	b = binary.AppendVarint(b, int64(clock-s.Start))
	b = binary.AppendVarint(b, int64(s.Last-s.Start))
	if s.Confirmed {
		b = binary.AppendVarint(b, int64(s.ConfirmedStart-s.Start))
	} else {
		b = binary.AppendUvarint(b, s.Strong)
	}
	if s.Weak != 0 {
		b = binary.AppendVarint(b, int64(s.Weak-s.Start))
	}
	return b
}

// reader takes a packed record apart. After the first thing that does not fit,
// everything it gives is zero and bad is set.
type reader struct {
	b       []byte
	version byte
	bad     bool
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	return skip(r, v, n)
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return skip(r, v, n)
}

func skip[T any](r *reader, v T, n int) T {
	if n <= 0 {
		r.bad, r.b = true, nil
		var zero T
		return zero
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// decodeLogRecord undoes encode. It fails on bytes that encode did not make, as
// far as they can be told.
func decodeLogRecord(data []byte) (logRecord, error) {
	r := &reader{b: data}
	if v := r.bytes(1); r.bad || v[0] == 0 || v[0] > logVersion {
		return logRecord{}, fmt.Errorf("%w: version is not %d or below", errLogItem, logVersion)
	}
	r.version = data[0]
	rec := logRecord{offset: r.varint(), clock: presence.Instant(r.varint()), from: r.varint()}
	flags := r.uvarint()
	rec.partial, rec.sealed = flags&flagPartial != 0, flags&flagSealed != 0
	tallies := rec.tally.numbers()
	if r.version == 1 {
		tallies = tallies[:6]
	}
	for _, n := range tallies {
		*n = r.varint()
	}
	count := r.uvarint()
	if r.bad || count > uint64(len(r.b)) {
		return logRecord{}, fmt.Errorf("%w: head is cut short", errLogItem)
	}
	rec.entries = make([]logEntry, 0, count)
	key := []byte(nil)
	for range count {
		shared := r.uvarint()
		if shared > uint64(len(key)) {
			return logRecord{}, fmt.Errorf("%w: key shares %d bytes of %d", errLogItem, shared, len(key))
		}
		key = append(key[:shared], r.bytes(r.uvarint())...)
		rec.entries = append(rec.entries, logEntry{string(key), r.device(rec.clock)})
	}
	if r.bad || len(r.b) > 0 {
		return logRecord{}, fmt.Errorf("%w: entries are cut short or too long", errLogItem)
	}
	return rec, nil
}

func (r *reader) device(clock presence.Instant) presence.Device {
	count, habit := r.uvarint(), false
	if r.version > 1 {
		count, habit = count>>1, count&1 != 0
	}
	if count > uint64(len(r.b)) {
		r.bad = true
		return presence.Device{}
	}
	d := presence.Device{Stays: make([]presence.Stay, 0, count)}
	for range count {
		d.Stays = append(d.Stays, r.stay(clock))
	}
	if habit {
		d.Habit = r.habit(clock)
	}
	return d
}

func (r *reader) habit(clock presence.Instant) presence.Habit {
	count := r.uvarint()
	if count == 0 || count > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	h := make(presence.Habit, 0, count)
	former := utcDay(clock)
	for range count {
		number, lacks := r.varint()+former, r.uvarint()
		h = append(h, presence.Day{Number: int32(number), Hours: presence.Full &^ uint32(lacks)})
		former = int64(int32(number))
	}
	return h
}

func (r *reader) stay(clock presence.Instant) presence.Stay {
	f := r.bytes(1)
	if r.bad {
		return presence.Stay{}
	}
	has := func(bit byte) bool { return f[0]&bit != 0 }
	s := presence.Stay{
		Confirmed: has(flagConfirmed), Ended: has(flagEnded), Associated: has(flagAssociated),
		Plain: has(flagPlain), WeakPlain: has(flagWeakPlain), Randomised: has(flagRandomised),
		Resident: has(flagResident),
	}
	s.Start = clock - presence.Instant(r.varint())
	s.Last = s.Start + presence.Instant(r.varint())
	if s.Confirmed {
		s.ConfirmedStart = s.Start + presence.Instant(r.varint())
	} else {
		s.Strong = r.uvarint()
	}
	if has(flagWeak) {
		s.Weak = s.Start + presence.Instant(r.varint())
	}
	return s
}

// split cuts sorted entries so that each part fits an item.
func split(entries []logEntry, clock presence.Instant, limit int) [][]logEntry {
	var parts [][]logEntry
	begin, size := 0, 0
	for i := range entries {
		n := len(appendEntry(nil, "", &entries[i], clock))
		if size+n > limit && i > begin {
			parts = append(parts, entries[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	return append(parts, slices.Clip(entries[begin:]))
}
