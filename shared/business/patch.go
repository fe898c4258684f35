package business

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ReadPatch returns the document that a JSON Merge Patch (RFC 7396) makes of what is
// stored of a business: of its door, and of the settings in force at the moment at
// which the patched ones begin. A field that the patch does not name keeps its value,
// and a field that the patch sets to null gets its default. Only the parts that the
// patch names are in the document. A patch with neither part is one of the rules
// alone. The error names every mistake.
func ReadPatch(patch []byte, stored Stored, begins time.Time) (Document, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(patch, &parts); err != nil {
		return Document{}, err
	}
	if len(parts) > 0 && parts["rules"] == nil && parts["door"] == nil {
		parts = map[string]json.RawMessage{"rules": patch}
	}
	// The first settings of a business follow the defaults.
	settings, door := Defaults(), Door{}
	if r, ok := stored.Revisions.At(begins); ok {
		settings = r.Settings
	}
	if stored.Door != nil {
		door = *stored.Door
	}
	// Patch each part that is named.
	var d Document
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		switch name {
		case "rules":
			rules := Defaults()
			d.Rules = &rules
			errs = append(errs, under(name, patchPart(parts[name], settings, &Settings{}, d.Rules)))
		case "door":
			d.Door = &Door{}
			errs = append(errs, under(name, patchPart(parts[name], door, &Door{}, d.Door)))
		default:
			errs = append(errs, fmt.Errorf("unknown field %q", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Document{}, err
	}
	return d, d.Validate()
}

// patchPart decodes the patched value into patched. scratch takes the patch itself:
// its unknown fields are mistakes, also those that it sets to null.
func patchPart(patch json.RawMessage, stored, scratch, patched any) error {
	if string(patch) == "null" {
		return errors.New("null would remove all of it: set its fields to null, one by one")
	}
	if err := strict(patch, scratch); err != nil {
		return err
	}
	target, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	merged, err := mergePatch(target, patch)
	if err != nil {
		return err
	}
	return strict(merged, patched)
}

// mergePatch applies a JSON Merge Patch to a JSON text (RFC 7396, section 2).
func mergePatch(target, patch []byte) ([]byte, error) {
	var t, p any
	for text, v := range map[*[]byte]*any{&target: &t, &patch: &p} {
		d := json.NewDecoder(bytes.NewReader(*text))
		d.UseNumber() // keeps the digits as they are written
		if err := d.Decode(v); err != nil {
			return nil, err
		}
	}
	return json.Marshal(merge(t, p))
}

// merge returns target with the patch applied; it may change target.
func merge(target, patch any) any {
	fields, isObject := patch.(map[string]any)
	if !isObject {
		return patch
	}
	object, isObject := target.(map[string]any)
	if !isObject {
		object = map[string]any{}
	}
	for name, v := range fields {
		if v == nil {
			delete(object, name)
		} else {
			object[name] = merge(object[name], v)
		}
	}
	return object
}
