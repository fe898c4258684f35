package dynamo

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"

	"footfall/events"
	"footfall/shared/presence"
)

// A fact is stored as text. dynalite compares bytes that are not UTF-8 as equal, so
// in a set of bytes it would take new facts for known ones. The text is one of:
//
//	id                 a visit from before facts were kept, counted by its id alone
//	id last            a visit is over
//	id start device    a visit began
//
// The id is 22 characters, base64 of its 16 bytes. start and last are steps of two
// minutes since 1970 in base 36, which fill five characters until 2199. device is
// the hash that presence.Began makes of the device.
const (
	idChars   = 22
	stepChars = 5
)

// packFact returns the text of a fact, or an error if the fact is none of the
// three kinds.
func packFact(f presence.Fact) (string, error) {
	id, err := packID(events.WalkInID(f.Visit))
	if err != nil {
		return "", err
	}
	if (f.Start == 0) != (f.Device == "") || f.Start != 0 && f.Last != 0 {
		return "", fmt.Errorf("walk-in %s: %+v is not one fact", f.Visit, f)
	}
	step := f.Start + f.Last // at least one is 0
	if step == 0 {
		return id, nil
	}
	digits := strconv.FormatInt(step, 36)
	if len(digits) != stepChars {
		return "", fmt.Errorf("walk-in %s: step %d is out of range", f.Visit, step)
	}
	return id + digits + f.Device, nil
}

// unpackFacts returns the facts of texts that packFact made.
func unpackFacts(texts []string) ([]presence.Fact, error) {
	facts := make([]presence.Fact, len(texts))
	for i, text := range texts {
		var err error
		if facts[i], err = unpackFact(text); err != nil {
			return nil, fmt.Errorf("fact %q: %w", text, err)
		}
	}
	return facts, nil
}

// unpackFact returns the fact of one text.
func unpackFact(text string) (f presence.Fact, err error) {
	if len(text) < idChars || len(text) > idChars && len(text) < idChars+stepChars {
		return f, fmt.Errorf("it has %d characters, not %d, nor %d or more", len(text), idChars, idChars+stepChars)
	}
	id, err := base64.RawURLEncoding.DecodeString(text[:idChars])
	if err != nil {
		return f, err
	}
	f.Visit = hex.EncodeToString(id)
	if len(text) == idChars {
		return f, nil
	}
	// A device follows the step if the visit began, nothing if it is over.
	step, err := strconv.ParseInt(text[idChars:idChars+stepChars], 36, 64)
	if f.Device = text[idChars+stepChars:]; f.Device == "" {
		f.Last = step
	} else {
		f.Start = step
	}
	return f, err
}

// packID returns the 22 characters that an id is stored as. Upper-case hex would
// decode, but is an error: a second spelling of an id is a second walk-in to its
// sender, and would be stored as the same one.
func packID(id events.WalkInID) (string, error) {
	b, err := hex.DecodeString(string(id))
	if err != nil || len(b) != 16 || hex.EncodeToString(b) != string(id) {
		return "", fmt.Errorf("walk-in id %q is not 32 lower-case hex characters", id)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
