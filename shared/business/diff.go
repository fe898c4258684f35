package business

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is one value of a document that differs from the stored one.
type Difference struct {
	Path   string // of the value in the JSON of a Document, like "rules.entry_dbm"
	Change string // like "-61 -> -63", or "2 more, 0 fewer" for a list; never holds a secret
}

// String returns the difference as one line of text.
func (d Difference) String() string { return d.Path + ": " + d.Change }

// DiffSettings returns how settings differ, by ascending path. A nil before
// stands for none: the one difference is then that the rules are new.
func DiffSettings(before *Settings, after Settings) []Difference {
	return diff("rules", before, &after)
}

// DiffDoors returns how doors differ, by ascending path, without secrets. A nil
// before stands for none: the one difference is then that the door is new.
func DiffDoors(before *Door, after Door) []Difference {
	return diff("door", before, &after)
}

// diff compares two values of one type by their JSON. Values that only before
// has come last.
func diff[T any](part string, before, after *T) []Difference {
	if before == nil {
		return []Difference{{part, "new"}}
	}
	was, is := map[string]any{}, map[string]any{}
	flatten(part, toJSON(before), was)
	flatten(part, toJSON(after), is)
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

// toJSON returns a value as encoding/json reads it back: objects are maps.
func toJSON(v any) (decoded any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // settings and doors hold nothing that JSON cannot
	}
	if err := json.Unmarshal(data, &decoded); err != nil {
		panic(err)
	}
	return decoded
}

// flatten puts every value that is no object into values, by its path.
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

// describe returns how a value has changed; nil stands for no value. Of a list it
// counts the elements that came and went, and of a secret it only reports that it
// has changed.
func describe(path string, before, after any) string {
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

func orNone(v any) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(v)
}
