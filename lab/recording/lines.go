package recording

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds the length of a line in bytes, so that a file without line
// ends is an error and does not fill the memory.
const maxLine = 1 << 20

// lines reads a text line by line and tracks the position.
type lines struct {
	in   *bufio.Reader
	long []byte // the current line, if it did not fit the buffer of in
	at   Position
	// open is true if the current line has no line end: it is the last line of
	// the file, and may be cut off.
	open bool
}

// errCut is the error for a file whose compressed data end early.
var errCut = errors.New("the compressed data end early")

// next returns the next line that is not empty, without its line end. Empty
// lines count in the position. The line is valid until the next call. Errors
// other than io.EOF name the position, except for errCut.
func (l *lines) next() ([]byte, error) {
	for {
		l.at.Number++
		line, err := l.read()
		l.open = errors.Is(err, io.EOF)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errCut
		case l.open && len(line) == 0:
			return nil, io.EOF
		case err != nil && !l.open:
			return nil, l.wrap(err)
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > 0 {
			return line, nil
		}
	}
}

// read returns the bytes up to and including the next line end. Most lines are
// returned as a part of the buffer; only long lines are copied.
func (l *lines) read() ([]byte, error) {
	part, err := l.in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return part, err
	}
	l.long = append(l.long[:0], part...)
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = l.in.ReadSlice('\n')
		l.long = append(l.long, part...)
		if len(l.long) > maxLine {
			return nil, fmt.Errorf("line is longer than %d bytes", maxLine)
		}
	}
	return l.long, err
}

// wrap adds the current position to err.
func (l *lines) wrap(err error) error { return fmt.Errorf("%s: %w", l.at, err) }
