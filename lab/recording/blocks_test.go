package recording

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"footfall/events"
)

// block returns a block of a pcapng.
func block(order binary.ByteOrder, kind uint32, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	body = append(body, make([]byte, -len(body)&3)...)
	b := make([]byte, 8, 12+len(body))
	order.PutUint32(b, kind)
	order.PutUint32(b[4:], uint32(12+len(body)))
	b = append(b, body...)
	return append(b, b[4:8]...)
}

// numbers returns numbers of 2 or 4 bytes, by their type.
func numbers(order binary.ByteOrder, all ...any) []byte {
	var b bytes.Buffer
	for _, n := range all {
		_ = binary.Write(&b, order, n) // a Buffer never fails
	}
	return b.Bytes()
}

// section returns the header of a section.
func section(order binary.ByteOrder) []byte {
	return block(order, sectionBlock, numbers(order, uint32(0x1a2b3c4d), uint16(1), uint16(0), int64(-1)))
}

// radioInterface returns an interface with options.
func radioInterface(order binary.ByteOrder, options ...[]byte) []byte {
	return block(order, interfaceBlock, append([][]byte{numbers(order, uint16(layers.LinkTypeIEEE80211Radio), uint16(0), uint32(0))}, options...)...)
}

// option returns an option of a block.
func option(order binary.ByteOrder, code uint16, value []byte) []byte {
	b := append(numbers(order, code, uint16(len(value))), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// enhanced returns a packet.
func enhanced(order binary.ByteOrder, device uint32, units uint64, captured int, data []byte) []byte {
	return block(order, enhancedBlock, numbers(order, device, uint32(units>>32), uint32(units), uint32(captured), uint32(len(data))), data)
}

func TestBlocksOfPcapng(t *testing.T) {
	data := probe(0, phone, -61).bytes(t)
	little, big := binary.LittleEndian, binary.BigEndian
	seconds := uint64(noon.Unix())
	packet := enhanced(little, 0, seconds*1e6, len(data), data)
	for _, c := range []struct {
		why   string
		file  [][]byte
		times []time.Duration // after noon
		left  Counts
		cut   bool
	}{
		{"one packet", [][]byte{section(little), radioInterface(little), packet}, []time.Duration{0}, Counts{}, false},
		{
			"blocks that are not known, statistics, names, secrets, an empty one",
			[][]byte{
				section(little), block(little, 0xbad, []byte("x")), radioInterface(little), block(little, 4, numbers(little, uint32(0))),
				block(little, 5, []byte("short")), block(little, 10), block(little, 0x40000bad, make([]byte, 100)), packet,
			},
			[]time.Duration{0}, Counts{}, false,
		},
		{
			"units of an interface: 10^-9, 2^-10, seconds, and 10^-20, which no time fits",
			[][]byte{
				section(little),
				radioInterface(little, option(little, resolutionOption, []byte{9}), option(little, 0, nil)),
				radioInterface(little, option(little, 2, []byte("wlan0")), option(little, resolutionOption, []byte{0x8a})),
				radioInterface(little, option(little, resolutionOption, []byte{0})),
				radioInterface(little, option(little, resolutionOption, []byte{20})),
				enhanced(little, 0, seconds*1e9+5e6, len(data), data), enhanced(little, 1, seconds<<10+512, len(data), data),
				enhanced(little, 2, seconds+1, len(data), data), enhanced(little, 3, seconds, len(data), data),
			},
			[]time.Duration{5 * time.Millisecond, 500 * time.Millisecond, time.Second}, Counts{NoTime: 1}, false,
		},
		{
			"times with an offset, and damaged options",
			[][]byte{
				section(little),
				radioInterface(little, option(little, offsetOption, binary.LittleEndian.AppendUint64(nil, seconds-10))),
				radioInterface(little, option(little, resolutionOption, nil), numbers(little, uint16(9), uint16(9000))),
				enhanced(little, 0, 10e6, len(data), data), enhanced(little, 1, seconds*1e6, len(data), data),
			},
			[]time.Duration{0, 0}, Counts{}, false,
		},
		{
			"sections of either byte order, each with interfaces of its own",
			[][]byte{
				section(little), radioInterface(little), packet,
				section(big), radioInterface(big, option(big, resolutionOption, []byte{3})), enhanced(big, 0, seconds*1e3+7, len(data), data),
				section(little), packet, // without an interface
			},
			[]time.Duration{0, 7 * time.Millisecond}, Counts{Malformed: 1}, false,
		},
		{
			"packets that do not fit their block or name no interface, among good ones",
			[][]byte{
				section(little), radioInterface(little), enhanced(little, 0, seconds*1e6, 5000, data), enhanced(little, 7, seconds*1e6, len(data), data),
				block(little, enhancedBlock, []byte("short")), block(little, packetBlock, []byte("short")), block(little, simpleBlock), packet,
			},
			[]time.Duration{0}, Counts{Malformed: 5}, false,
		},
		{
			"the obsolete packet, and one without a time",
			[][]byte{
				section(little), radioInterface(little),
				block(little, packetBlock, numbers(little, uint16(0), uint16(3), uint32(seconds*1e6>>32), uint32(seconds*1e6&0xffffffff), uint32(len(data)), uint32(len(data))), data),
				block(little, simpleBlock, numbers(little, uint32(len(data))), data),
			},
			[]time.Duration{0}, Counts{NoTime: 1}, false,
		},
		{
			"a section of a version that is not known",
			[][]byte{
				section(little), radioInterface(little), packet,
				block(little, sectionBlock, numbers(little, uint32(0x1a2b3c4d), uint16(9), uint16(0), int64(-1))), radioInterface(little), packet,
			},
			[]time.Duration{0}, Counts{}, false,
		},
		{"cut inside a block", [][]byte{section(little), radioInterface(little), packet, packet[:40]}, []time.Duration{0}, Counts{}, true},
		{"cut inside the header of a block", [][]byte{section(little), radioInterface(little), packet, packet[:5]}, []time.Duration{0}, Counts{}, true},
		{"a damaged length", [][]byte{section(little), radioInterface(little), packet, numbers(little, uint32(6), uint32(7), uint32(0))}, []time.Duration{0}, Counts{}, true},
		{"two lengths that differ", [][]byte{section(little), radioInterface(little), packet, numbers(little, uint32(6), uint32(16), uint32(0), uint32(99)), packet}, []time.Duration{0}, Counts{}, true},
	} {
		r, err := Open([]string{"-"}, bytes.NewReader(slices.Concat(c.file...)), options)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		if got := len(r.Notes()) == 1; got != c.cut {
			t.Errorf("%s: notes are %q, want one: %t", c.why, r.Notes(), c.cut)
		}
		items, err := read(r)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
		}
		var times []time.Duration
		for _, it := range items {
			times = append(times, it.Sighting.SeenAt.Sub(noon))
		}
		if !slices.Equal(times, c.times) || r.Stats().LeftOut != c.left {
			t.Errorf("%s: packets at %v, left out %v; want %v, %v", c.why, times, r.Stats().LeftOut, c.times, c.left)
		}
	}
}

// Radiotap headers as drivers write them. A word of bits is written as its
// number.
func TestRadiotapHeaders(t *testing.T) {
	const (
		more      = 1 << extendedBit
		antenna   = 1<<signalBit | 1<<11
		next      = 1<<namespaceBit | more
		vendor    = 1<<vendorBit | more
		atheros   = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<14 | next
		broadcom  = 1<<1 | 1<<3 | antenna | vendor
		everybody = 1<<28 - 1 // all fields up to bit 27
	)
	minus := func(dBm int) byte { return byte(int8(-dBm)) }
	// The 16 bytes of a time, flags, rate, channel and flags of reception.
	start := []byte{1, 2, 3, 4, 5, 6, 7, 8, 0, 2, 0x85, 9, 0xa0, 0, 0, 0}
	for _, c := range []struct {
		why    string
		words  []uint32
		fields []byte
		want   events.RSSI
		heard  bool
		err    bool
	}{
		{"signal only", []uint32{1 << signalBit}, []byte{minus(61)}, -61, true, false},
		{"no signal", []uint32{1 << flagsBit}, []byte{0}, 0, false, false},
		{"signal of each antenna only, the second stronger", []uint32{atheros, antenna | next, antenna}, slices.Concat(start, []byte{minus(63), 0, minus(61), 1}), -61, true, false},
		{"signal of each antenna only, the first stronger", []uint32{atheros, antenna | next, antenna}, slices.Concat(start, []byte{minus(60), 0, minus(69), 1}), -60, true, false},
		{"an antenna that heard nothing", []uint32{antenna | next, antenna}, []byte{0x80, 0, minus(69), 1}, -69, true, false},
		{"a vendor's fields of 4 bytes", []uint32{broadcom, 0}, []byte{0, 0, 0x85, 9, 0xa0, 0, minus(60), 1, 0, 0x10, 0x18, 0, 4, 0, 0xde, 0xad, 0xbe, 0xef}, -60, true, false},
		{"a vendor's fields at an odd place, and an antenna behind", []uint32{1<<signalBit | vendor, 1<<3 | next, antenna}, []byte{minus(70), 0, 0, 0x10, 0x18, 0, 3, 0, 1, 2, 3, minus(50), 1}, -50, true, false},
		{"two vendors", []uint32{1<<signalBit | vendor, vendor, 0}, []byte{minus(70), 0, 0, 0x10, 0x18, 0, 0, 0, 0, 0x10, 0x18, 1, 2, 0, 1, 2}, -70, true, false},
		{"more of a vendor's bits", []uint32{1<<signalBit | vendor, 7 | more, 1<<3 | next, 1 << signalBit}, []byte{minus(70), 0, 0, 0x10, 0x18, 0, 2, 0, 1, 2, minus(40)}, -40, true, false},
		{"bits from 32 on, which are not defined", []uint32{1<<signalBit | more, 1}, []byte{minus(70)}, -70, true, false},
		{"fields of another form", []uint32{1<<signalBit | 1<<tlvBit}, []byte{minus(70), 0, 0, 0, 33, 0, 4, 0, 1, 2, 3, 4}, -70, true, false},
		{"fields beyond the header", []uint32{1<<signalBit | 1<<22}, []byte{minus(70)}, -70, true, false},
		{"a signal beyond the header", []uint32{1<<0 | 1<<signalBit}, []byte{1, 2}, 0, false, false},
		{"a vendor's namespace beyond the header", []uint32{1<<signalBit | vendor, 0}, []byte{minus(70), 0, 1}, 0, false, true},
		{"a word beyond the header", []uint32{1<<signalBit | more}, nil, 0, false, true},
	} {
		header := []byte{0, 0, 0, 0}
		for _, w := range c.words {
			header = binary.LittleEndian.AppendUint32(header, w)
		}
		// The fields of the first namespace are aligned from the start of the
		// header on.
		header = append(header, c.fields...)
		binary.LittleEndian.PutUint16(header[2:], uint16(len(header)))
		r, err := parseRadio(append(header, "frame"...))
		if (err != nil) != c.err {
			t.Errorf("%s: error is %v, want one: %t", c.why, err, c.err)
			continue
		}
		if err == nil && (r.signal != c.want || r.heard != c.heard || string(r.frame) != "frame") {
			t.Errorf("%s: got %d dBm (%t), frame %q, want %d (%t)", c.why, r.signal, r.heard, r.frame, c.want, c.heard)
		}
	}
	// All fields at once take as many bytes as their alignments and sizes need.
	end := (&radio{}).namespace(make([]byte, 200), 8, everybody)
	if want := 128; end != want {
		t.Errorf("all fields end at %d, want %d", end, want)
	}
}

// A packet whose lengths contradict each other does not cost the packets behind
// it.
func TestLengthsOfPcap(t *testing.T) {
	data := probe(0, phone, -61).bytes(t)
	record := func(captured, original uint32) []byte {
		return append(numbers(binary.LittleEndian, uint32(noon.Unix()), uint32(0), captured, original), data...)
	}
	header := pcapOf(t, layers.LinkTypeIEEE80211Radio)
	good, n := record(uint32(len(data)), uint32(len(data))), uint32(len(data))
	for _, c := range []struct {
		why       string
		record    []byte
		sightings int64
		note      string
	}{
		{"captured longer than it was", record(n, n-4), 3, "captured length"},
		{"original length of 0", record(n, 0), 3, "captured length"},
		{"a captured length beyond all bounds", record(1<<30, 1<<30), 1, "the length of what follows is damaged"},
		{"the same, and longer than it was", record(1<<30, n), 1, "the length of what follows is damaged"},
		{"a captured length beyond the file", record(200_000, 200_000), 1, "the file ends inside this packet"},
		{"the same, and longer than it was", record(200_000, n), 1, "the file ends inside this packet"},
	} {
		r, err := Open([]string{"-"}, bytes.NewReader(slices.Concat(header, good, c.record, good)), options)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		if notes := strings.Join(r.Notes(), "\n"); r.Stats() != (Stats{Sightings: c.sightings}) || !strings.Contains(notes, "stdin: packet 2: "+c.note) || strings.Contains(notes, "packet 3") {
			t.Errorf("%s: %+v, notes %q; want %d sightings, %s", c.why, r.Stats(), notes, c.sightings, c.note)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
