package pseudonym

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"footfall/events"
)

// FirstKey is the id of the master key that is used if the settings of a business
// name none.
const FirstKey = "1"

// minSecretBytes is the least length of a secret. A shorter secret can be found
// by trying.
const minSecretBytes = 32

var keyID = regexp.MustCompile(`^[0-9a-zA-Z]{1,8}$`)

// Keys holds the master keys by id. Each pseudonym begins with the id of its key,
// so the key of one business can be changed without touching the others. Keys
// prints as its ids alone.
type Keys struct{ masters map[string][]byte }

// ParseKeys reads {"<id>": "<secret text>", ...}: at least one key, ids of 1 to
// 8 letters and digits, secrets of 32 bytes or more. Its error names all mistakes
// of the document at once, never shows a secret, and names only ids that are well
// formed, since a malformed one may be a secret in the wrong place.
func ParseKeys(document []byte) (Keys, error) {
	entries, err := readEntries(document)
	if err != nil {
		return Keys{}, fmt.Errorf("reading pseudonym keys: %w", err)
	}

	// Collect every mistake before returning.
	k := Keys{masters: make(map[string][]byte, len(entries))}
	var wrong []error
	for i, e := range entries {
		switch _, twice := k.masters[e.id]; {
		case !keyID.MatchString(e.id):
			wrong = append(wrong, fmt.Errorf("the id of key %d of %d is not 1 to 8 letters and digits", i+1, len(entries)))
		case twice:
			wrong = append(wrong, fmt.Errorf("key %s is given twice", e.id))
		case len(e.secret) < minSecretBytes:
			wrong = append(wrong, fmt.Errorf("key %s has %d bytes, at least %d are needed", e.id, len(e.secret), minSecretBytes))
		default:
			k.masters[e.id] = []byte(e.secret)
		}
	}
	if len(entries) == 0 {
		wrong = append(wrong, errors.New("there is no key"))
	}
	if err := errors.Join(wrong...); err != nil {
		return Keys{}, fmt.Errorf("reading pseudonym keys: %w", err)
	}
	return k, nil
}

// entry is one member of the document.
type entry struct{ id, secret string }

// readEntries reads the document member by member. Decoding into a map would
// silently keep the last of two keys with the same id, and half of the
// pseudonyms would change. The errors name only a position: those of
// encoding/json quote the document, which holds the secrets.
func readEntries(document []byte) (entries []entry, err error) {
	if !json.Valid(document) {
		return nil, errors.New("not one whole JSON value")
	}
	d := json.NewDecoder(bytes.NewReader(document))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object of ids and secrets")
	}
	for d.More() {
		id, err := d.Token()
		if err != nil {
			return nil, errors.New("not a JSON object of ids and secrets")
		}
		// A pointer, because Decode accepts null for a string.
		var secret *string
		if d.Decode(&secret) != nil || secret == nil {
			return nil, fmt.Errorf("the secret of key %d is no string", len(entries)+1)
		}
		entries = append(entries, entry{id.(string), *secret})
	}
	return entries, nil
}

// IDs returns the ids in ascending order.
func (k Keys) IDs() []string { return slices.Sorted(maps.Keys(k.masters)) }

// String returns the ids, see [Keys].
func (k Keys) String() string { return fmt.Sprintf("pseudonym keys %v", k.IDs()) }

// GoString returns the same text as String, so that %#v shows no secret either.
func (k Keys) GoString() string { return k.String() }

// Business derives the key of a business, HMAC-SHA-256(master, "business" 0x00
// business), so one phone has a different pseudonym in every business. id names
// the master key; "" means FirstKey. An unknown id is an error.
func (k Keys) Business(id string, b events.BusinessID) (*Key, error) {
	if id == "" {
		id = FirstKey
	}
	master, ok := k.masters[id]
	if !ok {
		return nil, fmt.Errorf("derive the key of business %s: no pseudonym key %q among %v: add the key, or change the key in the settings of the business",
			b, id, k.IDs())
	}
	// The Key holds the derived secret only, so it cannot make the pseudonyms of
	// another business.
	secret := derive(master, "business", string(b))
	return &Key{id: id, business: b, secret: secret, stable: newGenerator(id+"-", secret, b)}, nil
}

// derive returns HMAC-SHA-256(key, purpose 0x00 name). No purpose contains a zero
// byte, so two derivations never hash the same input.
func derive(key []byte, purpose, name string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose + "\x00" + name))
	return h.Sum(nil)
}
