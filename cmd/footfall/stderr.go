package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"footfall/shared/invocation"
)

// errorStream is the error stream of a command: text, or after useJSON one JSON object
// a line, with the fields of the functions' logs.
type errorStream struct {
	mu         sync.Mutex
	w          io.Writer
	log        *slog.Logger // nil for text
	unfinished []byte       // the last line, if it has no end yet and log is set
}

// useJSON makes the stream write one JSON object a line from now on.
func (e *errorStream) useJSON() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log = invocation.NewLogger(e.w, slog.LevelInfo)
}

// Write writes text. A line of text becomes the message of a JSON object if useJSON
// was called.
func (e *errorStream) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.log == nil {
		return e.w.Write(b)
	}
	e.unfinished = append(e.unfinished, b...)
	for {
		line, rest, ended := bytes.Cut(e.unfinished, []byte{'\n'})
		if !ended {
			return len(b), nil
		}
		if text := strings.TrimSpace(string(line)); text != "" {
			logText(e.log, slog.LevelInfo, text)
		}
		e.unfinished = append(e.unfinished[:0], rest...)
	}
}

// writeJSON writes one JSON object as a line. It must be called after useJSON.
func (e *errorStream) writeJSON(object []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// A log that cannot be written must not stop the pipeline.
	_, _ = e.w.Write(append(bytes.Clone(object), '\n'))
}

// fail writes the error that ends the command.
func (e *errorStream) fail(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.log == nil {
		fmt.Fprintln(e.w, "footfall:", text)
		return
	}
	logText(e.log, slog.LevelError, text)
}

// logText logs a text that was made elsewhere as the message of one line.
func logText(log *slog.Logger, level slog.Level, text string, attrs ...slog.Attr) {
	r := slog.NewRecord(time.Now(), level, text, 0)
	r.AddAttrs(attrs...)
	// A log that cannot be written must not stop the pipeline.
	_ = log.Handler().Handle(context.Background(), r)
}

// terminal returns the file of a stream that is a file and is written as text, or
// nil.
func terminal(w io.Writer) *os.File {
	if e, ok := w.(*errorStream); ok && e.log == nil {
		w = e.w
	}
	f, _ := w.(*os.File)
	return f
}
