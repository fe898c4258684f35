package runtime

import (
	"bytes"
	"io"
	"sync"
)

// output is where all processes print; nil drops everything.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// maxLine bounds what is kept of a line that does not end.
const maxLine = 64 << 10

// lines cuts what one process prints into lines, so that those of different
// processes do not mix. It is used from one goroutine at a time.
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

// flush prints a line that was not ended.
func (l *lines) flush() {
	if len(l.unfinished) > 0 {
		l.print(l.unfinished)
		l.unfinished = l.unfinished[:0]
	}
}

func (l *lines) print(line []byte) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	_, _ = l.out.w.Write(append(append([]byte(l.prefix), line...), '\n'))
}
