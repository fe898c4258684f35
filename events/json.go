package events

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// isJSON reports whether value is to be read as a JSON object. An Avro value
// never begins with '{': its first byte is C3.
func isJSON(value []byte) bool {
	value = bytes.TrimLeft(value, jsonSpace)
	return len(value) > 0 && value[0] == '{'
}

// jsonSpace is the white space of RFC 8259, section 2.
const jsonSpace = " \t\r\n"

// jsonField is a field that readObject fills. into is a *string, *int32, *bool
// or *time.Time. An optional field may be missing or null and then keeps its
// value.
type jsonField struct {
	name     string
	into     any
	optional bool
	seen     bool
}

// readObject reads one JSON object into fields. Names are compared exactly;
// other fields of the object are ignored. Errors are *BadRecord.
//
// encoding/json alone is not enough. If an object holds a field twice,
// encoding/json silently takes the last one, but another reader of the same
// record may take the first. And encoding/json cannot tell a missing field from
// a zero. json.Valid runs first, so the walk over the object meets only valid
// JSON.
func readObject(data []byte, fields ...jsonField) error {
	if !json.Valid(data) {
		return Bad(Undecodable, "the %d bytes are not one JSON value", len(data))
	}
	o, ok := openObject(data)
	if !ok {
		return Bad(Undecodable, "the JSON value is not an object")
	}
	for {
		name, value, more := o.next()
		if !more {
			break
		}
		if err := fillField(fields, name, value); err != nil {
			return err
		}
	}
	// The object is read: every field without a default must have been in it.
	for i := range fields {
		if !fields[i].seen && !fields[i].optional {
			return Bad(InvalidField, "%s: missing", fields[i].name)
		}
	}
	return nil
}

// fillField sets the field of that name, if fields holds one.
func fillField(fields []jsonField, name, value []byte) error {
	name, ok := unquote(name)
	if !ok {
		return nil // not valid Unicode, so it equals none of our names
	}
	for i := range fields {
		f := &fields[i]
		if f.name != string(name) {
			continue
		}
		if f.seen {
			return Bad(Undecodable, "%s: the object holds it twice", f.name)
		}
		f.seen = true
		return f.fill(value)
	}
	return nil
}

// fill sets the field from a JSON literal of exactly its type.
func (f *jsonField) fill(value []byte) error {
	if f.optional && string(value) == "null" {
		return nil
	}
	var ok bool
	var want string
	switch into := f.into.(type) {
	case *string:
		want, ok = "a string of valid Unicode", fillString(into, value)
	case *int32:
		want, ok = "a 32-bit integer", fillInt(into, value)
	case *bool:
		want, ok = "true or false", fillBool(into, value)
	case *time.Time:
		want, ok = "a time: integer milliseconds since 1970 or an RFC 3339 string", fillTime(into, value)
	}
	// The form is wrong; whether the value is in its range is up to Validate.
	if !ok {
		return Bad(InvalidField, "%s: %.*q is not %s", f.name, maxShown, value, want)
	}
	return nil
}

func fillString(into *string, value []byte) bool {
	s, ok := unquote(value)
	*into = string(s)
	return ok
}

func fillInt(into *int32, value []byte) bool {
	n, err := strconv.ParseInt(string(value), 10, 32)
	*into = int32(n)
	return err == nil
}

func fillBool(into *bool, value []byte) bool {
	*into = string(value) == "true"
	return *into || string(value) == "false"
}

// fillTime cuts the time to milliseconds, as Avro does.
func fillTime(into *time.Time, value []byte) bool {
	if text, ok := unquote(value); ok {
		err := into.UnmarshalText(text)
		*into = time.UnixMilli(into.UnixMilli()).UTC()
		return err == nil
	}
	// Not a string, so only an integer is left.
	millis, err := strconv.ParseInt(string(value), 10, 64)
	*into = time.UnixMilli(millis).UTC()
	return err == nil
}

// unquote returns the text of a JSON string. ok is false if the literal is not a
// string, or if encoding/json would put U+FFFD in place of a part of the text:
// for an escape that is half of a surrogate pair, or, in a string with escapes,
// for a byte that is not UTF-8. With U+FFFD two ids could become one. The text
// of a string without escapes is returned as it is.
func unquote(value []byte) (text []byte, ok bool) {
	if value[0] != '"' {
		return nil, false
	}
	text = value[1 : len(value)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return text, true
	}
	// Let encoding/json resolve the escapes. More U+FFFD afterwards than before
	// means that it replaced something.
	lost := bytes.Count(text, []byte(string(utf8.RuneError)))
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, false
	}
	text = []byte(s)
	return text, bytes.Count(text, []byte(string(utf8.RuneError))) == lost
}
