package runtime

import (
	"bytes"
	"io"
	"sync"
)

// output is where all processes print. If w is nil, everything is discarded.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// maxLine bounds how many bytes of an unfinished line are kept before they are
// printed.
const maxLine = 64 << 10

// lines cuts the output of one process into lines, so that lines of different
// processes do not mix. It must be used from one goroutine at a time.
type lines struct {
	prefix     string
	out        *output
	unfinished []byte
}

// Write never fails: a log that cannot be written must not stop a function.
func (l *lines) Write(b []byte) (int, error) {
	if l.out.w == nil {
		return len(b), nil
	}
	n := len(b)
	for {
		line, after, ended := bytes.Cut(b, []byte{'\n'})
		l.unfinished = append(l.unfinished, line...)
		if !ended {
			break
		}
		l.print(l.unfinished)
		l.unfinished, b = l.unfinished[:0], after
	}
	if len(l.unfinished) >= maxLine {
		l.flush()
	}
	return n, nil
}

// flush prints a line that has no end yet.
func (l *lines) flush() {
	if len(l.unfinished) > 0 {
		l.print(l.unfinished)
		l.unfinished = l.unfinished[:0]
	}
}

// print writes one line with its prefix.
func (l *lines) print(line []byte) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	_, _ = l.out.w.Write(append(append([]byte(l.prefix), line...), '\n'))
}
