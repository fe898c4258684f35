package lambdarun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// maxDepth bounds how deep values may nest, at the depth that encoding/json
// allows, so that a hostile payload cannot exhaust the stack.
const maxDepth = 10_000

// scanner reads JSON once, from left to right. It stands in for encoding/json,
// with which decoding an event of 5,000 records takes longer than deciding on the
// records does (BenchmarkDecodeEvent compares the two).
//
// The invariants of a scanner:
//
//   - Position: 0 <= pos <= len(data). Every method that reads a value starts
//     before the value, at white space or at the first byte, and leaves pos
//     behind the last byte.
//   - Sticky error: the first error sets err and moves pos to the end of data.
//     From then on peek returns 0, every method returns its zero value, every
//     loop ends, and no later error replaces the first. So callers need to look
//     at err only once, at the end.
//   - Depth: depth is the number of open objects and arrays around pos, at most
//     maxDepth.
//   - Aliasing: span, text and the keys of object may return parts of data.
//     A caller copies what is kept.
//   - No validation: skip does not check a number against the grammar of JSON.
//     Every value in use is checked.
type scanner struct {
	data  []byte
	pos   int
	depth int
	err   error
}

// fail sets the error of the scanner, with the byte position at, unless it has
// an error already. Moving pos to the end keeps the error sticky.
func (s *scanner) fail(at int, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("byte %d: "+format, append([]any{at}, args...)...)
	}
	s.pos = len(s.data)
}

// peek skips white space and returns the next byte, 0 at the end. pos stays at
// the byte.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take steps over white space and the byte c. It reports whether c was next, and
// fails the scanner if not.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		s.fail(s.pos, "want %q%s", c, s.found())
		return false
	}
	s.pos++
	return s.err == nil
}

// found returns the byte at the position, worded for an error.
func (s *scanner) found() string {
	if s.pos >= len(s.data) {
		return ", found the end"
	}
	return fmt.Sprintf(", found %q", s.data[s.pos])
}

// object is an iterator over the keys of an object. For each key the body of the
// loop must step over exactly one value, and must not leave the loop.
func (s *scanner) object(yield func(key []byte) bool) {
	s.list('{', '}', func() bool {
		key := s.text()
		return s.take(':') && yield(key)
	})
}

// array is an iterator over the elements of an array. In each round the body of
// the loop must step over exactly one value, and must not leave the loop.
func (s *scanner) array(yield func() bool) { s.list('[', ']', yield) }

// list steps over an object or array. It calls element to step over each element.
func (s *scanner) list(opening, closing byte, element func() bool) {
	if !s.take(opening) {
		return
	}
	if s.peek() == closing {
		s.pos++
		return
	}
	if s.depth++; s.depth > maxDepth {
		s.fail(s.pos, "nested deeper than %d", maxDepth)
	}
	// After an error no round begins, and the last two lines do nothing.
	for s.err == nil && element() && s.err == nil && s.peek() == ',' {
		s.pos++
	}
	s.depth--
	s.take(closing)
}

// null reports whether null is next, and steps over it.
func (s *scanner) null() bool { return s.peek() == 'n' && s.literal("null") }

// literal steps over a word of JSON. It reports whether the word was next, and
// fails the scanner if not.
func (s *scanner) literal(word string) bool {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		s.fail(s.pos, "want %s%s", word, s.found())
		return false
	}
	s.pos += len(word)
	return true
}

// span steps over a string and returns the bytes between the quotes, with escapes
// unresolved. escaped reports whether the string holds escapes, for unescape.
func (s *scanner) span() (raw []byte, escaped bool) {
	if !s.take('"') {
		return nil, false
	}
	start := s.pos
	end := bytes.IndexByte(s.data[start:], '"')
	if end < 0 {
		s.fail(start-1, "string without an end")
		return nil, false
	}
	// The usual string: no backslash before the next quote, so the quote ends it.
	backslash := bytes.IndexByte(s.data[start:start+end], '\\')
	if backslash < 0 {
		s.pos = start + end + 1
		return s.data[start : start+end], false
	}
	// A string with escapes: the next quote may be escaped itself.
	for i := start + backslash; i < len(s.data); i++ {
		switch s.data[i] {
		case '\\':
			i++
		case '"':
			s.pos = i + 1
			return s.data[start:i], true
		}
	}
	s.fail(start-1, "string without an end")
	return nil, false
}

// text steps over a string, usually a name, and returns its bytes with escapes
// resolved.
func (s *scanner) text() []byte {
	if !s.take('"') {
		return nil
	}
	// The usual name is short and plain ASCII: one loop finds its end.
	for i, c := range s.data[s.pos:] {
		if c == '"' {
			raw := s.data[s.pos : s.pos+i]
			s.pos += i + 1
			return raw
		}
		if c < ' ' || c >= 0x80 || c == '\\' {
			break
		}
	}
	// Any other name, or a string without an end: back to the opening quote.
	s.pos--
	raw, _ := s.span()
	return s.unescape(raw)
}

// unescape resolves the escapes of the string that span stepped over last: raw is
// the result of span, and pos lies behind the closing quote. Strings of more than
// plain ASCII are rare in an event and left to encoding/json, which also replaces
// bytes that are not UTF-8.
func (s *scanner) unescape(raw []byte) []byte {
	if s.err != nil {
		return nil
	}
	start := s.pos - len(raw) - 2
	var text string
	if err := json.Unmarshal(s.data[start:s.pos], &text); err != nil {
		s.fail(start, "string: %v", err)
		return nil
	}
	return []byte(text)
}

// integer steps over a number without fraction or exponent and returns the
// number, or 0 after an error. A number outside of [lowest, highest] fails the
// scanner. The number may be in quotes, as in some of AWS's samples.
func (s *scanner) integer(lowest, highest int64) int64 {
	quoted := s.peek() == '"'
	if quoted {
		s.pos++
	}
	start := s.pos
	for s.pos < len(s.data) && (s.data[s.pos] == '-' || s.data[s.pos]-'0' <= 9) {
		s.pos++
	}
	n, err := strconv.ParseInt(string(s.data[start:s.pos]), 10, 64)
	if err != nil || n < lowest || n > highest {
		s.fail(start, "want an integer within [%d, %d]%s", lowest, highest, s.found())
		return 0
	}
	if quoted {
		s.take('"')
	}
	return n
}

// skip steps over any value.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case c == '"':
		s.span()
	case c == '{':
		for range s.object {
			s.skip()
		}
	case c == '[':
		for range s.array {
			s.skip()
		}
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	case c == 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// number steps over the characters of a number, in whatever order.
func (s *scanner) number() {
	start := s.pos
	for s.pos < len(s.data) && bytes.IndexByte([]byte("+-.0123456789Ee"), s.data[s.pos]) >= 0 {
		s.pos++
	}
	if s.pos == start {
		s.fail(start, "want a value%s", s.found())
	}
}

// end fails the scanner if anything but white space follows.
func (s *scanner) end() {
	if s.peek(); s.pos < len(s.data) {
		s.fail(s.pos, "more after the event%s", s.found())
	}
}
