package business

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	_ "time/tzdata" // the image that a function runs in may have no time zones

	"footfall/events"
)

// Document holds everything that can be set of a business. Storing a document leaves
// a part alone that is nil (in JSON, absent or null).
type Document struct {
	Rules *Settings `json:"rules,omitempty"`
	Door  *Door     `json:"door,omitempty"`
}

// Stored is everything that a table holds of a business.
type Stored struct {
	Revisions History // nil if none is stored
	Door      *Door   // nil if none is stored
}

// Split returns the parts of a document that are not stored, and those that are.
func (s Stored) Split(d Document) (missing, present Document) {
	if s.Revisions == nil {
		missing.Rules = d.Rules
	} else {
		present.Rules = d.Rules
	}
	if s.Door == nil {
		missing.Door = d.Door
	} else {
		present.Door = d.Door
	}
	return missing, present
}

// MaxDoorBytes bounds the JSON of a door, to fit a DynamoDB item of 400 KB.
const MaxDoorBytes = 380 << 10

// Validate returns one error that joins all mistakes in the document, nil for none.
func (d Document) Validate() error {
	// A part may hold mistakes and be too large as well.
	var errs []error
	if d.Rules == nil && d.Door == nil {
		errs = append(errs, errors.New("the document has neither rules nor a door"))
	}
	if d.Rules != nil {
		_, err := d.Rules.Rules()
		_, tooLarge := History{{Settings: *d.Rules}}.Encode()
		errs = append(errs, under("rules", err), under("rules", tooLarge))
	}
	if d.Door != nil {
		_, tooLarge := d.Door.Encode()
		errs = append(errs, under("door", d.Door.Validate()), under("door", tooLarge))
	}
	return errors.Join(errs...)
}

// under returns err with the part of the document before each mistake that err joins.
func under(part string, err error) error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, one := range all.Unwrap() {
			errs = append(errs, under(part, one))
		}
		return errors.Join(errs...)
	}
	return fmt.Errorf("%s: %w", part, err)
}

// Encode returns the JSON that tables hold, or an error if the JSON is longer than
// MaxDoorBytes.
func (d Door) Encode() ([]byte, error) {
	data, err := json.Marshal(d)
	if err == nil && len(data) > MaxDoorBytes {
		err = fmt.Errorf("with %d devices that opted out it takes %d bytes, at most %d fit; list fewer devices", len(d.OptOut), len(data), MaxDoorBytes)
	}
	return data, err
}

// ReadDocument decodes and validates a document. Fields that are absent from a part
// have their defaults. Data with neither part is settings alone, as `footfall
// calibrate` writes them; absent fields then have the values of former, the settings
// that the new ones follow. The error names every mistake.
func ReadDocument(data []byte, former Settings) (Document, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return Document{}, err
	}
	// Settings alone are the rules of a document without a door.
	rules, hasRules := parts["rules"]
	door, hasDoor := parts["door"]
	if !hasRules && !hasDoor && len(parts) > 0 {
		rules, hasRules = data, true
		parts = nil
	} else {
		former = Defaults()
	}
	delete(parts, "rules")
	delete(parts, "door")
	// A part that is null is absent.
	hasRules, hasDoor = hasRules && string(rules) != "null", hasDoor && string(door) != "null"
	// Decode even if one part has mistakes, so that the error names those of both.
	var d Document
	var errs []error
	if hasRules {
		d.Rules = &former
		errs = append(errs, under("rules", strict(rules, d.Rules)))
	}
	if hasDoor {
		d.Door = &Door{}
		errs = append(errs, under("door", strict(door, d.Door)))
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		errs = append(errs, fmt.Errorf("unknown field %q", name))
	}
	return d, errors.Join(append(errs, d.Validate())...)
}

// ReadDocuments decodes and validates a JSON object of at least one document, by the
// id of the business. The error names every mistake.
func ReadDocuments(data []byte) (map[events.BusinessID]Document, error) {
	var raw map[events.BusinessID]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	all := make(map[events.BusinessID]Document, len(raw))
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(raw)) {
		d, err := ReadDocument(raw[id], Defaults())
		errs = append(errs, ValidID(id), under(string(id), err))
		all[id] = d
	}
	if len(raw) == 0 {
		errs = append(errs, errors.New("the file holds no business"))
	}
	return all, errors.Join(errs...)
}

// ReplaceDevices replaces each list of devices in the document with the result of
// replace. An error of replace is returned behind the path of the list, like
// "rules.static".
func (d Document) ReplaceDevices(replace func([]events.DeviceID) ([]events.DeviceID, error)) error {
	type list struct {
		path    string
		devices *[]events.DeviceID
	}
	var lists []list
	if d.Rules != nil {
		lists = append(lists, list{"rules.static", &d.Rules.Static}, list{"rules.employees", &d.Rules.Employees})
	}
	if d.Door != nil {
		lists = append(lists, list{"door.opt_out", &d.Door.OptOut})
	}
	for _, l := range lists {
		devices, err := replace(*l.devices)
		if err != nil {
			return fmt.Errorf("%s%w", l.path, err)
		}
		*l.devices = devices
	}
	return nil
}
