package recording

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// pcapngReader reads the packets of a pcapng (draft-ietf-opsawg-pcapng). It
// does not use the reader of gopacket, which ends at the first block that it
// cannot decode: the length at the start of each block leads to the next.
type pcapngReader struct {
	in         *bufio.Reader
	order      binary.ByteOrder
	interfaces []pcapngInterface // of the section
	block      []byte
	known      bool // whether the version of the section is known
}

// pcapngInterface is an interface from which packets were captured.
type pcapngInterface struct {
	link   layers.LinkType
	units  uint64 // per second
	offset int64  // seconds to add to each time
}

// Types of blocks.
const (
	sectionBlock   = 0x0a0d0d0a
	interfaceBlock = 1
	packetBlock    = 2 // obsolete
	simpleBlock    = 3
	enhancedBlock  = 6
)

// maxBlock bounds the length of a block in bytes: beyond it the length itself
// is damaged.
const maxBlock = 16 << 20

// newPcapNG returns the decoder. The interfaces of the file may have different
// link types, since Wireshark records several at once; packets of other link
// types are left out.
func newPcapNG(s *scope, in *bufio.Reader) *captureDecoder {
	return newCapture(s, &pcapngReader{in: in, order: binary.LittleEndian})
}

// next implements packetReader. Blocks that hold no packet are skipped.
func (r *pcapngReader) next() (packet, error) {
	for {
		kind, body, err := r.read()
		if err != nil {
			return packet{}, err
		}
		switch kind {
		case sectionBlock:
			r.section(body)
		case interfaceBlock:
			r.interfaces = append(r.interfaces, r.device(body))
		case packetBlock, enhancedBlock, simpleBlock:
			if r.known {
				return r.packet(kind, body), nil
			}
		}
	}
}

// read reads a block. The body is valid until the next call. An error is io.EOF
// at the end of the file, else a cut: all blocks behind it are lost.
func (r *pcapngReader) read() (kind uint32, body []byte, err error) {
	header, err := r.in.Peek(12)
	switch {
	case len(header) == 0:
		return 0, nil, err // io.EOF, or a read error
	case err != nil:
		return 0, nil, cutShort(err)
	}
	// The type of a section reads the same in both orders; its first field
	// decides the order of all that follows.
	if kind = r.order.Uint32(header); kind == sectionBlock {
		switch uint32(0x1a2b3c4d) {
		case binary.LittleEndian.Uint32(header[8:]):
			r.order = binary.LittleEndian
		case binary.BigEndian.Uint32(header[8:]):
			r.order = binary.BigEndian
		default:
			return 0, nil, errDamaged
		}
	}
	length := r.order.Uint32(header[4:])
	if length < 12 || length > maxBlock {
		return 0, nil, errDamaged
	}
	// Blocks end at a multiple of 4 bytes, also with writers that forget it.
	padded := (int(length) + 3) &^ 3
	if cap(r.block) < padded {
		r.block = make([]byte, padded)
	}
	block := r.block[:padded]
	if _, err := io.ReadFull(r.in, block); err != nil {
		return 0, nil, cutShort(err)
	}
	// The length stands at the end too.
	if r.order.Uint32(block[length-4:]) != length && r.order.Uint32(block[padded-4:]) != length {
		return 0, nil, errDamaged
	}
	return kind, block[8 : length-4], nil
}

// section begins a section: its interfaces are its own. Packets of a version
// that is not known are skipped, as the draft demands.
func (r *pcapngReader) section(body []byte) {
	r.interfaces = r.interfaces[:0]
	r.known = len(body) >= 6 && r.order.Uint16(body[4:]) == 1
}

// Options of an interface.
const (
	resolutionOption = 9
	offsetOption     = 14
)

// device reads an interface. Options that are damaged keep their defaults; a
// damaged interface has link type 0, so its packets are left out.
func (r *pcapngReader) device(body []byte) pcapngInterface {
	i := pcapngInterface{units: 1e6}
	if len(body) < 8 {
		return i
	}
	i.link = layers.LinkType(r.order.Uint16(body))
	// Options: code, length and value, which is padded to a multiple of 4.
	for rest := body[8:]; len(rest) >= 4; {
		code, length := r.order.Uint16(rest), int(r.order.Uint16(rest[2:]))
		if code == 0 || 4+length > len(rest) {
			break
		}
		value := rest[4 : 4+length]
		switch {
		case code == resolutionOption && length >= 1:
			i.units = resolution(value[0])
		case code == offsetOption && length >= 8:
			i.offset = int64(r.order.Uint64(value))
		}
		rest = rest[min(4+(length+3)&^3, len(rest)):]
	}
	return i
}

// resolution returns the units per second: a power of 2 if the highest bit is
// set, else of 10. It returns 0 if the number does not fit.
func resolution(v uint8) uint64 {
	base, exponent := uint64(10), v&0x7f
	if v&0x80 != 0 {
		base = 2
	}
	units := uint64(1)
	for range exponent {
		if units > math.MaxUint64/base {
			return 0
		}
		units *= base
	}
	return units
}

// packet reads a packet. A damaged one has no data, and a reference to an
// interface that is not there link type 0.
func (r *pcapngReader) packet(kind uint32, body []byte) packet {
	if kind == simpleBlock { // it holds no time
		if len(body) < 4 || len(r.interfaces) == 0 {
			return packet{}
		}
		original := int(r.order.Uint32(body))
		return packet{data: body[4:min(4+original, len(body))], original: original, link: r.interfaces[0].link}
	}
	if len(body) < 20 {
		return packet{}
	}
	// The obsolete block has an interface of 16 bits, then a number of drops.
	index := int(r.order.Uint32(body))
	if kind == packetBlock {
		index = int(r.order.Uint16(body))
	}
	captured := r.order.Uint32(body[12:])
	if index >= len(r.interfaces) || uint64(captured) > uint64(len(body)-20) {
		return packet{}
	}
	i := r.interfaces[index]
	return packet{
		data:     body[20 : 20+captured],
		original: int(r.order.Uint32(body[16:])),
		link:     i.link,
		at:       i.time(uint64(r.order.Uint32(body[4:]))<<32 | uint64(r.order.Uint32(body[8:]))),
	}
}

// time converts a number of units since 1970, or returns a zero time if they do
// not fit.
func (i pcapngInterface) time(units uint64) time.Time {
	if i.units == 0 {
		return time.Time{}
	}
	seconds, rest := units/i.units, units%i.units
	if seconds > math.MaxInt32*16 || i.offset > math.MaxInt32*16 || i.offset < -math.MaxInt32*16 {
		return time.Time{}
	}
	ns := new(big.Int).SetUint64(rest)
	ns.Div(ns.Mul(ns, big.NewInt(1e9)), new(big.Int).SetUint64(i.units))
	return time.Unix(int64(seconds)+i.offset, ns.Int64()).UTC()
}

// errDamaged is the error for bytes behind which no packet can be found.
var errDamaged = errors.New("the length of what follows is damaged")

// wrongLink returns the error for a capture without radiotap headers.
func wrongLink(name string, got layers.LinkType) error {
	return fmt.Errorf("%s: link type is %d (%v), want %d: 802.11 with a radiotap header, which holds the signal strength; "+
		"capture in monitor mode with tcpdump -y IEEE802_11_RADIO", name, got, got, layers.LinkTypeIEEE80211Radio)
}
