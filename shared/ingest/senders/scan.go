package senders

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// space is the white space of RFC 8259, section 2.
const space = " \t\r\n"

// maxDepth is how many levels scanner can tell apart.
const maxDepth = 64

// decode reads a body of JSON into root, which is made of the types of
// fields.go. A value of another type than the field's leaves the field as it
// was: whether a record can do without is for the record to say. An error is a
// *Refusal: encoding/json's own would show a character of the body.
func decode(body []byte, limits Limits, root any) error {
	clean, err := scan(body, limits)
	if err != nil {
		return err
	}
	err = json.Unmarshal(clean, root)
	if wrongType := (*json.UnmarshalTypeError)(nil); err == nil || errors.As(err, &wrongType) {
		return nil
	}
	at := int64(0)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		at = syntax.Offset
	}
	return refuse(BadJSON, fmt.Errorf("not one whole JSON value, up to byte %d of %d", at, len(body)))
}

// scan holds the limits over a body of JSON and writes an empty string in place
// of each NaN and Infinity, which Python and some firmware print and JSON does
// not have. It is one pass that builds nothing, so that a body made to need much
// memory or a deep stack never meets a parser. It leaves the grammar to
// encoding/json. What it gives is body itself where nothing had to be written.
func scan(body []byte, limits Limits) ([]byte, error) {
	s := scanner{body: body, out: body, limits: limits}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case ' ', '\t', '\r', '\n':
			continue
		case '"':
			i = endOfString(body, i)
		case '{', '[':
			if err := s.open(i); err != nil {
				return nil, err
			}
		case '}', ']':
			s.arrays >>= 1
			s.depth--
		case ',':
			if err := s.element(i, s.arrays&1); err != nil {
				return nil, err
			}
		case '-', 'N', 'I':
			if n := s.noNumber(i); n > 0 {
				s.blank(i, n)
				i += n - 1
			}
		}
		if i < len(body) {
			s.before = body[i]
		}
	}
	return s.out, nil
}

// scanner is what scan knows at one byte.
type scanner struct {
	body, out []byte // the same until something is written
	limits    Limits
	depth     int
	arrays    uint64 // a bit per level, the lowest is the innermost: 1 is an array
	elements  int    // of all arrays so far
	before    byte   // the last byte that is not white space
}

func (s *scanner) open(i int) error {
	if s.depth++; s.depth > min(s.limits.Depth, maxDepth) {
		return refuse(TooDeep, fmt.Errorf("byte %d lies deeper than %d levels", i, min(s.limits.Depth, maxDepth)))
	}
	s.arrays <<= 1
	if s.body[i] == '[' {
		s.arrays |= 1
	}
	return s.element(i, s.arrays&1)
}

func (s *scanner) element(i int, n uint64) error {
	if s.elements += int(n); s.elements > s.limits.Records {
		return refuse(TooManyRecords, fmt.Errorf("more than %d elements of arrays, up to byte %d", s.limits.Records, i))
	}
	return nil
}

// noNumber gives the length of the NaN or Infinity that begins at i, 0 where
// there is none, or where no value may stand: as a key it stays an error.
func (s *scanner) noNumber(i int) int {
	if s.before != ':' && s.arrays&1 == 0 {
		return 0
	}
	rest := s.body[i:]
	sign := 0
	if rest[0] == '-' {
		sign = 1
	}
	for _, word := range []string{"NaN", "Infinity"} {
		if bytes.HasPrefix(rest[sign:], []byte(word)) {
			return sign + len(word)
		}
	}
	return 0
}

// blank writes an empty string and white space over n bytes of a copy.
func (s *scanner) blank(i, n int) {
	if &s.out[0] == &s.body[0] {
		s.out = bytes.Clone(s.body)
	}
	copy(s.out[i:i+n], `""          `)
}

// endOfString gives the index of the quote that ends the string whose first
// quote is at i, len(body) where it has no end.
func endOfString(body []byte, i int) int {
	for i++; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(body)
}
