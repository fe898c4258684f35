package senders

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// SignatureHeader is the header with the signature of the formats that are
// Footfall's own: the hexadecimal HMAC-SHA-256 of the body under the sender's
// secret.
const SignatureHeader = "X-Footfall-Signature"

// signed is the part of a Format with the HMAC-SHA-256 of the body in a header, in
// hexadecimal of either case. Its value is the name of the header.
type signed string

// Verify checks the signature in the header, see [Format]. It tries every secret,
// so that the time does not depend on which of them matches.
func (s signed) Verify(header func(string) string, body []byte, secrets []string) error {
	given := strings.TrimSpace(header(string(s)))
	if given == "" {
		return reject(NoSignature, fmt.Errorf("header %s is missing", string(s)))
	}
	// A header that is not hexadecimal matches no signature.
	sum, err := hex.DecodeString(given)
	if err != nil {
		return reject(BadSignature, fmt.Errorf("header %s is not hexadecimal", string(s)))
	}
	// Compare with the signature under each secret.
	match := 0
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		h := hmac.New(sha256.New, []byte(secret))
		h.Write(body)
		match |= subtle.ConstantTimeCompare(h.Sum(nil), sum)
	}
	if match != 1 {
		return reject(BadSignature, fmt.Errorf("header %s is of another secret or another body", string(s)))
	}
	return nil
}

// verifySecret checks the secret that Meraki puts into the body. It compares
// hashes, so that the time does not depend on the length of a secret.
func verifySecret(body []byte, secrets []string) error {
	given, ok := rootText(body, "secret")
	if !ok {
		return reject(NoSecret, errors.New("field secret is missing or no string"))
	}
	// An empty secret matches nothing, since rootText returns no empty text.
	sum := sha256.Sum256(given)
	match := 0
	for _, secret := range secrets {
		want := sha256.Sum256([]byte(secret))
		match |= subtle.ConstantTimeCompare(want[:], sum[:])
	}
	if match != 1 {
		return reject(BadSecret, errors.New("field secret is not the sender's"))
	}
	return nil
}

// rootValue finds a field of the object that body is, and returns everything
// behind its colon. If the field is there twice, the first one counts.
//
// rootValue runs before the sender is verified. It is one pass that allocates
// nothing, calls nothing recursively, and stops at the field: whatever stands
// behind it is not looked at.
func rootValue(body []byte, name string) (rest []byte, ok bool) {
	depth, key := 0, false // key: the next string is a key, if the level is an object
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			depth++
			key = true
		case '}', ']':
			depth--
		case ',':
			key = true
		case '"':
			end := endOfString(body, i)
			if end == len(body) {
				return nil, false
			}
			// A key of the root with the name. In an array no colon follows.
			if key && depth == 1 && string(body[i+1:end]) == name {
				rest, ok = bytes.CutPrefix(bytes.TrimLeft(body[end+1:], space), []byte(":"))
				rest = bytes.TrimLeft(rest, space)
				return rest, ok && len(rest) > 0
			}
			key = false
			i = end
		}
	}
	return nil, false
}

// rootText returns the text of a field of the root. ok is false if the field is
// missing, neither a string nor a number, or empty.
func rootText(body []byte, name string) (text []byte, ok bool) {
	rest, ok := rootValue(body, name)
	if !ok {
		return nil, false
	}
	// The end of the value: the closing quote, or the first byte behind a number.
	end := bytes.IndexAny(rest, space+",}")
	if rest[0] == '"' {
		end = endOfString(rest, 0) + 1
	}
	if end <= 0 || end > len(rest) {
		return nil, false
	}
	text, ok = jsonText(rest[:end])
	return text, ok && len(text) > 0
}
