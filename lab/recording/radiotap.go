package recording

import (
	"encoding/binary"
	"errors"

	"footfall/events"
)

// radio holds what is used of a radiotap header: its flags, and the signal
// strength.
type radio struct {
	flags  uint8
	signal events.RSSI // of the strongest antenna
	heard  bool        // whether a possible signal strength is given
	frame  []byte      // the bytes behind the header
}

// Bits of the words of a radiotap header that say which fields follow, and of
// the field flags (radiotap.org, "Defined Fields").
const (
	flagsBit     = 1
	signalBit    = 5
	tlvBit       = 28 // fields of another form follow
	namespaceBit = 29
	vendorBit    = 30
	extendedBit  = 31

	checksumFlag = 0x10 // the frame ends with its checksum
	badFlag      = 0x40 // the checksum of the frame was wrong
)

// fields holds alignment and size of the fields of a radiotap header, by their
// bit (radiotap.org, as in net/wireless/radiotap.c of Linux).
var fields = [...]struct{ align, size int }{
	{8, 8}, {1, 1}, {1, 1}, {2, 4}, {2, 2}, {1, 1}, {1, 1}, {2, 2}, {2, 2}, {2, 2},
	{1, 1}, {1, 1}, {1, 1}, {1, 1}, {2, 2}, {2, 2}, {1, 1}, {1, 1}, {4, 8}, {1, 3},
	{4, 8}, {2, 12}, {8, 12}, {2, 12}, {2, 12}, {2, 6}, {1, 1}, {2, 4},
}

// errRadio is the error for a radiotap header that cannot be decoded.
var errRadio = errors.New("radiotap header is damaged")

// parseRadio decodes a radiotap header. It does not use the decoder of
// gopacket: that one takes the header of a vendor's namespace for longer than
// its 6 bytes and then loses the frame, and it reads fields beyond the header.
//
// Signal strengths are read in every radiotap namespace: the first holds the
// one of all antennas, if any, each further one that of an antenna.
func parseRadio(data []byte) (radio, error) {
	if len(data) < 8 || data[0] != 0 {
		return radio{}, errRadio
	}
	length := int(binary.LittleEndian.Uint16(data[2:]))
	if length < 8 || length > len(data) {
		return radio{}, errRadio
	}
	header, at := data[:length], 4
	// Words of bits, up to the first without the bit for one more. The fields
	// follow behind the last word.
	var words []uint32
	for more := true; more; at += 4 {
		if at+4 > length {
			return radio{}, errRadio
		}
		words = append(words, binary.LittleEndian.Uint32(header[at:]))
		more = words[len(words)-1]>>extendedBit != 0
	}
	r := radio{frame: data[length:]}
	vendor := false
	for i, word := range words {
		// A word either continues a vendor's namespace, whose fields were
		// skipped as a whole, or begins a radiotap namespace.
		if !vendor {
			if at = r.namespace(header, at, word); at < 0 {
				return r, nil // no field behind this point can be located
			}
		}
		switch {
		case i+1 == len(words), word>>namespaceBit&1 != 0:
			vendor = false
		case word>>vendorBit&1 != 0:
			// OUI, sub-namespace and the number of bytes to skip.
			at = (at + 1) &^ 1
			if at+6 > length {
				return radio{}, errRadio
			}
			at += 6 + int(binary.LittleEndian.Uint16(header[at+4:]))
			vendor = true
		case !vendor:
			return r, nil // bits from 32 on: no such field is defined
		}
	}
	return r, nil
}

// namespace reads the fields of one word, from at on, and returns the end of
// the last, or -1 if the fields do not fit the header or are not known.
func (r *radio) namespace(header []byte, at int, word uint32) (end int) {
	for bit, f := range fields {
		if word>>bit&1 == 0 {
			continue
		}
		at = (at + f.align - 1) &^ (f.align - 1)
		if at+f.size > len(header) {
			return -1
		}
		switch bit {
		case flagsBit:
			r.flags = header[at]
		case signalBit:
			// The first antenna, or a stronger one.
			v := events.RSSI(int8(header[at]))
			if v >= -127 && v <= 0 && (!r.heard || v > r.signal) {
				r.signal, r.heard = v, true
			}
		}
		at += f.size
	}
	if word>>tlvBit&1 != 0 {
		return -1
	}
	return at
}
