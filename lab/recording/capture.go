package recording

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"footfall/events"
)

// captureDecoder reads the probe requests of a capture whose packets have a
// radiotap header, which holds the signal strength of each packet. The sensor
// is the file name up to its first dot, since a capture names none.
type captureDecoder struct {
	*scope
	sensor  events.SensorID
	at      Position
	packets packetReader
	// radios is set once a packet with a radiotap header was read, others to
	// the link type of one without. A capture with only the latter was made with
	// the wrong settings: it is an error and not an empty recording.
	radios bool
	others *layers.LinkType
	// longer is set once a packet was captured longer than it was on the air.
	longer bool
	// checksums is set once a frame ended with its right checksum.
	checksums bool
}

// packet is a packet of a capture. Without data, it is damaged.
type packet struct {
	data     []byte
	original int // length on the air, at least that of data unless the file is wrong
	link     layers.LinkType
	at       time.Time // zero if the file holds none
}

// packetReader is the common method of the readers of both capture formats. The
// data of a packet is valid until the next call. Errors are io.EOF at the end
// of the file; io.ErrUnexpectedEOF and errDamaged if no further packet can be
// found; and read errors.
type packetReader interface {
	next() (packet, error)
}

// newCapture returns the decoder.
func newCapture(s *scope, packets packetReader) *captureDecoder {
	return &captureDecoder{
		scope:   s,
		sensor:  events.SensorID(baseName(s.name)),
		at:      Position{File: s.name, Packet: true},
		packets: packets,
	}
}

// baseName returns the name of a file up to its first dot.
func baseName(name string) string {
	base, _, _ := strings.Cut(filepath.Base(name), ".")
	return base
}

// pcapReader reads the packets of a pcap.
type pcapReader struct {
	*pcapgo.Reader
	in   *bufio.Reader // from which the Reader reads, without a buffer of its own
	link layers.LinkType
}

// newPcap reads the header of a pcap, in which one link type holds for all
// packets. The upper bits of the link type tell the length of a checksum.
func newPcap(s *scope, in *bufio.Reader) (*captureDecoder, error) {
	r, err := pcapgo.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%s: header of the capture: %w", s.name, cutShort(err))
	}
	link := r.LinkType() & 0xffff
	if link != layers.LinkTypeIEEE80211Radio {
		return nil, wrongLink(s.name, link)
	}
	r.SetSnaplen(maxCaptured) // writers exceed the length that they declare
	return newCapture(s, &pcapReader{r, in, link}), nil
}

// maxCaptured is the greatest captured length in bytes that tcpdump and
// Wireshark read; beyond it the length itself is damaged.
const maxCaptured = 256 << 10

// next implements packetReader.
func (r *pcapReader) next() (packet, error) {
	data, info, err := r.ZeroCopyReadPacketData()
	switch p := (packet{data, info.Length, r.link, info.Timestamp}); {
	case err == nil:
		return p, nil
	case info.Timestamp.IsZero(), errors.Is(err, io.ErrUnexpectedEOF): // no whole header, or no whole packet
		return packet{}, err
	case errors.Is(err, io.EOF): // between a packet's header and its bytes
		return packet{}, cutShort(err)
	case info.CaptureLength > maxCaptured:
		return packet{}, errDamaged
	case info.CaptureLength <= info.Length:
		return packet{}, err
	default:
		// gopacket refuses a packet that is captured longer than it was, and
		// has read its header only. The bytes follow.
		p.data = make([]byte, info.CaptureLength)
		_, err = io.ReadFull(r.in, p.data)
		return p, cutShort(err)
	}
}

// next returns the next probe request and skips packets that are left out.
func (d *captureDecoder) next(it *Item) error {
	for {
		d.at.Number++
		p, err := d.packets.next()
		switch {
		case errors.Is(err, io.EOF):
			return d.end()
		case errors.Is(err, io.ErrUnexpectedEOF):
			return d.cut(d.at, "the file ends inside this packet")
		case errors.Is(err, errDamaged):
			return d.cut(d.at, err.Error())
		case err != nil:
			return fmt.Errorf("%s: %w", d.at, err)
		}
		why, err := d.packet(p, it)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", d.at, err)
		case why == used:
			it.Source = d.at
			return nil
		}
		d.leaveOut(why, d.at)
	}
}

// end returns the result after the last packet: io.EOF, or an error if no
// packet had a radiotap header.
func (d *captureDecoder) end() error {
	if d.others != nil && !d.radios {
		return wrongLink(d.name, *d.others)
	}
	return io.EOF
}

// packet decodes a probe request, or returns the reason why the packet is left
// out.
func (d *captureDecoder) packet(p packet, it *Item) (Reason, error) {
	// Packets without radiotap header.
	switch {
	case p.data == nil:
		return Malformed, nil
	case p.link != layers.LinkTypeIEEE80211Radio:
		d.others = &p.link
		return OtherFrames, nil
	}
	d.radios = true
	if len(p.data) > p.original && !d.longer {
		d.longer = true
		d.note("%s: captured length %d is above the original length %d; such packets are read as captured", d.at, len(p.data), p.original)
	}
	r, err := parseRadio(p.data)
	if err != nil {
		return Malformed, nil //nolint:nilerr // the reason says what is wrong
	}
	if why := d.probeRequest(&r, len(p.data) < p.original); why != used {
		return why, nil
	}
	switch {
	case p.at.IsZero():
		return NoTime, nil
	case !events.AcceptsTime(p.at):
		return BadTime, nil
	case !r.heard:
		return NoSignal, nil
	}
	// A capture holds no time of arrival: the packet arrived when it was
	// received.
	*it = Item{Sighting: events.Sighting{Business: d.opts.Business, Sensor: d.sensor, SeenAt: cut(p.at), RSSI: r.signal}}
	it.ArrivedAt = it.Sighting.SeenAt
	if why, err := d.transmitter(&it.Sighting, [6]byte(r.frame[10:16])); why != used || err != nil {
		return why, err
	}
	return used, plain(it.Sighting.Validate())
}

const (
	// probeRequest is the first octet of the frame control field of a probe
	// request: version 0, type 0 (management), subtype 4 (IEEE 802.11-2020,
	// 9.2.4.1).
	probeRequest = 0x40
	// minFrame is the length in bytes of the shortest frame, an acknowledgement
	// without its checksum, and probeHeader that of the header of a probe
	// request (9.3.3.1), whose second address is the transmitter.
	minFrame       = 10
	probeHeader    = 24
	checksumLength = 4
)

// probeRequest returns the reason why a frame is no usable probe request, or
// used. A damaged frame may carry an address that no device has. shortened is
// true if the capture holds only the beginning of the frame.
func (d *captureDecoder) probeRequest(r *radio, shortened bool) Reason {
	switch {
	case len(r.frame) < minFrame || r.flags&badFlag != 0:
		return Malformed
	case r.frame[0] != probeRequest:
		return OtherFrames
	case len(r.frame) < probeHeader:
		return Malformed
	case r.flags&checksumFlag != 0 && !shortened && !d.intact(r.frame):
		return Malformed
	}
	return used
}

// intact reports whether a probe request that is flagged as ending with its
// checksum is undamaged. The flag is checked against the bytes: some drivers
// set it and zero the checksum, or strip it. A frame without its checksum has
// a body that is a list of elements up to its end, and seldom one four bytes
// before that too; if it has, the frame counts as damaged once the capture has
// shown a right checksum.
func (d *captureDecoder) intact(frame []byte) bool {
	body := frame[probeHeader:]
	if len(body) < checksumLength {
		return elements(body)
	}
	end := len(frame) - checksumLength
	switch sum := binary.LittleEndian.Uint32(frame[end:]); {
	case sum == crc32.ChecksumIEEE(frame[:end]):
		d.checksums = true
		return true
	case sum == 0:
		return true
	}
	return elements(body) && !(d.checksums && elements(frame[probeHeader:end]))
}

// elements reports whether b is a list of elements: an id, a length and as many
// bytes (9.4.2.1).
func elements(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return false
		}
		b = b[2+int(b[1]):]
	}
	return true
}

// cutShort converts io.EOF to io.ErrUnexpectedEOF, for an end of file in the
// middle of a packet or header.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
