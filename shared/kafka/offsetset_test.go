package kafka

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A set contains the offsets that were added, in any order, and no others, and its
// text reads back as the same set.
func TestOffsetSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		floor := rapid.Int64Range(0, 50).Draw(t, "floor")
		s := offsetSet{floor: floor}
		in := map[int64]bool{}
		for _, offset := range rapid.SliceOf(rapid.Int64Range(0, 120)).Draw(t, "offsets") {
			s.add(offset)
			in[offset] = true
		}
		raised := rapid.Int64Range(0, 60).Draw(t, "raised to")
		s.raise(raised)
		back, err := decodeOffsetSet(s.floor, s.encodeRuns())
		if err != nil {
			t.Fatal(err)
		}
		if back.floor != s.floor || !slices.Equal(back.runs, s.runs) {
			t.Fatalf("%+v reads back as %+v", s, back)
		}
		for offset := range int64(130) {
			if want := offset < floor || offset < raised || in[offset]; s.has(offset) != want {
				t.Fatalf("%+v: has(%d) = %t, want %t", s, offset, s.has(offset), want)
			}
		}
		if s.has(s.floor) {
			t.Fatalf("%+v contains its floor, want a higher floor", s)
		}
	})
}

func TestOffsetSetText(t *testing.T) {
	s := offsetSet{floor: 1000}
	for _, offset := range []int64{1002, 1003, 1004, 1050} {
		s.add(offset)
	}
	if got, want := s.encodeRuns(), "1:2.3,19"; got != want {
		t.Errorf("encoded as %q, want %q", got, want)
	}
	for _, text := range []string{"x", "2:1", "1:", "1:0", "1:1,", "1:1.0", "1:-1", "1:1.1.1", "1:zzzzzzzzzzzzzzzzzz", "1:1y2p0ij32e8e7,1y2p0ij32e8e7,1y2p0ij32e8e7"} {
		if got, err := decodeOffsetSet(0, text); err == nil {
			t.Errorf("%q is read as %+v, want an error", text, got)
		}
	}
}
