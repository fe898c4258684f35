package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden template")

// The parts that change with the code of a function: its asset, and the id of its
// version, which CDK derives from the contents of the version.
var (
	assetKey  = regexp.MustCompile(`"[0-9a-f]{64}\.zip"`)
	versionID = regexp.MustCompile(`(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}`)
)

// golden returns the templates of an assembly as one JSON object by stack, without
// the parts that change with code.
func golden(t *testing.T, a *assembly) []byte {
	t.Helper()
	all := map[string]any{}
	for name, tpl := range a.stacks {
		var v map[string]any
		if err := json.Unmarshal(tpl.bytes, &v); err != nil {
			t.Fatal(err)
		}
		for _, r := range v["Resources"].(map[string]any) {
			delete(r.(map[string]any), "Metadata") // paths of constructs, and the suppressions of nag.go
		}
		all[name] = v
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = assetKey.ReplaceAll(text, []byte(`"asset.zip"`))
	return append(versionID.ReplaceAll(text, []byte("$1")), '\n')
}

// TestGoldenSmall shows in review which changes a deployment of size small would
// make. go test -update writes the file.
func TestGoldenSmall(t *testing.T) {
	got := golden(t, of(t, "small"))
	file := filepath.Join("testdata", "small.json")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		removed, added := changed(string(want), string(got))
		t.Errorf("the templates of small differ from %s; if that is meant, run go test -update\n- %s\n+ %s",
			file, strings.Join(removed, "\n- "), strings.Join(added, "\n+ "))
	}
}

// changed returns the lines that only one of two texts has, in their order.
func changed(before, after string) (removed, added []string) {
	only := func(of, other string) (lines []string) {
		count := map[string]int{}
		for l := range strings.Lines(other) {
			count[l]++
		}
		for l := range strings.Lines(of) {
			if count[l]--; count[l] < 0 {
				lines = append(lines, strings.TrimSpace(l))
			}
		}
		return lines
	}
	return only(before, after), only(after, before)
}

// A function's code is in four lines of the templates: the location of its asset,
// and three times the name of its version. Nothing else changes, so nothing else is
// deployed.
func TestCodeOfOneFunctionChangesLittle(t *testing.T) {
	before := of(t, "small")
	after, err := synth("changed", deployments["small"], fakeAssets("another", "enrich"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tpl := range after.stacks {
		removed, added := changed(string(before.stacks[name].bytes), string(tpl.bytes))
		if name != "pipeline" {
			if len(removed)+len(added) > 0 {
				t.Errorf("%s changed: %v, %v", name, removed, added)
			}
			continue
		}
		lines := strings.Count(string(tpl.bytes), "\n") + 1
		t.Logf("%d of %d lines of the pipeline's template changed:\n%s", len(added), lines, strings.Join(added, "\n"))
		if len(added) > 5 || len(removed) != len(added) {
			t.Errorf("%d lines went and %d came", len(removed), len(added))
		}
		for _, l := range slices.Concat(removed, added) {
			if !strings.Contains(l, "EnrichCurrentVersion") && !assetKey.MatchString(l) && !strings.Contains(l, "asset.") {
				t.Errorf("changed as well: %s", l)
			}
		}
	}
}
