package recording

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/replay.md names every field that the readers read, and no other, and every
// reason for which a record is left out.
func TestPageHasEveryFieldAndReason(t *testing.T) {
	data, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	// The names in the first two cells of the tables of fields, the reasons in the
	// first cell of the table of reasons.
	var fields, left []string
	name := regexp.MustCompile("`([a-z_.]+)`")
	table := ""
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			table = ""
			continue
		}
		first := strings.TrimSpace(cells[1])
		switch {
		case table == "":
			table = first
		case strings.HasPrefix(first, "---"):
		case table == "reason":
			left = append(left, first)
		case table == "column":
			for _, m := range name.FindAllStringSubmatch(cells[1]+cells[2], -1) {
				fields = append(fields, m[1])
			}
		case table == "field":
			fields = append(fields, name.FindStringSubmatch(first)[1])
		}
	}
	want := append(slices.Concat(columns[:]...), otherNames...)
	want = append(want, "merged_into")
	slices.Sort(fields)
	slices.Sort(want)
	if !slices.Equal(fields, want) {
		t.Errorf("the page has the fields\n%q, the readers\n%q", fields, want)
	}
	wantLeft := slices.Clone(reasonTexts[NoTime:])
	slices.Sort(left)
	slices.Sort(wantLeft)
	if !slices.Equal(left, wantLeft) {
		t.Errorf("the page has the reasons\n%q, the readers\n%q", left, wantLeft)
	}
}

// The example lines of the page are read.
func TestExamplesOfThePage(t *testing.T) {
	data, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(string(data))[1]
	items, _, err := readString(example)
	if err != nil || len(items) != 3 || items[0].CRM != nil || items[1].CRM.Login == nil || items[2].CRM.Deleted == nil {
		t.Errorf("read %+v, %v, want a sighting, a login and a deletion", items, err)
	}
	if items[0].Sighting.Device != items[1].CRM.Login.Device || items[0].Sighting.Business != options.Business {
		t.Errorf("read %+v, want one device, at the business of the options", items)
	}
}
