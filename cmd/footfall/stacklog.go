package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"footfall/shared/invocation"
)

// stackLog shows the logs of the pipeline and its functions. With --function-logs it
// prints every line as a JSON object. Without, it prints warnings and errors as text,
// each when it is seen first, and at the end the number of times of those that were
// seen again.
type stackLog struct {
	out  io.Writer
	json *errorStream // nil for text

	mu      sync.Mutex
	notices map[string]*notice // by noticeKey
	order   []*notice
	last    map[string]string // by function, the first line of the text that it is printing, such as a panic
}

// notice is a warning or an error of the pipeline or of a function.
type notice struct {
	text  string
	times int
}

// maxNotices bounds the number of different notices that are kept.
const maxNotices = 100

func newStackLog(out io.Writer, asJSON bool) *stackLog {
	l := &stackLog{out: out, notices: map[string]*notice{}, last: map[string]string{}}
	if e, ok := out.(*errorStream); ok && asJSON {
		l.json = e
	}
	return l
}

// logger returns the logger of the pipeline itself.
func (l *stackLog) logger() *slog.Logger {
	if l.json != nil {
		return invocation.NewLogger(lineWriter(l.json.writeJSON), slog.LevelWarn)
	}
	return slog.New(noticeHandler{log: l})
}

// lineWriter passes each write, which is one line, to a function.
type lineWriter func(line []byte)

// Write passes on a line without its end.
func (w lineWriter) Write(b []byte) (int, error) {
	w(bytes.TrimSuffix(b, []byte{'\n'}))
	return len(b), nil
}

// Write takes one line of a function, with the function's name and a space in front,
// as runtime.Options.Output receives it. Write never fails.
func (l *stackLog) Write(b []byte) (int, error) {
	function, line, _ := strings.Cut(strings.TrimSuffix(string(b), "\n"), " ")
	var fields map[string]any
	isJSON := json.Unmarshal([]byte(line), &fields) == nil && fields != nil
	switch {
	case l.json != nil && isJSON:
		l.json.writeJSON(withFunction(function, line))
	case l.json != nil && strings.TrimSpace(line) != "":
		// The runtime of the function printed text: most likely a panic.
		logText(l.logger(), slog.LevelError, line, slog.String("function", function))
	case l.json == nil && isJSON:
		l.functionLine(function, fields)
	case l.json == nil:
		l.functionText(function, line)
	}
	return len(b), nil
}

// withFunction returns a JSON object with the name of the function as its first field.
func withFunction(function, object string) []byte {
	rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(object), "{"))
	if rest != "}" {
		rest = "," + rest
	}
	return fmt.Appendf(nil, `{"function":%q%s`, function, rest)
}

// functionLine notes a line of a function's log if it is a warning or an error.
func (l *stackLog) functionLine(function string, fields map[string]any) {
	l.mu.Lock()
	delete(l.last, function)
	l.mu.Unlock()
	level, _ := fields["level"].(string)
	var severity slog.Level
	if severity.UnmarshalText([]byte(level)) != nil || severity < slog.LevelWarn {
		return
	}
	message, _ := fields["message"].(string)
	var details []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text, isText := fields[name].(string)
		switch {
		case name == "error" && isText:
			message += ": " + text
		case isText && !slices.Contains([]string{"timestamp", "level", "message", "requestId", "stack"}, name):
			details = append(details, name+" "+text)
		}
	}
	l.note(function, severity, message, details)
}

// functionText notes text that a function printed outside of its log. Of a text of
// several lines, such as a panic with its stack, only the first line is noted.
func (l *stackLog) functionText(function, line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	l.mu.Lock()
	_, continued := l.last[function]
	l.last[function] = line
	l.mu.Unlock()
	if continued && !strings.HasPrefix(line, "panic: ") && !strings.HasPrefix(line, "fatal error: ") {
		return
	}
	l.note(function, slog.LevelError, line, nil)
}

// note prints a warning or an error that is seen for the first time, and counts it.
func (l *stackLog) note(source string, severity slog.Level, message string, details []string) {
	label := "warning"
	if severity >= slog.LevelError {
		label = "error"
	}
	text := fmt.Sprintf("%s: %s: %s", source, label, message)
	if len(details) > 0 {
		text += " (" + strings.Join(details, ", ") + ")"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := noticeKey(text)
	if n, seen := l.notices[key]; seen {
		n.times++
		return
	}
	if len(l.order) == maxNotices {
		return
	}
	n := &notice{text, 1}
	l.notices[key], l.order = n, append(l.order, n)
	fmt.Fprintln(l.out, wrap(text, "  "))
	if len(l.order) == maxNotices {
		fmt.Fprintln(l.out, "note: other warnings and errors are not shown; --function-logs prints all")
	}
}

// noticeKey returns a text without the words that have a digit: offsets, ids and
// numbers differ between repetitions of one problem.
func noticeKey(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		if strings.ContainsAny(word, "0123456789") {
			words[i] = "#"
		}
	}
	return strings.Join(words, " ")
}

// finish prints how often each warning and error was seen that was seen more than
// once.
func (l *stackLog) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var again []*notice
	for _, n := range l.order {
		if n.times > 1 {
			again = append(again, n)
		}
	}
	if len(again) == 0 {
		return
	}
	fmt.Fprintln(l.out, "seen more than once, of the above:")
	for _, n := range again {
		fmt.Fprintln(l.out, wrap(fmt.Sprintf("%5d times  %s", n.times, n.text), "             "))
	}
}

// noticeHandler turns the log of the pipeline into notices.
type noticeHandler struct {
	log     *stackLog
	source  string // the value of function or stage
	details []string
}

// Enabled reports whether the level is that of a warning or an error.
func (h noticeHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle notes a record.
func (h noticeHandler) Handle(_ context.Context, r slog.Record) error {
	message := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			message += ": " + a.Value.String()
			return true
		}
		h = h.with(a)
		return true
	})
	if h.source == "" {
		h.source = "pipeline"
	}
	h.log.note(h.source, r.Level, message, h.details)
	return nil
}

// WithAttrs returns a handler of records that have the attributes too.
func (h noticeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h = h.with(a)
	}
	return h
}

// WithGroup returns the handler itself: no part of the pipeline logs groups.
func (h noticeHandler) WithGroup(string) slog.Handler { return h }

// with returns a handler with one attribute more. Numbers are left out, as they
// differ between repetitions of one problem.
func (h noticeHandler) with(a slog.Attr) noticeHandler {
	switch {
	case a.Key == "function" || a.Key == "stage":
		h.source = a.Value.String()
	case a.Value.Kind() == slog.KindString:
		h.details = append(slices.Clip(h.details), a.Key+" "+a.Value.String())
	}
	return h
}

// textWidth is the number of columns of a terminal that everything printed fits into.
const textWidth = 80

// wrap breaks text into lines of at most textWidth columns, except for longer words.
// Lines after the first one begin with indent.
func wrap(text, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Split(text, " ") {
		switch {
		case i == 0:
		case column+1+len(word) > textWidth:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
