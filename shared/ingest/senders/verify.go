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

// SignatureHeader carries the signature of the formats that are Footfall's own:
// the hexadecimal HMAC-SHA-256 of the body under the sender's secret.
const SignatureHeader = "X-Footfall-Signature"

// signed is the part of a Sender whose requests carry the HMAC-SHA-256 of the
// body, in hexadecimal of any case, in the header that it names.
type signed string

// Verify checks the header, see [Format].
func (s signed) Verify(header func(string) string, body []byte, secrets []string) error {
	given := strings.TrimSpace(header(string(s)))
	if given == "" {
		return refuse(NoSignature, fmt.Errorf("header %s is missing", string(s)))
	}
	sum, err := hex.DecodeString(given)
	if err != nil {
		return refuse(BadSignature, fmt.Errorf("header %s is not hexadecimal", string(s)))
	}
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
		return refuse(BadSignature, fmt.Errorf("header %s is of another secret or another body", string(s)))
	}
	return nil
}

// verifySecret checks the secret that Meraki puts into the body. Both sides are
// hashed, so that not even the length of the secret shows in the time it takes.
func verifySecret(body []byte, secrets []string) error {
	given, ok := rootText(body, "secret")
	if !ok {
		return refuse(NoSecret, errors.New("field secret is missing or no string"))
	}
	sum := sha256.Sum256(given)
	match := 0
	for _, secret := range secrets { // of which an empty one meets none: rootText gives no empty text
		want := sha256.Sum256([]byte(secret))
		match |= subtle.ConstantTimeCompare(want[:], sum[:])
	}
	if match != 1 {
		return refuse(BadSecret, errors.New("field secret is not the sender's"))
	}
	return nil
}

// rootValue finds a field of the object that body is, and gives what follows its
// colon. It is one pass that allocates nothing, nests no calls and stops at the
// field: what stands behind the secret is nobody's business before the sender is
// known. Of a field given twice it finds the first one.
func rootValue(body []byte, name string) (rest []byte, ok bool) {
	depth, key := 0, false
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

// rootText gives the text of a field that is a string or a number, and not empty.
func rootText(body []byte, name string) (text []byte, ok bool) {
	rest, ok := rootValue(body, name)
	if !ok {
		return nil, false
	}
	end := bytes.IndexAny(rest, space+",}")
	if rest[0] == '"' {
		end = endOfString(rest, 0) + 1
	}
	if end <= 0 || end > len(rest) {
		return nil, false
	}
	text, ok = unquoted(rest[:end])
	return text, ok && len(text) > 0
}

func refuse(code string, err error) error {
	return &Rejection{Code: code, Status: statuses[code], Err: err}
}
