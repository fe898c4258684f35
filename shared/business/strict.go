package business

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"footfall/events"
)

// strict decodes JSON into the value that v points to. An absent field keeps its
// present value, and an unknown field is an error. In contrast to encoding/json, the
// error names all mistakes, each with its path.
func strict(data []byte, v any) error {
	if !json.Valid(data) {
		var ignored any
		return json.Unmarshal(data, &ignored) // the error has the position
	}
	return strictValue(data, reflect.ValueOf(v).Elem(), "")
}

// strictValue decodes one value, whose path in the document is like
// ".senders.mist.secrets". null leaves the present value. It descends into structs,
// and into maps and slices of structs; encoding/json decodes the rest.
func strictValue(data []byte, v reflect.Value, path string) error {
	switch {
	case string(data) == "null":
		return nil
	case v.Kind() == reflect.Struct:
		return strictStruct(data, v, path)
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		return strictMap(data, v, path)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		return strictSlice(data, v, path)
	}
	return withPath(path, json.Unmarshal(data, v.Addr().Interface()))
}

// withPath returns err behind the path of the value it is about.
func withPath(path string, err error) error {
	if err == nil || path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", strings.TrimPrefix(path, "."), err)
}

// strictStruct decodes an object into the fields of a struct, by their JSON names.
func strictStruct(data []byte, v reflect.Value, path string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return withPath(path, err)
	}
	// Decode the fields that the struct has. The others are left over.
	var errs []error
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if raw, ok := fields[name]; ok {
			errs = append(errs, strictValue(raw, v.Field(i), path+"."+name))
			delete(fields, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		errs = append(errs, withPath(path, fmt.Errorf("unknown field %q", name)))
	}
	return errors.Join(errs...)
}

// strictMap decodes an object into a map with structs as values.
func strictMap(data []byte, v reflect.Value, path string) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return withPath(path, err)
	}
	var errs []error
	into := reflect.MakeMap(v.Type())
	for _, name := range slices.Sorted(maps.Keys(values)) {
		one := reflect.New(v.Type().Elem()).Elem()
		errs = append(errs, strictValue(values[name], one, path+"."+name))
		into.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), one)
	}
	v.Set(into)
	return errors.Join(errs...)
}

// strictSlice decodes an array into a slice of structs.
func strictSlice(data []byte, v reflect.Value, path string) error {
	var values []json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return withPath(path, err)
	}
	var errs []error
	into := reflect.MakeSlice(v.Type(), len(values), len(values))
	for i := range values {
		errs = append(errs, strictValue(values[i], into.Index(i), fmt.Sprintf("%s[%d]", path, i)))
	}
	v.Set(into)
	return errors.Join(errs...)
}

// validID returns an error if id cannot be an id of any record: ids are printable
// UTF-8 of 1 to events.MaxIDBytes bytes.
func validID(id string) error {
	switch {
	case id == "":
		return errors.New("an id is empty")
	case len(id) > events.MaxIDBytes:
		return fmt.Errorf("%.64q has %d bytes, at most %d are allowed", id, len(id), events.MaxIDBytes)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("%.64q is not printable text", id)
	}
	return nil
}

// ValidID returns an error if id cannot be the id of a business. An id is printable
// text of up to 128 bytes that can stand in the path of a post. It holds no '/', which
// ends the business in a record key, and neither '%' nor '?': a path is decoded on the
// way to ingest, perhaps twice, and cut off at a question mark, so "a%41" would arrive
// as "aA", and "a?b" as "a".
func ValidID(id events.BusinessID) error {
	if i := strings.IndexAny(string(id), "/%?"); i >= 0 {
		return fmt.Errorf("business %.64q holds a '%c', which no path to ingest can hold", id, id[i])
	}
	if id == "." || id == ".." {
		return fmt.Errorf("business %q is no part of a path", id)
	}
	if err := validID(string(id)); err != nil {
		return fmt.Errorf("business: %w", err)
	}
	return nil
}
