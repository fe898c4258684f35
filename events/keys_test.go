package events

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// TestKeys: the form of each key, and the reverse of DeviceKey.
func TestKeys(t *testing.T) {
	if got := string(DeviceKey("cafe-1", "d/1")); got != "cafe-1/d/1" {
		t.Errorf("got device key %q, want cafe-1/d/1", got)
	}
	if got := string(ContactKey("cafe-1", "c")); got != "cafe-1/c" {
		t.Errorf("got contact key %q, want cafe-1/c", got)
	}
	if got := string(BusinessKey("cafe-1")); got != "cafe-1" {
		t.Errorf("got business key %q, want cafe-1", got)
	}
	b, d, ok := SplitDeviceKey("cafe-1/d/1")
	if b != "cafe-1" || d != "d/1" || !ok {
		t.Errorf("SplitDeviceKey: got %q, %q, %v, want cafe-1, d/1, true", b, d, ok)
	}
	if _, _, ok := SplitDeviceKey("cafe-1"); ok {
		t.Error("SplitDeviceKey of a key without '/': got ok, want false")
	}
}

// TestIsJoinedKey: the comparison without an allocation agrees with the plain
// comparison, on keys that differ in little.
func TestIsJoinedKey(t *testing.T) {
	part := rapid.StringMatching(`[ab/]{0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, key := part.Draw(t, "a"), part.Draw(t, "b"), rapid.StringMatching(`[ab/]{0,9}`).Draw(t, "key")
		if got, want := isJoinedKey([]byte(key), a, b), key == a+"/"+b; got != want {
			t.Fatalf("isJoinedKey(%q, %q, %q): got %v, want %v", key, a, b, got, want)
		}
		if !isJoinedKey(joinKey(a, b), a, b) {
			t.Fatalf("isJoinedKey of the key of %q and %q: got false, want true", a, b)
		}
	})
}

// TestWalkInIDGolden: the id of a known visit never changes, since ids are in
// topics and tables. The vector was computed outside of Go from the comment of
// NewWalkInID.
func TestWalkInIDGolden(t *testing.T) {
	const want = WalkInID("e726a03a50bdfeb2bef66cf2a2b7d2fb")
	if got := NewWalkInID(cafe, guest, start); got != want {
		t.Errorf("got id %s, want %s", got, want)
	}
	elsewhere := start.In(time.FixedZone("east", 3600)).Add(999 * time.Microsecond)
	if got := NewWalkInID(cafe, guest, elsewhere); got != want {
		t.Errorf("in another zone: got id %s, want %s", got, want)
	}
}

// TestWalkInIDsDiffer: different visits have different ids, also if the texts of
// business and device joined together are equal.
func TestWalkInIDsDiffer(t *testing.T) {
	seen := map[WalkInID]string{}
	for _, id := range []struct {
		b  BusinessID
		d  DeviceID
		at time.Time
	}{
		{"ab", "c", start},
		{"a", "bc", start},
		{"abc", "", start},
		{"c", "ab", start},
		{"ab", "c", start.Add(time.Millisecond)},
		{"ab", "c", time.UnixMilli(-start.UnixMilli())},
	} {
		got := NewWalkInID(id.b, id.d, id.at)
		if other, ok := seen[got]; ok {
			t.Errorf("%+v has the same id as %s", id, other)
		}
		seen[got] = string(id.b) + " " + string(id.d)
		if err := validID("id", string(got)); err != nil || len(got) != 32 {
			t.Errorf("got %q, want an id of 32 characters: %v", got, err)
		}
	}
}

// TestMurmur2: the vectors are those of Kafka's own test
// (UtilsTest.testMurmur2).
func TestMurmur2(t *testing.T) {
	vectors := map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	}
	for text, want := range vectors {
		if got := int32(murmur2([]byte(text))); got != want {
			t.Errorf("murmur2(%q): got %d, want %d", text, got, want)
		}
	}
}

// TestPartition: Partition agrees with the default partitioner of a Kafka client
// for any key and number of partitions.
func TestPartition(t *testing.T) {
	client := kgo.StickyKeyPartitioner(nil).ForTopic(Sightings)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, "key")
		n := rapid.Int32Range(1, 1000).Draw(t, "partitions")
		want := client.Partition(&kgo.Record{Key: key}, int(n))
		if got := Partition(key, n); int(got) != want {
			t.Fatalf("Partition(%x, %d): got %d, want %d as the client", key, n, got, want)
		}
	})
}

// TestBadRecord: the error text begins with the reason, and errors.Is finds the
// cause.
func TestBadRecord(t *testing.T) {
	err := Bad(Undecodable, "reading: %w", io.ErrUnexpectedEOF)
	if got, want := err.Error(), "undecodable: reading: unexpected EOF"; got != want {
		t.Errorf("got error %q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("errors.Is does not find the cause")
	}
}
