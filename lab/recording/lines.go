package recording

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine bounds a line, so that a file without line ends is refused instead
// of filling the memory.
const maxLine = 1 << 20

// lines reads a text line by line and knows where it is.
type lines struct {
	in   *bufio.Reader
	long []byte // a line that did not fit the buffer of in
	at   Position
}

// next gives the next line that is not empty, without its end, and counts all
// of them. The line is good until the next call. Its errors but io.EOF say
// where.
func (l *lines) next() ([]byte, error) {
	for {
		l.at.Number++
		line, err := l.read()
		switch end := errors.Is(err, io.EOF); {
		case end && len(line) == 0:
			return nil, io.EOF
		case err != nil && !end: // the last line need not have an end
			return nil, l.wrong(err)
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if !utf8.Valid(line) {
			return nil, l.wrong(errors.New("not valid UTF-8"))
		}
		if len(line) > 0 {
			return line, nil
		}
	}
}

// read gives the bytes up to and including the next line end. Most lines are
// looked at where they lie in the buffer; only long ones are copied.
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

// wrong says where err was met.
func (l *lines) wrong(err error) error { return fmt.Errorf("%s: %w", l.at, err) }
