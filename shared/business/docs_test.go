package business

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rows returns the rows of the tables below a heading of docs/settings.md: the second
// cell, by the field in the first cell.
func rows(t *testing.T, heading string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	found := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.*]+)` \\| *(.*?) *\\|").FindAllStringSubmatch(part, -1) {
		found[row[1]] = strings.Trim(row[2], "`")
	}
	return found
}

// names returns the JSON names of the fields of a type, each after a prefix.
func names[T any](prefix string) (all []string) {
	for f := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		all = append(all, prefix+name)
	}
	return all
}

// A setting that is added must be documented in docs/settings.md.
func TestGuideHasEverySetting(t *testing.T) {
	got, want := slices.Sorted(maps.Keys(rows(t, "rules"))), slices.Sorted(slices.Values(names[Settings]("")))
	if !slices.Equal(got, want) {
		t.Errorf("docs/settings.md has the rules %q, want those of the code, %q", got, want)
	}
	got, want = slices.Sorted(maps.Keys(rows(t, "door"))), append(names[Door](""), names[Sender]("senders.*.")...)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("docs/settings.md has the fields %q of a door, want those of the code, %q", got, want)
	}
}

func TestGuideHasTheDefaults(t *testing.T) {
	data, err := json.Marshal(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	var defaults map[string]json.RawMessage
	if err := json.Unmarshal(data, &defaults); err != nil {
		t.Fatal(err)
	}
	documented := rows(t, "rules")
	for name, value := range defaults {
		if want := strings.Trim(string(value), `"`); documented[name] != want {
			t.Errorf("docs/settings.md has default %q of %s, want that of the code, %q", documented[name], name, want)
		}
	}
}

func TestGuideHasEveryKind(t *testing.T) {
	text, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "by kind: `" + strings.Join(Kinds(), "`, `") + "`"; !strings.Contains(string(text), want) {
		t.Errorf("docs/settings.md does not have %s", want)
	}
}
