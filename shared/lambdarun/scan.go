package lambdarun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// maxDepth bounds how deep values may nest, as encoding/json does, so that a
// hostile payload cannot exhaust the stack.
const maxDepth = 10_000

// scanner walks JSON once, from left to right. Its first error sticks: from
// then on every method does nothing and every loop ends, so that callers look
// at err once, at the end. It trusts numbers and literals it skips to be well
// formed, and is no validator of JSON.
type scanner struct {
	data  []byte
	pos   int
	depth int
	err   error
}

// fail keeps the first error, with the position it was found at.
func (s *scanner) fail(at int, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("byte %d: "+format, append([]any{at}, args...)...)
	}
	s.pos = len(s.data)
}

// peek skips white space and gives the next byte, 0 at the end.
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

// take wants c next and steps over it.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		s.fail(s.pos, "want %q%s", c, s.found())
		return false
	}
	s.pos++
	return s.err == nil
}

// found says, for an error, what stands at the position.
func (s *scanner) found() string {
	if s.pos >= len(s.data) {
		return ", found the end"
	}
	return fmt.Sprintf(", found %q", s.data[s.pos])
}

// object is an iterator over the keys of an object. The loop's body must step
// over the value of each, and not leave the loop.
func (s *scanner) object(yield func(key []byte) bool) {
	s.list('{', '}', func() bool {
		key := s.text()
		return s.take(':') && yield(key)
	})
}

// array is an iterator over an array. The loop's body must step over each
// element, and not leave the loop.
func (s *scanner) array(yield func() bool) { s.list('[', ']', yield) }

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
	for s.err == nil && element() && s.err == nil && s.peek() == ',' {
		s.pos++
	}
	s.depth--
	s.take(closing)
}

// null steps over a null, if one is next.
func (s *scanner) null() bool { return s.peek() == 'n' && s.literal("null") }

func (s *scanner) literal(word string) bool {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		s.fail(s.pos, "want %s%s", word, s.found())
		return false
	}
	s.pos += len(word)
	return true
}

// span steps over a string and gives what stands between its quotes, as it is
// written; escaped says that this holds escapes.
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
	backslash := bytes.IndexByte(s.data[start:start+end], '\\')
	if backslash < 0 {
		s.pos = start + end + 1
		return s.data[start : start+end], false
	}
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

// text steps over a string, a name usually, and gives its bytes.
func (s *scanner) text() []byte {
	if !s.take('"') {
		return nil
	}
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
	s.pos--
	raw, _ := s.span()
	return s.unescape(raw)
}

// unescape resolves the string that span gave last. Strings of more than plain
// ASCII are rare in an event and left to encoding/json, which also replaces
// what is not UTF-8.
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

// integer steps over a number without fraction or exponent and gives it, or 0
// after an error. It may stand in quotes, as in some of AWS's own samples.
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

func (s *scanner) number() {
	start := s.pos
	for s.pos < len(s.data) && bytes.IndexByte([]byte("+-.0123456789Ee"), s.data[s.pos]) >= 0 {
		s.pos++
	}
	if s.pos == start {
		s.fail(start, "want a value%s", s.found())
	}
}

// end wants nothing but white space to follow.
func (s *scanner) end() {
	if s.peek(); s.pos < len(s.data) {
		s.fail(s.pos, "more after the event%s", s.found())
	}
}
