package main

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"footfall/infra/settings"
)

var update = flag.Bool("update", false, "write the tables into docs/deploy.md")

// The tables are between these lines.
const (
	document = "../../docs/deploy.md"
	begin    = "<!-- go -C infra run ./cost -->\n"
	end      = "<!-- end of cost -->\n"
)

func readDocument(t *testing.T) (before, tables, after string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	tables, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no lines %q and %q", document, begin, end)
	}
	return before, tables, after
}

func TestDocumentHasTheTables(t *testing.T) {
	before, tables, after := readDocument(t)
	if *update {
		if err := os.WriteFile(document, []byte(before+begin+report()+"\n"+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tables != report()+"\n" {
		t.Errorf("%s is not what the program prints: go -C infra test ./cost -update", document)
	}
}

// The document describes every setting and every size.
func TestDocumentHasEverySetting(t *testing.T) {
	before, _, after := readDocument(t)
	text := before + after
	for f := range reflect.TypeFor[settings.Settings]().Fields() {
		key := f.Tag.Get("context")
		if key == "" {
			t.Errorf("field %s of settings has no key", f.Name)
		}
		if !strings.Contains(text, "| `"+key+"` |") {
			t.Errorf("%s has no row for setting %s", document, key)
		}
	}
	for _, size := range settings.Sizes() {
		_, row, ok := strings.Cut(text, "\n| `"+size.Name+"` |")
		row, _, _ = strings.Cut(row, "\n")
		posts := "| " + grouped(float64(size.Posts.Rate)) + ", " + grouped(float64(size.Posts.Burst)) + " |"
		if !ok || !strings.Contains(row, posts) {
			t.Errorf("%s has no row for size %s with %s", document, size.Name, posts)
		}
	}
}

func TestPricesSayWhereTheyAreFrom(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range prices() {
		if p.USD <= 0 || p.Unit == "" || !strings.Contains(p.Source, ".amazon.com/") || seen[p.What] {
			t.Errorf("price %+v", p)
		}
		seen[p.What] = true
	}
}

func TestMoney(t *testing.T) {
	for usd, want := range map[float64]string{0: "0", 0.004: "0", 0.756: "0.76", 9.5: "9.50", 10.4: "10", 1234.5: "1,234", 1e6: "1,000,000"} {
		if got := money(usd); got != want {
			t.Errorf("%v is %s, want %s", usd, got, want)
		}
	}
}
