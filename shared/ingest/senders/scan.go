package senders

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// space is the white space of RFC 8259, section 2.
const space = " \t\r\n"

// maxDepth is the deepest level at which scanner distinguishes arrays from
// objects: one bit of scanner.arrays per level.
const maxDepth = 64

// decode reads a body of JSON into root, a struct of the types of fields.go. If a
// value has another type than its field, the field stays as it was: the record
// decides whether it can do without. Errors are *Rejection; the errors of
// encoding/json would quote a character of the body.
//
// A byte order mark before the value is ignored, as RFC 8259, section 8.1, allows.
func decode(body []byte, limits Limits, root any) error {
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
	clean, err := scan(body, limits)
	if err != nil {
		return err
	}
	// A value of a wrong type is not an error, see above.
	err = json.Unmarshal(clean, root)
	if wrongType := (*json.UnmarshalTypeError)(nil); err == nil || errors.As(err, &wrongType) {
		return nil
	}
	// Of any other error only the position is reported.
	at := int64(0)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		at = syntax.Offset
	}
	return reject(BadJSON, fmt.Errorf("not one whole JSON value, up to byte %d of %d", at, len(body)))
}

// scan checks the limits over a body of JSON, and replaces each NaN and Infinity
// by an empty string: Python and some firmware print them, and JSON has neither.
//
// scan is one pass that builds nothing: a body made to cost much memory or a deep
// stack never reaches a parser. It does not check the grammar, which is left to
// encoding/json. The result has the length of body, and is body itself if nothing
// was replaced. scan never changes body.
func scan(body []byte, limits Limits) ([]byte, error) {
	s := scanner{body: body, out: body, limits: limits}
	for i := 0; i < len(body); i++ {
		// Step over strings and replaced values as a whole, over the rest by bytes.
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
			if n := s.nonNumber(i); n > 0 {
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

// scanner is the state of scan at one byte of the body. In a body of valid JSON
// depth is the number of open arrays and objects, and arrays holds for each level
// whether it is an array. If the body is not valid JSON, both are right up to the
// first mistake, at which encoding/json will reject the body.
type scanner struct {
	body, out []byte // the same slice until something is replaced
	limits    Limits
	depth     int
	arrays    uint64 // a bit per level, the lowest for the innermost: 1 is an array
	elements  int    // of all arrays so far
	before    byte   // the last byte so far that is not white space
}

// open counts the array or object that begins at byte i as a level, and the first
// element of an array.
func (s *scanner) open(i int) error {
	if s.depth++; s.depth > min(s.limits.Depth, maxDepth) {
		return reject(TooDeep, fmt.Errorf("byte %d lies deeper than %d levels", i, min(s.limits.Depth, maxDepth)))
	}
	s.arrays <<= 1
	if s.body[i] == '[' {
		s.arrays |= 1
	}
	return s.element(i, s.arrays&1)
}

// element counts n elements of arrays. n is 0 at a comma or an opening bracket of
// an object.
func (s *scanner) element(i int, n uint64) error {
	if s.elements += int(n); s.elements > s.limits.Records {
		return reject(TooManyRecords, fmt.Errorf("more than %d elements of arrays, up to byte %d", s.limits.Records, i))
	}
	return nil
}

// nonNumber returns the length of the NaN or Infinity, with its sign, that begins
// at byte i. It returns 0 if neither begins there, or if no value may stand there:
// NaN in place of a key stays and is an error.
func (s *scanner) nonNumber(i int) int {
	// A value stands in an array, or behind the colon of an object's member.
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

// blank replaces n bytes from byte i on by an empty string and white space, in a
// copy of the body.
func (s *scanner) blank(i, n int) {
	// The first replacement: the body itself must not change.
	if &s.out[0] == &s.body[0] {
		s.out = bytes.Clone(s.body)
	}
	copy(s.out[i:i+n], `""          `)
}

// endOfString returns the index of the quote that ends the string whose first
// quote is at i, or len(body) if the string has no end.
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
