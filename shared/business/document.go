// Package business is what the pipeline is told about a business: by which
// settings it decides and since when, and who may post its sightings. People
// write it as one JSON document, which docs/settings.md describes.
package business

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	_ "time/tzdata" // where a function runs there may be none

	"footfall/events"
)

// Document is all that can be set of a business. A part that is nil, in JSON also
// null, stays as it is where the document is stored.
type Document struct {
	Rules *Settings `json:"rules,omitempty"`
	Door  *Door     `json:"door,omitempty"`
}

// Stored is what a table holds of a business.
type Stored struct {
	Revisions History
	Door      *Door // nil where it has none
}

// MaxDoorBytes bounds a door as JSON, so that it fits a DynamoDB item.
const MaxDoorBytes = 380 << 10

// Validate reports everything that is wrong with the document.
func (d Document) Validate() error {
	var errs []error
	if d.Rules == nil && d.Door == nil {
		errs = append(errs, errors.New("it has neither rules nor a door"))
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

// under names the part of a document that all of an error's mistakes are in.
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

// Encode gives the text that tables hold, or an error where that is more than
// MaxDoorBytes.
func (d Door) Encode() ([]byte, error) {
	data, err := json.Marshal(d)
	if err == nil && len(data) > MaxDoorBytes {
		err = fmt.Errorf("it takes %d bytes with %d devices that opted out; %d are possible", len(data), len(d.OptOut), MaxDoorBytes)
	}
	return data, err
}

// ReadDocument reads a document or, where it has neither of the parts of one,
// settings alone, as calibrate writes them: what those do not name is as in
// former. Its error names every mistake.
func ReadDocument(data []byte, former Settings) (Document, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return Document{}, err
	}
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
	hasRules, hasDoor = hasRules && string(rules) != "null", hasDoor && string(door) != "null"
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

// ReadDocuments reads documents by the id of their business, as one JSON object.
// Its error names every mistake.
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
		errs = append(errs, errors.New("there is no business in it"))
	}
	return all, errors.Join(errs...)
}

// ReplaceDevices replaces each list of devices in the document with what replace
// returns for it. An error of replace comes back with the path of the list before
// it, like "rules.static".
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
