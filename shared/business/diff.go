package business

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is a value of a document that differs from the stored value.
type Difference struct {
	Path   string // of the value in the JSON of a Document, like "rules.entry_dbm"
	Change string // like "-61 -> -63", or "2 more, 0 fewer" for a list; never holds a secret
}

// String returns the difference as one line of text.
func (d Difference) String() string { return d.Path + ": " + d.Change }

// DiffSettings returns the differences between settings, by ascending path; values
// that only before has come last. If before is nil, the only difference is that the
// rules are new.
func DiffSettings(before *Settings, after Settings) []Difference {
	return diff("rules", before, &after)
}

// DiffDoors returns the differences between doors, by ascending path, without
// secrets; values that only before has come last. If before is nil, the only
// difference is that the door is new.
func DiffDoors(before *Door, after Door) []Difference {
	return diff("door", before, &after)
}

// diff compares two values of one type by their JSON.
func diff[T any](part string, before, after *T) []Difference {
	if before == nil {
		return []Difference{{part, "new"}}
	}
	// The values of both, by path.
	was, is := map[string]any{}, map[string]any{}
	flatten(part, toJSON(before), was)
	flatten(part, toJSON(after), is)
	// Values that are new or differ, then values that are gone.
	var all []Difference
	for _, path := range slices.Sorted(maps.Keys(is)) {
		old, known := was[path]
		delete(was, path)
		if !known || fmt.Sprint(old) != fmt.Sprint(is[path]) {
			all = append(all, Difference{path, describe(path, old, is[path])})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(was)) {
		all = append(all, Difference{path, describe(path, was[path], nil)})
	}
	return all
}

// toJSON returns a value as encoding/json decodes it: an object is a map.
func toJSON(v any) (decoded any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // every value of settings and doors has a form in JSON
	}
	if err := json.Unmarshal(data, &decoded); err != nil {
		panic(err)
	}
	return decoded
}

// flatten puts every value below v that is no object into values, by its path.
func flatten(path string, v any, values map[string]any) {
	object, ok := v.(map[string]any)
	if !ok {
		values[path] = v
		return
	}
	for name, value := range object {
		flatten(path+"."+name, value, values)
	}
}

// describe returns how a value has changed, nil standing for no value. For a list it
// returns how many elements came and went.
func describe(path string, before, after any) string {
	// A secret must not be shown.
	if strings.HasSuffix(path, ".secrets") || strings.HasSuffix(path, ".validator") {
		switch {
		case before == nil:
			return "new"
		case after == nil:
			return "dropped"
		}
		return "changed"
	}
	old, wasList := before.([]any)
	next, isList := after.([]any)
	if !wasList && !isList {
		return fmt.Sprintf("%s -> %s", orNone(before), orNone(after))
	}
	// Count the elements that are not in the old list, and those left of the old list.
	// An element that is twice in the new list counts as more the second time.
	left := map[string]bool{}
	for _, v := range old {
		left[fmt.Sprint(v)] = true
	}
	more := 0
	for _, v := range next {
		if !left[fmt.Sprint(v)] {
			more++
		}
		delete(left, fmt.Sprint(v))
	}
	return fmt.Sprintf("%d more, %d fewer", more, len(left))
}

// orNone returns the text of a value, "none" for nil.
func orNone(v any) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(v)
}
