package recording

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A fault in one packet does not stop the reading of the others.
func TestPacketsLeftOut(t *testing.T) {
	good := probe(0, "00:1b:63:84:45:e6", -61)
	with := func(f frame, change func(*frame)) frame {
		change(&f)
		return f
	}
	for _, c := range []struct {
		why   string
		frame frame
		want  Stats
	}{
		{"a good one", good, Stats{Sightings: 3}},
		{"an access point's beacon", with(good, func(f *frame) { f.kind = layers.Dot11TypeMgmtBeacon }), Stats{LeftOut: Counts{OtherFrames: 1}}},
		{"a probe response", with(good, func(f *frame) { f.kind = layers.Dot11TypeMgmtProbeResp }), Stats{LeftOut: Counts{OtherFrames: 1}}},
		{"data", with(good, func(f *frame) { f.kind = layers.Dot11TypeData }), Stats{LeftOut: Counts{OtherFrames: 1}}},
		{"data of a kind not defined", with(good, func(f *frame) { f.kind = layers.Dot11TypeData | 0x34 }), Stats{LeftOut: Counts{OtherFrames: 1}}},
		{"no signal strength", with(good, func(f *frame) { f.signal = 0 }), Stats{LeftOut: Counts{NoSignal: 1}}},
		{"a signal strength that cannot be", with(good, func(f *frame) { f.signal = 20 }), Stats{LeftOut: Counts{NoSignal: 1}}},
		{"the weakest a byte can say", with(good, func(f *frame) { f.signal = -128 }), Stats{LeftOut: Counts{NoSignal: 1}}},
		{"received damaged", with(good, func(f *frame) { f.flags = layers.RadioTapFlagsBadFCS }), Stats{LeftOut: Counts{Malformed: 1}}},
		{"checksum does not fit", checksummed(good, []byte{1, 7, 3, 4}), Stats{LeftOut: Counts{Malformed: 1}}},
		{"checksum fits", checksummed(good, nil), Stats{Sightings: 3}},
		{"checksum was zeroed by the driver", checksummed(good, make([]byte, 4)), Stats{Sightings: 3}},
		{"checksum was stripped by the driver", checksummed(good, []byte{}), Stats{Sightings: 3}},
		{"a frame damaged on the air", with(checksummed(good, nil), func(f *frame) {
			whole := f.harm
			f.harm = func(b []byte) []byte { b = whole(b); b[len(b)-6] ^= 0x10; return b }
		}), Stats{LeftOut: Counts{Malformed: 1}}},
		{"before the clock was set", with(good, func(f *frame) { f.at = -1793620000 }), Stats{LeftOut: Counts{BadTime: 1}}},
		{"no transmitter", probe(0, "00:00:00:00:00:00", -61), Stats{LeftOut: Counts{ZeroAddress: 1}}},
		{"from a multicast address", probe(0, "01:1b:63:84:45:e6", -61), Stats{LeftOut: Counts{Multicast: 1}}},
		{"cut to nothing", with(good, cutTo(0)), Stats{LeftOut: Counts{Malformed: 1}}},
		{"radiotap header cut", with(good, cutTo(9)), Stats{LeftOut: Counts{Malformed: 1}}},
		{"no frame at all", with(good, cutTo(10)), Stats{LeftOut: Counts{Malformed: 1}}},
		{"frame cut in its addresses", with(good, cutTo(22)), Stats{LeftOut: Counts{Malformed: 1}}},
		{"radiotap header of no length", with(good, func(f *frame) {
			f.harm = func(b []byte) []byte { b[2] = 0; return b }
		}), Stats{LeftOut: Counts{Malformed: 1}}},
		{"radiotap header with one more bitmap than bytes", with(good, func(f *frame) {
			f.harm = func(b []byte) []byte {
				for i := 7; i < len(b); i += 4 {
					b[i] |= 0x80
				}
				return b
			}
		}), Stats{LeftOut: Counts{Malformed: 1}}},
	} {
		frames := []frame{good, c.frame, good}
		if c.want.Sightings == 0 {
			c.want.Sightings = 2
		}
		for form, content := range map[string][]byte{
			"pcap":   pcapOf(t, layers.LinkTypeIEEE80211Radio, frames...),
			"pcapng": pcapngOf(t, layers.LinkTypeIEEE80211Radio, frames...),
		} {
			_, stats, err := readString(string(content))
			if err != nil || stats != c.want {
				t.Errorf("%s, %s: %+v (%v), want %+v", c.why, form, stats, err, c.want)
			}
		}
	}
}

// checksummed returns a frame that is flagged as ending with its checksum, and
// ends with sum; nil stands for the right one.
func checksummed(f frame, sum []byte) frame {
	f.flags = layers.RadioTapFlagsFCS
	f.harm = func(b []byte) []byte {
		if sum == nil {
			return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b[binary.LittleEndian.Uint16(b[2:]):]))
		}
		return append(b, sum...)
	}
	return f
}

func cutTo(n int) func(*frame) {
	return func(f *frame) { f.harm = func(b []byte) []byte { return b[:n] } }
}

// A capture with a short snap length has no checksum at the end of its packets to
// check.
func TestShortenedPacketsCount(t *testing.T) {
	f := probe(0, "00:1b:63:84:45:e6", -61)
	f.flags = layers.RadioTapFlagsFCS
	data := append(f.bytes(t), 1, 2, 3, 4, 5, 6, 7, 8)
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(4096, layers.LinkTypeIEEE80211Radio); err != nil {
		t.Fatal(err)
	}
	info := gopacket.CaptureInfo{Timestamp: at(0.1234), CaptureLength: len(data), Length: 300}
	if err := w.WritePacket(info, data); err != nil {
		t.Fatal(err)
	}
	items, stats, err := readString(b.String())
	if err != nil || stats != (Stats{Sightings: 1}) {
		t.Fatalf("%+v (%v), want one sighting", stats, err)
	}
	if got := items[0].Sighting; got.SeenAt != at(0.123) || got.RSSI != -61 || got.Sensor != "stdin" {
		t.Errorf("read %+v", got)
	}
	if got := items[0].Source.String(); got != "stdin: packet 1" {
		t.Errorf("source is %q", got)
	}
}

// Wireshark records from several interfaces at once; interfaces without radiotap
// headers do not matter if one has them.
func TestInterfacesOfOtherKinds(t *testing.T) {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	radio, err := w.AddInterface(pcapgo.NgInterface{LinkType: layers.LinkTypeIEEE80211Radio, TimestampResolution: 9})
	if err != nil {
		t.Fatal(err)
	}
	data := probe(0, "00:1b:63:84:45:e6", -61).bytes(t)
	for _, index := range []int{0, radio} {
		info := gopacket.CaptureInfo{Timestamp: at(1), CaptureLength: len(data), Length: len(data), InterfaceIndex: index}
		if err := w.WritePacket(info, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	items, stats, err := readString(b.String())
	if err != nil || stats != (Stats{Sightings: 1, LeftOut: Counts{OtherFrames: 1}}) {
		t.Fatalf("%+v (%v), want one sighting and one other", stats, err)
	}
	if items[0].Sighting.SeenAt != at(1) {
		t.Errorf("seen at %v", items[0].Sighting.SeenAt)
	}
}
