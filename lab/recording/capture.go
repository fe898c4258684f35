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
// radiotap header, which tells how strongly each was received. The sensor is
// the file's name up to its first dot: a capture knows no other.
type captureDecoder struct {
	*scope
	sensor  events.SensorID
	at      Position
	packets packetReader
	parser  *gopacket.DecodingLayerParser
	radio   layers.RadioTap
	frame   layers.Dot11
	layers  []gopacket.LayerType
	// A packet with a radiotap header was met, and one without: a capture of
	// only the latter was made with the wrong settings and must not look empty.
	radios, others bool
}

// packetReader is what the readers of both forms of capture have in common.
// The bytes are good until the next call.
type packetReader interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// newCapture makes the decoder. gopacket's parser turns a panic of its layers
// into an error, which makes it fit for bytes that anybody can send by radio.
func newCapture(s *scope, packets packetReader) *captureDecoder {
	base, _, _ := strings.Cut(filepath.Base(s.name), ".")
	d := &captureDecoder{
		scope:   s,
		sensor:  events.SensorID(base),
		at:      Position{File: s.name, Packet: true},
		packets: packets,
	}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeRadioTap, &d.radio, &d.frame)
	d.parser.IgnoreUnsupported = true // what a frame carries does not matter
	return d
}

// newPcap reads the header of the older format, where one link type holds for
// all packets.
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

// newPcapNG lets the interfaces of a capture have different link types, since
// Wireshark records several at once; the others are left out.
func newPcapNG(s *scope, in *bufio.Reader) (*captureDecoder, error) {
	r, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, fmt.Errorf("%s: header of the capture: %w", s.name, cutShort(err))
	}
	return newCapture(s, r), nil
}

func wrongLink(name string, got layers.LinkType) error {
	return fmt.Errorf("%s: link type is %d (%v), want %d: 802.11 with a radiotap header",
		name, got, got, layers.LinkTypeIEEE80211Radio)
}

// next passes over packets that are left out. Where the packets themselves
// cannot be told apart any more, the capture is broken and reading ends.
func (d *captureDecoder) next(it *Item) error {
	for {
		d.at.Number++
		data, info, err := d.packets.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, io.EOF) && info.CaptureLength == 0:
			return d.end()
		case err != nil: // an EOF too: the file ends between a packet's header and its bytes
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

// end is the answer after the last packet.
func (d *captureDecoder) end() error {
	if d.others && !d.radios {
		return fmt.Errorf("%s: no packet has link type %d: 802.11 with a radiotap header",
			d.name, layers.LinkTypeIEEE80211Radio)
	}
	return io.EOF
}

// packet reads a probe request; ok is false for a packet to be left out.
func (d *captureDecoder) packet(data []byte, info gopacket.CaptureInfo, it *Item) (ok bool, err error) {
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
	*it = Item{Sighting: events.Sighting{
		Business: d.opts.Business, Sensor: d.sensor, SeenAt: cut(info.Timestamp),
		RSSI: events.RSSI(d.radio.RadioTapValues[0].DBMAntennaSignal),
	}}
	it.ArrivedAt = it.Sighting.SeenAt
	return d.transmitter(&it.Sighting)
}

// probeRequest is the first octet of the frame control field of a probe
// request: version 0, type 0 (management), subtype 4 (IEEE 802.11-2020, 9.2.4.1).
const probeRequest = 0x40

// minFrame is the shortest frame there is, an acknowledgement with its checksum.
const minFrame = 14

// leftOut decodes a packet and gives the count that it goes to if it is no
// probe request to be used. A damaged one may carry an address nobody has.
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
		return &d.stats.Malformed // of a shortened frame the checksum is not there
	case !d.hasSignal():
		return &d.stats.NoSignal
	}
	return nil
}

// hasSignal tells whether the card told an antenna signal, and one that can be.
func (d *captureDecoder) hasSignal() bool {
	v := d.radio.RadioTapValues[0].DBMAntennaSignal
	return d.radio.Present[0].DBMAntennaSignal() && v >= -127 && v <= 0
}

// transmitter sets the device; ok is false where the sighting is to be left out.
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

// isRadio tells by the link type that the reader of pcapng puts beside every
// packet; a pcap has one for all, which was looked at before.
func isRadio(info gopacket.CaptureInfo) bool {
	if len(info.AncillaryData) == 0 {
		return true
	}
	link, ok := info.AncillaryData[0].(layers.LinkType)
	return ok && link == layers.LinkTypeIEEE80211Radio
}

// cutShort says for an end of file that it came too early.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
