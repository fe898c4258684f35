package kafka

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/stage"
)

// FuzzParseDeadLetter checks that a dead letter with any headers goes back to the
// topic of its dead-letter topic, with its key, value and foreign headers, and that
// each redrive raises the number of redrives by one.
func FuzzParseDeadLetter(f *testing.F) {
	f.Add([]byte("shop/phone"), []byte("value"), stage.HeaderPartition, []byte("3"), stage.HeaderOffset, []byte("99"))
	f.Add([]byte{}, []byte(nil), HeaderRedrives, []byte("2"), HeaderRedrives, []byte("-1"))
	f.Add([]byte("tick"), []byte("x"), stage.HeaderTopic, []byte("elsewhere"), "own", []byte{0, 255})
	f.Add([]byte(nil), []byte{}, stage.HeaderPartition, []byte("2147483648"), stage.HeaderOffset, []byte("9223372036854775808"))
	f.Fuzz(func(t *testing.T, key, value []byte, name1 string, value1 []byte, name2 string, value2 []byte) {
		r := &kgo.Record{
			Topic: topic + "-dead-letters", Partition: 1, Offset: 7, Key: key, Value: value,
			Headers: []kgo.RecordHeader{{Key: name1, Value: value1}, {Key: name2, Value: value2}},
		}
		l := ParseDeadLetter(r)
		if l.Origin.Topic != topic || l.Origin.Partition < unknownNumber || l.Origin.Offset < unknownNumber || l.Redrives < 0 {
			t.Fatalf("read as %+v, want topic %s and numbers of at least -1", l, topic)
		}
		back := l.RedrivenRecord()
		if back.Topic != topic || !same(back.Key, key) || !same(back.Value, value) {
			t.Fatalf("redriven as %+v, want the key and the value on %s", back, topic)
		}
		for _, h := range r.Headers {
			kept := false
			for _, b := range back.Headers {
				kept = kept || b.Key == h.Key && bytes.Equal(b.Value, h.Value)
			}
			if own := strings.HasPrefix(h.Key, ownHeaders); !own && !kept {
				t.Errorf("the redriven record lacks header %q", h.Key)
			}
		}
		r.Headers = nil
		for _, h := range back.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader(h))
		}
		if again := ParseDeadLetter(r); l.Redrives < math.MaxInt32 && again.Redrives != l.Redrives+1 {
			t.Errorf("%d redrives, and %d after one more", l.Redrives, again.Redrives)
		}
	})
}

// FuzzParsePosition checks that String writes a position as ParsePosition reads it.
func FuzzParsePosition(f *testing.F) {
	for _, seed := range []string{"a/0/0", "walk-ins/2147483647/9223372036854775807", "a/-1/2", "a/?/?", "//", "a/+1/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePosition(text)
		if err != nil {
			return
		}
		if again, err := ParsePosition(p.String()); err != nil || again != p {
			t.Fatalf("%q is read as %+v, and that as %+v, %v", text, p, again, err)
		}
	})
}

// FuzzDecodeOffsetSet checks that any text in the metadata of a commit is either an
// error or a valid set, which stays the same when it is written and read again.
func FuzzDecodeOffsetSet(f *testing.F) {
	s := offsetSet{floor: 3}
	for _, offset := range []int64{5, 6, 9, 1 << 40} {
		s.add(offset)
	}
	f.Add(int64(3), s.encodeRuns())
	f.Add(int64(0), "")
	f.Add(int64(9), "1-2,x")
	f.Fuzz(func(t *testing.T, floor int64, text string) {
		got, err := decodeOffsetSet(floor, text)
		if err != nil {
			return
		}
		again, err := decodeOffsetSet(floor, got.encodeRuns())
		if err != nil || again.encodeRuns() != got.encodeRuns() {
			t.Fatalf("%q is read as %+v, and that as %+v, %v", text, got, again, err)
		}
		last := got.floor
		for _, r := range got.runs {
			if r.first <= last || r.last < r.first {
				t.Fatalf("%q is read as the runs %+v above %d, want ascending runs that do not touch", text, got.runs, got.floor)
			}
			last = r.last
		}
	})
}

// FuzzParseBatch checks that parseBatch returns a size within the bytes it was
// passed, or 0.
func FuzzParseBatch(f *testing.F) {
	header := make([]byte, batchHeaderBytes)
	binary.BigEndian.PutUint32(header[batchLengthAt:], batchHeaderBytes-batchLengthAt-4)
	f.Add(header)
	f.Add(bytes.Repeat([]byte{255}, 100))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, size := parseBatch(OffsetRange{Topic: topic}, raw)
		if size < 0 || size > len(raw) || size > 0 && b.Bytes != size {
			t.Fatalf("a batch of %d bytes in %d: %+v", size, len(raw), b)
		}
	})
}
