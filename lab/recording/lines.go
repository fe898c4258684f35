package recording

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine bounds the length of a line in bytes, so that a file without line
// ends is an error and does not fill the memory.
const maxLine = 1 << 20

// lines reads a text line by line and tracks the position.
type lines struct {
	in   *bufio.Reader
	long []byte // the current line, if it did not fit the buffer of in
	at   Position
}

// next returns the next line that is not empty, without its line end. Empty
// lines count in the position. The line is valid until the next call. Errors
// other than io.EOF name the position.
func (l *lines) next() ([]byte, error) {
	for {
		l.at.Number++
		line, err := l.read()
		switch end := errors.Is(err, io.EOF); {
		case end && len(line) == 0:
			return nil, io.EOF
		case err != nil && !end: // the last line need not have an end
			return nil, l.wrap(err)
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if !utf8.Valid(line) {
			return nil, l.wrap(errors.New("not valid UTF-8"))
		}
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
