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

// strict reads JSON into what v points to, whose present values are those of
// what is missing. A name that there is no field of is an error. All mistakes
// are told, each with its place, which encoding/json does not do.
func strict(data []byte, v any) error {
	if !json.Valid(data) {
		var none any
		return json.Unmarshal(data, &none) // says where
	}
	return strictValue(data, reflect.ValueOf(v).Elem(), "")
}

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
	return at(path, json.Unmarshal(data, v.Addr().Interface()))
}

// at says where in a document an error is.
func at(path string, err error) error {
	if err == nil || path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", strings.TrimPrefix(path, "."), err)
}

func strictStruct(data []byte, v reflect.Value, path string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return at(path, err)
	}
	var errs []error
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if raw, ok := fields[name]; ok {
			errs = append(errs, strictValue(raw, v.Field(i), path+"."+name))
			delete(fields, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		errs = append(errs, at(path, fmt.Errorf("unknown field %q", name)))
	}
	return errors.Join(errs...)
}

func strictMap(data []byte, v reflect.Value, path string) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return at(path, err)
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

func strictSlice(data []byte, v reflect.Value, path string) error {
	var values []json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return at(path, err)
	}
	var errs []error
	into := reflect.MakeSlice(v.Type(), len(values), len(values))
	for i := range values {
		errs = append(errs, strictValue(values[i], into.Index(i), fmt.Sprintf("%s[%d]", path, i)))
	}
	v.Set(into)
	return errors.Join(errs...)
}

// validID checks what every id of a record keeps to.
func validID(id string) error {
	switch {
	case id == "":
		return errors.New("an id is empty")
	case len(id) > events.MaxIDBytes:
		return fmt.Errorf("%.64q is of %d bytes, %d are allowed", id, len(id), events.MaxIDBytes)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("%.64q is no printable text", id)
	}
	return nil
}

// ValidID checks the id of a business: any printable text of up to 128 bytes
// without a '/', which ends it in a record key, and that a sender can post to. A
// path is decoded on the way to ingest, perhaps twice, and cut off at a question
// mark: "a%41" would come in as "aA", and "a?b" as "a".
func ValidID(id events.BusinessID) error {
	if i := strings.IndexAny(string(id), "/%?"); i >= 0 {
		return fmt.Errorf("business %.64q holds a '%c'", id, id[i])
	}
	if id == "." || id == ".." {
		return fmt.Errorf("business %q is no part of a path", id)
	}
	if err := validID(string(id)); err != nil {
		return fmt.Errorf("business: %w", err)
	}
	return nil
}
