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

// FirstKey is the id of the key that a business has which names none.
const FirstKey = "1"

// minSecretBytes is what a key has at the least: a shorter one can be tried.
const minSecretBytes = 32

var keyID = regexp.MustCompile(`^[0-9a-zA-Z]{1,8}$`)

// Keys are the master keys by their ids. An id stands in every pseudonym that
// was made with its key, so that a key can be changed for a business at a time.
// It prints as its ids alone.
type Keys struct{ masters map[string][]byte }

// ParseKeys reads {"<id>": "<secret text>", ...}: at least one key, ids of 1 to
// 8 letters and digits, secrets of 32 bytes or more. Its error names everything
// that is wrong, by the ids that are well formed, and never shows a secret.
func ParseKeys(document []byte) (Keys, error) {
	texts, err := readKeys(document)
	if err != nil {
		return Keys{}, fmt.Errorf("reading pseudonym keys: %w", err)
	}
	k := Keys{masters: make(map[string][]byte, len(texts))}
	var wrong []error
	for i, t := range texts {
		switch _, twice := k.masters[t.id]; {
		case !keyID.MatchString(t.id):
			wrong = append(wrong, fmt.Errorf("the id of key %d of %d is not 1 to 8 letters and digits", i+1, len(texts)))
		case twice:
			wrong = append(wrong, fmt.Errorf("key %s is given twice", t.id))
		case len(t.secret) < minSecretBytes:
			wrong = append(wrong, fmt.Errorf("key %s has %d bytes, at least %d are needed", t.id, len(t.secret), minSecretBytes))
		default:
			k.masters[t.id] = []byte(t.secret)
		}
	}
	if len(texts) == 0 {
		wrong = append(wrong, errors.New("there is no key"))
	}
	if err := errors.Join(wrong...); err != nil {
		return Keys{}, fmt.Errorf("reading pseudonym keys: %w", err)
	}
	return k, nil
}

// keyText is one member of the document.
type keyText struct{ id, secret string }

// readKeys reads member by member: a map would silently take the last of two
// keys with one id, and with it half of the pseudonyms would change. Its errors
// tell no more than a place, since encoding/json's show what stands there.
func readKeys(document []byte) (texts []keyText, err error) {
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
		var secret *string
		if d.Decode(&secret) != nil || secret == nil {
			return nil, fmt.Errorf("the secret of key %d is no string", len(texts)+1)
		}
		texts = append(texts, keyText{id.(string), *secret})
	}
	return texts, nil
}

// IDs lists the ids in order.
func (k Keys) IDs() []string { return slices.Sorted(maps.Keys(k.masters)) }

// String lists the ids, see [Keys].
func (k Keys) String() string { return fmt.Sprintf("pseudonym keys %v", k.IDs()) }

// GoString is String: not even %#v shows a secret.
func (k Keys) GoString() string { return k.String() }

// Business derives the key of a business, HMAC-SHA-256(master, "business" 0x00
// business), so that one phone has another pseudonym in every business. id is
// that of the master key, "" for the first; one that is not known is an error.
func (k Keys) Business(id string, b events.BusinessID) (*Key, error) {
	if id == "" {
		id = FirstKey
	}
	master, ok := k.masters[id]
	if !ok {
		return nil, fmt.Errorf("business %s: no pseudonym key %q", b, id)
	}
	secret := derive(master, "business", string(b))
	return &Key{id: id, business: b, secret: secret, stable: newMaker(id+"-", secret, b)}, nil
}

// derive gives HMAC-SHA-256(key, purpose 0x00 name). No purpose holds the zero
// byte, so no two derivations hash the same.
func derive(key []byte, purpose, name string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose + "\x00" + name))
	return h.Sum(nil)
}
