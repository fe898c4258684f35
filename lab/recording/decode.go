package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"footfall/events"
)

// decoder reads the items of one file in the order they stand there.
type decoder interface {
	// next overwrites all of it, and answers io.EOF after the last item. Every
	// other error says where in the file, and is final.
	next(it *Item) error
}

// scope is what the decoders of a file share.
type scope struct {
	name   string
	opts   Options
	known  *addresses
	intern intern
	stats  *Stats
}

// bufferBytes is read from a file at once.
const bufferBytes = 64 << 10

// First bytes of what is no text. Captures come in either byte order, with
// times in micro- or nanoseconds.
var (
	gzipMagic   = []byte{0x1f, 0x8b}
	pcapngMagic = []byte{0x0a, 0x0d, 0x0d, 0x0a}
	pcapMagics  = [][]byte{
		{0xa1, 0xb2, 0xc3, 0xd4}, {0xd4, 0xc3, 0xb2, 0xa1},
		{0xa1, 0xb2, 0x3c, 0x4d}, {0x4d, 0x3c, 0xb2, 0xa1},
	}
	utf8Mark = []byte{0xef, 0xbb, 0xbf}
)

// newDecoder looks at how r begins to tell what it holds. The name of a file
// says nothing: people rename them, and stdin has none.
func newDecoder(s *scope, r io.Reader) (decoder, error) {
	in := bufio.NewReaderSize(r, bufferBytes)
	if start, _ := in.Peek(len(gzipMagic)); bytes.Equal(start, gzipMagic) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		in = bufio.NewReaderSize(z, bufferBytes)
	}
	// Peek answers an error along with what there is; a real one comes again.
	start, err := in.Peek(len(pcapngMagic))
	if len(start) == 0 {
		if errors.Is(err, io.EOF) {
			err = errors.New("empty")
		}
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if bytes.Equal(start, pcapngMagic) {
		return newPcapNG(s, in)
	}
	for _, magic := range pcapMagics {
		if bytes.Equal(start, magic) {
			return newPcap(s, in)
		}
	}
	return newText(s, in)
}

// newText takes for NDJSON what begins with an object, for CSV all else.
func newText(s *scope, in *bufio.Reader) (decoder, error) {
	if start, _ := in.Peek(len(utf8Mark)); bytes.Equal(start, utf8Mark) {
		if _, err := in.Discard(len(utf8Mark)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	start, _ := in.Peek(512)
	if start = bytes.TrimLeft(start, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		return newNDJSON(s, in), nil
	}
	return newCSV(s, in)
}

// identify sets the device of a sighting from its transmitter's address. ok is
// false where the sighting is to be left out.
func (s *scope) identify(to *events.Sighting, mac []byte) (ok bool, err error) {
	found, err := s.known.text(to.Business, mac)
	if err != nil {
		return false, fmt.Errorf("mac: %w", err)
	}
	if found.group {
		s.stats.Multicast++
		return false, nil
	}
	to.Device, to.Randomised = found.device, found.randomised
	return true, nil
}

// plain takes the reason for a dead letter off an error of package events:
// what remains begins with the name of the field.
func plain(err error) error {
	if err == nil {
		return nil
	}
	if bad := new(events.BadRecord); errors.As(err, &bad) {
		return bad.Err
	}
	return err
}

// cut drops what is finer than a millisecond, as the records of the pipeline do.
func cut(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
