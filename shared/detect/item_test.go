package detect

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"footfall/shared/presence"
)

// drawStay draws a stay with any values, whether or not a decision leaves one like
// that.
func drawStay(t *rapid.T) presence.Stay {
	at := func(name string) presence.Instant {
		return presence.Instant(rapid.Int64Range(1, 4_102_444_800_000).Draw(t, name))
	}
	s := presence.Stay{
		Start: at("start"), Last: at("last"), Confirmed: rapid.Bool().Draw(t, "confirmed"),
		Ended: rapid.Bool().Draw(t, "ended"), Associated: rapid.Bool().Draw(t, "associated"),
		Plain: rapid.Bool().Draw(t, "plain"), WeakPlain: rapid.Bool().Draw(t, "weakPlain"),
		Randomised: rapid.Bool().Draw(t, "randomised"), Resident: rapid.Bool().Draw(t, "resident"),
	}
	if s.Confirmed {
		s.ConfirmedStart = at("walkIn")
	} else {
		s.Strong = rapid.Uint64().Draw(t, "strong")
	}
	if rapid.Bool().Draw(t, "weak") {
		s.Weak = at("weak at")
	}
	if rapid.Bool().Draw(t, "session") {
		s.Session = presence.Session{JoinedAt: at("joined"), Router: rapid.Uint32().Draw(t, "router")}
		if rapid.Bool().Draw(t, "left") {
			s.Session.LeftAt = s.Session.JoinedAt + presence.Instant(rapid.Int64Range(1, 86_400_000).Draw(t, "session lasts"))
		}
	}
	return s
}

// drawItem draws an item with up to some devices.
func drawItem(t *rapid.T) changelogItem {
	r := changelogItem{
		offset: rapid.Int64Min(-1).Draw(t, "offset"), watermark: presence.Instant(rapid.Int64Range(0, 4_102_444_800_000).Draw(t, "watermark")),
		oldestNeeded: rapid.Int64Min(0).Draw(t, "from"), partial: rapid.Bool().Draw(t, "partial"), sealed: rapid.Bool().Draw(t, "sealed"), entries: []itemEntry{},
	}
	for _, n := range r.tally.numbers() {
		*n = rapid.Int64Min(0).Draw(t, "tally")
	}
	keys := rapid.SliceOfDistinct(rapid.StringMatching(`(cafe|cafe-2|b)/[a-zA-Z0-9_-]{0,30}`), rapid.ID).Draw(t, "keys")
	slices.Sort(keys)
	for _, key := range keys {
		d := presence.Device{Stays: []presence.Stay{}}
		for range rapid.IntRange(0, 3).Draw(t, "stays") {
			d.Stays = append(d.Stays, drawStay(t))
		}
		for range rapid.IntRange(-2, 40).Draw(t, "days") {
			d.Habit = append(d.Habit, presence.Day{
				Number: rapid.Int32().Draw(t, "day"), Hours: rapid.OneOf(rapid.Just(presence.Full), rapid.Uint32Range(0, presence.Full)).Draw(t, "hours"),
			})
		}
		r.entries = append(r.entries, itemEntry{key, d})
	}
	return r
}

// An item is decoded as it was encoded.
func TestItemRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawItem(t)
		got, err := decodeItem(want.encode())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
	})
}

// No part is over the limit, no part is empty unless there are no entries, and
// the parts together are the entries. No entry takes more than maxEntrySize.
func TestSplitEntriesKeepsTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawItem(t)
		limit := rapid.IntRange(400, 2000).Draw(t, "limit")
		var joined []itemEntry
		parts := splitEntries(r.entries, r.watermark, limit)
		for _, part := range parts {
			packed := 0
			for i := range part {
				size := len(appendEntry(nil, "", &part[i], r.watermark, itemVersion))
				if most := maxEntrySize(part[i].key, &part[i].device); size > most {
					t.Fatalf("an entry takes %d bytes, want %d at most", size, most)
				}
				packed += size
			}
			if packed > limit || len(part) == 0 && len(r.entries) > 0 {
				t.Fatalf("a part of %d entries takes %d bytes, want %d at most", len(part), packed, limit)
			}
			joined = append(joined, part...)
		}
		if len(parts) == 0 || !reflect.DeepEqual(append([]itemEntry{}, joined...), r.entries) {
			t.Fatalf("%d parts hold %d of %d entries", len(parts), len(joined), len(r.entries))
		}
	})
}

// Changelogs that began under version 1 hold such items.
func TestItemOfVersion1IsRead(t *testing.T) {
	const at = presence.Instant(1_772_452_800_000)
	old, err := hex.DecodeString("01528098dbe695670600c80104780e060203000c636166652f70686f6e652d310129c0ee6d80c566000b0132" +
		"0258c0cf24000180a61d04d00fd00f030b013300")
	if err != nil {
		t.Fatal(err)
	}
	want := changelogItem{offset: 41, watermark: at, oldestNeeded: 3, tally: Tally{Sightings: 100, Late: 2, PassersBy: 60, WalkIns: 7, Anonymous: 3, Dead: 1}, entries: []itemEntry{
		{"cafe/phone-1", presence.Device{Stays: []presence.Stay{
			{Start: at - 900_000, Last: at - 60_000, ConfirmedStart: at - 900_000, Confirmed: true, Plain: true, Randomised: true},
		}}},
		{"cafe/phone-2", presence.Device{Stays: []presence.Stay{
			{Start: at - 300_000, Last: at - 300_000, Strong: 1, Plain: true, Weak: at - 60_000, WeakPlain: true},
			{Start: at - 1000, Last: at, Strong: 3, Associated: true},
		}}},
		{"cafe/phone-3", presence.Device{Stays: []presence.Stay{}}},
	}}
	got, err := decodeItem(old)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}

// While releases of detect change, the former one reads the items of this one: an
// item without sessions is of version 2, to the byte.
func TestItemWithoutSessionsIsOfVersion2(t *testing.T) {
	const at = presence.Instant(1_772_452_800_000)
	stay := presence.Stay{Start: at - 900_000, Last: at - 60_000, ConfirmedStart: at - 900_000, Confirmed: true, Plain: true, Resident: true}
	it := changelogItem{offset: 41, watermark: at, entries: []itemEntry{{"cafe/till", presence.Device{Stays: []presence.Stay{stay}}}}}
	const written = "02528098dbe6956700000000000000000000010009636166652f74696c6c0289c0ee6d80c56600" // by the release before
	if got := hex.EncodeToString(it.encode()); got != written {
		t.Errorf("got %s, want %s", got, written)
	}
	it.entries[0].device.Stays[0].Session = presence.Session{JoinedAt: at - 900_000, Router: 7}
	if got := it.encode()[0]; got != 3 {
		t.Errorf("with a session: got version %d, want 3", got)
	}
}

// A habit takes as few bytes in an item as decision 0011 in docs/decisions states.
func TestHabitTakesFewBytes(t *testing.T) {
	const at = presence.Instant(1_772_452_800_000)
	day := int32(utcDay(at))
	e := itemEntry{"cafe/till", presence.Device{Stays: []presence.Stay{{Start: at, Last: at}}}}
	bare := len(appendEntry(nil, "", &e, at, itemVersion))
	e.device.Habit = presence.Habit{{Number: day - 7, Hours: presence.Full}, {Number: day - 2, Hours: presence.Full}, {Number: day, Hours: presence.Full}}
	if n := len(appendEntry(nil, "", &e, at, itemVersion)) - bare; n > 7 {
		t.Errorf("three days of a resident device take %d bytes, want 7 at most", n)
	}
	e.device.Habit = append(e.device.Habit, presence.Day{Number: day + 1, Hours: 0b111 << 9})
	if n := len(appendEntry(nil, "", &e, at, itemVersion)) - bare; n > 12 {
		t.Errorf("three days of a resident device and another day take %d bytes, want 12 at most", n)
	}
}

func TestBytesThatAreNoItemAreAnError(t *testing.T) {
	good := (&changelogItem{entries: []itemEntry{{"cafe/phone", presence.Device{Stays: []presence.Stay{{Start: 1, Last: 2}}}}}}).encode() // of version 2
	cases := map[string][]byte{
		"nothing":            {},
		"a later version":    append([]byte{itemVersion + 1}, good[1:]...),
		"no version":         append([]byte{0}, good[1:]...),
		"a cut one":          good[:len(good)-1],
		"one with a tail":    append(bytes.Clone(good), 0),
		"a habit of no days": append(bytes.Clone(good[:len(good)-5]), 1, 0), // in place of the one stay
		"a head without end": {itemVersion, 0x80},
	}
	for name, data := range cases {
		if _, err := decodeItem(data); err == nil {
			t.Errorf("%s: no error, want one", name)
		}
	}
}

// FuzzDecodeItem checks that no bytes make the decoder panic or allocate without
// bound, and that an item that it decodes survives a round trip.
func FuzzDecodeItem(f *testing.F) {
	f.Add((&changelogItem{offset: -1}).encode())
	r := changelogItem{offset: 7, watermark: 1_772_452_800_000, oldestNeeded: 3}
	for i := range 3 {
		r.entries = append(r.entries, itemEntry{
			fmt.Sprint("cafe/phone-", i), presence.Device{Stays: []presence.Stay{{Start: 1_772_452_000_000, Last: 1_772_452_700_000, Confirmed: true}}},
		})
	}
	f.Add(r.encode())
	r.entries[1].device.Habit = presence.Habit{{Number: 20_000, Hours: presence.Full}, {Number: 20_001, Hours: 7}}
	f.Add(r.encode())
	r.entries[2].device.Stays[0].Session = presence.Session{JoinedAt: 1_772_452_000_000, Router: 7, LeftAt: 1_772_452_700_000}
	f.Add(r.encode())
	version1 := r.encode()
	version1[0] = 1
	f.Add(version1)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeItem(data)
		if err != nil {
			return
		}
		again, err := decodeItem(r.encode())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%v: %s", err, strings.TrimSpace(fmt.Sprintf("%+v then %+v", r, again)))
		}
	})
}

func TestItemOfAnUnknownVersionIsAnError(t *testing.T) {
	item := (&changelogItem{offset: 7}).encode()
	for _, version := range []byte{0, itemVersion + 1} {
		if _, err := decodeItem(append([]byte{version}, item[1:]...)); err == nil {
			t.Errorf("version %d: no error, want one", version)
		}
	}
}
