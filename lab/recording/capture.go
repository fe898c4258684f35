package recording

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gopacket/gopacket"
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
	parser  *gopacket.DecodingLayerParser
	radio   layers.RadioTap
	frame   layers.Dot11
	layers  []gopacket.LayerType
	// radios and others are set once a packet with, or without, a radiotap
	// header was read. A capture with only the latter was made with the wrong
	// settings: it is an error and not an empty recording.
	radios, others bool
}

// packetReader is the common method of the readers of both capture formats. The
// bytes are valid until the next call.
type packetReader interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// newCapture returns the decoder. gopacket's parser converts a panic in its
// layers to an error, which makes it safe for bytes that any device can
// transmit.
func newCapture(s *scope, packets packetReader) *captureDecoder {
	base, _, _ := strings.Cut(filepath.Base(s.name), ".")
	d := &captureDecoder{
		scope:   s,
		sensor:  events.SensorID(base),
		at:      Position{File: s.name, Packet: true},
		packets: packets,
	}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeRadioTap, &d.radio, &d.frame)
	d.parser.IgnoreUnsupported = true // the payload of a frame is not needed
	return d
}

// newPcap reads the header of a pcap, in which one link type holds for all
// packets.
func newPcap(s *scope, in *bufio.Reader) (*captureDecoder, error) {
	r, err := pcapgo.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%s: header of the capture: %w", s.name, cutShort(err))
	}
	if r.LinkType() != layers.LinkTypeIEEE80211Radio {
		return nil, wrongLink(s.name, r.LinkType())
	}
	return newCapture(s, r), nil
}

// newPcapNG reads the header of a pcapng. Its interfaces may have different
// link types, since Wireshark records several at once; packets of other link
// types are left out.
func newPcapNG(s *scope, in *bufio.Reader) (*captureDecoder, error) {
	r, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, fmt.Errorf("%s: header of the capture: %w", s.name, cutShort(err))
	}
	return newCapture(s, r), nil
}

// wrongLink returns the error for a capture without radiotap headers.
func wrongLink(name string, got layers.LinkType) error {
	return fmt.Errorf("%s: link type is %d (%v), want %d: 802.11 with a radiotap header",
		name, got, got, layers.LinkTypeIEEE80211Radio)
}

// next returns the next probe request and skips packets that are left out. If a
// packet cannot be read, the boundaries of all later packets are unknown: the
// error is final.
func (d *captureDecoder) next(it *Item) error {
	for {
		// Read a packet. An EOF in the middle of a packet is an error too: the
		// file ends between a packet's header and its bytes.
		d.at.Number++
		data, info, err := d.packets.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, io.EOF) && info.CaptureLength == 0:
			return d.end()
		case err != nil:
			return fmt.Errorf("%s: %w", d.at, cutShort(err))
		}
		ok, err := d.packet(data, info, it)
		if err != nil {
			return fmt.Errorf("%s: %w", d.at, err)
		}
		if ok {
			it.Source = d.at
			return nil
		}
	}
}

// end returns the result after the last packet: io.EOF, or an error if no
// packet had a radiotap header.
func (d *captureDecoder) end() error {
	if d.others && !d.radios {
		return fmt.Errorf("%s: no packet has link type %d: 802.11 with a radiotap header",
			d.name, layers.LinkTypeIEEE80211Radio)
	}
	return io.EOF
}

// packet decodes a probe request; ok is false if the packet is to be left out.
func (d *captureDecoder) packet(data []byte, info gopacket.CaptureInfo, it *Item) (ok bool, err error) {
	// Count and skip packets without radiotap header, then those without a
	// usable probe request.
	if !isRadio(info) {
		d.others = true
		d.stats.OtherFrames++
		return false, nil
	}
	d.radios = true
	if left := d.leftOut(data, info); left != nil {
		*left++
		return false, nil
	}
	// A capture holds no time of arrival: the packet arrived when it was
	// received.
	*it = Item{Sighting: events.Sighting{
		Business: d.opts.Business, Sensor: d.sensor, SeenAt: cut(info.Timestamp),
		RSSI: events.RSSI(d.radio.RadioTapValues[0].DBMAntennaSignal),
	}}
	it.ArrivedAt = it.Sighting.SeenAt
	return d.transmitter(&it.Sighting)
}

// probeRequest is the first octet of the frame control field of a probe
// request: version 0, type 0 (management), subtype 4 (IEEE 802.11-2020,
// 9.2.4.1).
const probeRequest = 0x40

// minFrame is the length in bytes of the shortest frame, an acknowledgement
// with its checksum.
const minFrame = 14

// leftOut decodes a packet and returns the counter of the reason if it is no
// usable probe request, else nil. A damaged packet may carry an address that no
// device has.
func (d *captureDecoder) leftOut(data []byte, info gopacket.CaptureInfo) *int64 {
	err := d.parser.DecodeLayers(data, &d.layers)
	switch frame := d.radio.Payload; {
	case len(d.layers) == 0 || d.radio.Length < 8 || len(frame) < minFrame || d.radio.RadioTapValues[0].Flags.BadFCS():
		return &d.stats.Malformed
	case frame[0] != probeRequest:
		return &d.stats.OtherFrames
	case err != nil || len(d.layers) < 2 || info.Timestamp.IsZero():
		return &d.stats.Malformed
	case info.CaptureLength == info.Length && !d.frame.ChecksumValid():
		return &d.stats.Malformed // a shortened frame has no checksum
	case !d.hasSignal():
		return &d.stats.NoSignal
	}
	return nil
}

// hasSignal reports whether the card recorded an antenna signal in the possible
// range.
func (d *captureDecoder) hasSignal() bool {
	v := d.radio.RadioTapValues[0].DBMAntennaSignal
	return d.radio.Present[0].DBMAntennaSignal() && v >= -127 && v <= 0
}

// transmitter sets the device; ok is false if the sighting is to be left out.
func (d *captureDecoder) transmitter(s *events.Sighting) (ok bool, err error) {
	found, err := d.known.raw(s.Business, d.frame.Address2)
	if err != nil {
		return false, err
	}
	if found.group {
		d.stats.Multicast++
		return false, nil
	}
	s.Device, s.Randomised = found.device, found.randomised
	return true, plain(s.Validate())
}

// isRadio reports whether a packet has a radiotap header. The reader of pcapng
// returns the link type with every packet; a pcap has one link type for all
// packets, which newPcap has checked.
func isRadio(info gopacket.CaptureInfo) bool {
	if len(info.AncillaryData) == 0 {
		return true
	}
	link, ok := info.AncillaryData[0].(layers.LinkType)
	return ok && link == layers.LinkTypeIEEE80211Radio
}

// cutShort converts io.EOF to io.ErrUnexpectedEOF, for an end of file in the
// middle of a packet or header.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
