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

// decoder reads the items of one file in the order of the file.
type decoder interface {
	// next overwrites *it with the next item. It returns io.EOF after the last
	// item. Any other error names the place in the file and is final.
	next(it *Item) error
}

// scope holds what the decoders of a file share.
type scope struct {
	name   string
	opts   Options
	known  *transmitters
	intern intern
	*report
	zoneless bool // whether the file holds a time without a zone
	// again is true when the file is read a second time, and cutAt the place at
	// which the first reading ended, if the file is cut off.
	again bool
	cutAt Position
}

// cut returns the result of a decoder that can read no further, at a place
// behind which the file is cut off or damaged: io.EOF and a note, or an error
// if the options are strict. Recordings end like that when a recorder loses its
// power or a disk is full.
func (s *scope) cut(at Position, what string) error {
	switch {
	case s.opts.Strict:
		return fmt.Errorf("%s: %s (without --strict, everything before it is read)", at, what)
	case s.again && s.cutAt != at:
		return fmt.Errorf("%s: %s", at, what)
	}
	s.cutAt = at
	s.note("%s: %s; everything before it was read", at, what)
	return io.EOF
}

// bufferBytes is the size of one read from a file.
const bufferBytes = 64 << 10

// startBytes is the number of bytes by which a format is recognised.
const startBytes = 512

// First bytes of files that are not text. Captures have either byte order, and
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

// newDecoder chooses the decoder by the first bytes of r. The name of a file is
// not used: files are renamed, and stdin has none.
func newDecoder(s *scope, r io.Reader) (decoder, error) {
	in := bufio.NewReaderSize(r, bufferBytes)
	// Unpack a gzipped file; its content decides as that of a plain file does.
	if start, _ := in.Peek(len(gzipMagic)); bytes.Equal(start, gzipMagic) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, beginning(err))
		}
		in = bufio.NewReaderSize(z, bufferBytes)
	}
	// Peek returns an error together with the bytes that there are. A read
	// error returns again at the next read, so only an empty result is handled
	// here.
	start, err := in.Peek(startBytes)
	if len(start) == 0 {
		if errors.Is(err, io.EOF) {
			err = errors.New("empty")
		}
		return nil, fmt.Errorf("%s: %w", s.name, beginning(err))
	}
	// Captures by their magic number, all other files as text.
	if bytes.HasPrefix(start, pcapngMagic) {
		return newPcapNG(s, in), nil
	}
	for _, magic := range pcapMagics {
		if bytes.HasPrefix(start, magic) {
			return newPcap(s, in)
		}
	}
	if err := foreignFormat(s.name, start); err != nil {
		return nil, err
	}
	return newText(s, in)
}

// beginning names the cause if a compressed file ends before its first byte can
// be unpacked.
func beginning(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("nothing was read from the recording: it is cut off at its beginning: %w", err)
	}
	return err
}

// newText returns the NDJSON decoder if the first character is an opening
// brace, else the CSV decoder. It skips a byte order mark.
func newText(s *scope, in *bufio.Reader) (decoder, error) {
	if start, _ := in.Peek(len(utf8Mark)); bytes.Equal(start, utf8Mark) {
		if _, err := in.Discard(len(utf8Mark)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	start, _ := in.Peek(startBytes)
	if start = bytes.TrimLeft(start, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		return newNDJSON(s, in), nil
	}
	return newCSV(s, in)
}

// plain removes the dead-letter reason from an error of package events: the
// remaining text begins with the name of the field.
func plain(err error) error {
	if err == nil {
		return nil
	}
	if bad := new(events.BadRecord); errors.As(err, &bad) {
		return bad.Err
	}
	return err
}

// cut truncates t to milliseconds, as the records of the pipeline do.
func cut(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
