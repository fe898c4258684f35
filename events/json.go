package events

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// isJSON says whether value is to be read as a JSON object. No Avro value
// begins so: its first byte is C3.
func isJSON(value []byte) bool {
	value = bytes.TrimLeft(value, jsonSpace)
	return len(value) > 0 && value[0] == '{'
}

// jsonSpace is the white space of RFC 8259, section 2.
const jsonSpace = " \t\r\n"

// jsonField is a field that readObject fills: into is a *string, *int32, *bool
// or *time.Time. A field that is optional may be missing or null and keeps its
// value then.
type jsonField struct {
	name     string
	into     any
	optional bool
	seen     bool
}

// readObject reads one JSON object into fields. Names are compared exactly and
// fields that nobody asks for are ignored. encoding/json alone is not enough:
// of a field given twice it silently takes the last one, where another reader
// of the same record may take the first, and it cannot tell missing from zero.
// Its validator runs first, so the walk over the object meets only valid JSON.
// Errors are *BadRecord.
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
	for i := range fields {
		if !fields[i].seen && !fields[i].optional {
			return Bad(InvalidField, "%s: missing", fields[i].name)
		}
	}
	return nil
}

func fillField(fields []jsonField, name, value []byte) error {
	name, ok := unquote(name)
	if !ok {
		return nil
	}
	for i := range fields {
		f := &fields[i]
		if f.name != string(name) {
			continue
		}
		if f.seen {
			return Bad(Undecodable, "%s: given twice", f.name)
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

// fillTime cuts what is finer than a millisecond, as Avro does.
func fillTime(into *time.Time, value []byte) bool {
	if text, ok := unquote(value); ok {
		err := into.UnmarshalText(text)
		*into = time.UnixMilli(into.UnixMilli()).UTC()
		return err == nil
	}
	millis, err := strconv.ParseInt(string(value), 10, 64)
	*into = time.UnixMilli(millis).UTC()
	return err == nil
}

// unquote gives the text of a JSON string; ok is false for another literal.
// Where an escape is half of a surrogate pair, or a byte beside an escape is no
// UTF-8, encoding/json puts U+FFFD: two ids could become one, so ok is false
// there too. Without escapes the text is as it came.
func unquote(value []byte) (text []byte, ok bool) {
	if value[0] != '"' {
		return nil, false
	}
	text = value[1 : len(value)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return text, true
	}
	lost := bytes.Count(text, []byte(string(utf8.RuneError)))
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, false
	}
	text = []byte(s)
	return text, bytes.Count(text, []byte(string(utf8.RuneError))) == lost
}

// object walks the fields of an object that json.Valid has passed; only
// therefore may it index without looking at the length.
type object struct {
	data []byte
	at   int
}

// openObject gives ok false where data is no object.
func openObject(data []byte) (o object, ok bool) {
	o = object{data: data}
	o.space()
	if data[o.at] != '{' {
		return object{}, false
	}
	o.at++
	return o, true
}

// next gives the name of the next field, with its quotes, and its value; ok is
// false after the last one.
func (o *object) next() (name, value []byte, ok bool) {
	o.space()
	if o.data[o.at] == ',' {
		o.at++
		o.space()
	}
	if o.data[o.at] == '}' {
		return nil, nil, false
	}
	name = o.value()
	o.space()
	o.at++ // the colon
	o.space()
	return name, o.value(), true
}

func (o *object) space() {
	for o.data[o.at] <= ' ' {
		o.at++
	}
}

// value passes over one value, however deep, and gives its bytes.
func (o *object) value() []byte {
	start, depth := o.at, 0
	for {
		switch o.data[o.at] {
		case '"':
			o.text()
		case '{', '[':
			depth++
			o.at++
		case '}', ']':
			depth--
			o.at++
		case ',', ':', ' ', '\t', '\r', '\n':
			o.at++
		default:
			o.literal()
		}
		if depth == 0 {
			return o.data[start:o.at]
		}
	}
}

func (o *object) text() {
	for o.at++; o.data[o.at] != '"'; o.at++ {
		if o.data[o.at] == '\\' {
			o.at++
		}
	}
	o.at++
}

func (o *object) literal() {
	for {
		switch o.data[o.at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return
		}
		o.at++
	}
}
