package callgraph

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const source = `package store

type table struct{ client *sdk.Client }
type other struct{}
type Counts struct {
	table table
	other *other
}

func (c *Counts) Add()  { c.put(); helper() }
func (c *Counts) put()  { c.table.write() }
func (c *Counts) Skip() { c.other.write() }
func (t table) write()  { t.client.PutItem() }
func (o *other) write() { o.Scan() }
func helper()           { sdk.NewQueryPaginator(); helper() }
`

// Calls are followed through functions and through methods of the receivers that
// are named, and not into a type that the field of the call is not of.
func TestReached(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"store.go": source, "store_test.go": "no Go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Parse(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from      string
		receivers []string
		want      []string
	}{
		{"Counts.Add", []string{"Counts", "table"}, []string{"NewQueryPaginator", "PutItem", "put", "write"}},
		{"Counts.Add", nil, []string{"NewQueryPaginator", "put"}},
		{"Counts.Skip", []string{"Counts", "table"}, []string{"write"}},
		{"Counts.Skip", []string{"other"}, []string{"Scan", "write"}},
		{"Counts.None", []string{"Counts"}, nil},
	} {
		if got := slices.Sorted(maps.Keys(p.Reached(c.from, c.receivers...))); !slices.Equal(got, c.want) {
			t.Errorf("%s with receivers %v: got %v, want %v", c.from, c.receivers, got, c.want)
		}
	}
	if got, want := p.Receivers(), []string{"Counts", "other", "table"}; !slices.Equal(got, want) {
		t.Errorf("got receivers %v, want %v", got, want)
	}
	if !p.Has("Counts.Add") || !p.Has("helper") || p.Has("Add") {
		t.Error("got functions by other names than Counts.Add and helper")
	}
	if _, err := Parse(t.TempDir()); err == nil {
		t.Error("got no error for a directory without Go files")
	}
}
