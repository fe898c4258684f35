package main

import (
	"go/ast"
	"maps"
	"slices"
	"testing"

	"footfall/shared/dynamo/calls"
	"footfall/shared/dynamo/calls/callgraph"
	"footfall/shared/pipeline"
)

// parse reads the source of a package.
func parse(t *testing.T, dir string) callgraph.Package {
	t.Helper()
	p, err := callgraph.Parse(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// uses holds exactly the methods that the code of each stage calls, so that a stage is
// granted neither less nor more. The stage behind the HTTP API is shared/ingest, detect
// is shared/detect, and all others are in shared/stage.
func TestUsesAreThoseOfTheStages(t *testing.T) {
	stages, detect, ingest := parse(t, "../shared/stage"), parse(t, "../shared/detect"), parse(t, "../shared/ingest")
	for _, spec := range pipeline.Default().Stages {
		in, reached := stages, map[string][]ast.Expr{}
		switch {
		case spec.HTTP:
			in, reached = ingest, ingest.Reached("Handler.Invoke", helpers(ingest, "Handler")...)
		case spec.Name == pipeline.Detect:
			in = detect
			fallthrough
		case in.Has(spec.Name + ".Handle"):
			reached = in.Reached(spec.Name+".Handle", helpers(in, spec.Name)...)
		}
		for table, store := range calls.ByTable {
			var got []string
			for method := range store.Methods {
				onPort := func(x ast.Expr) bool { return in.MayBe(x, store.Type) }
				if slices.Contains(spec.Tables, table) && slices.ContainsFunc(reached[method], onPort) {
					got = append(got, method)
				}
			}
			want := slices.Sorted(slices.Values(uses[spec.Name][table]))
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s calls %v of table %s, want the methods in uses, %v", spec.Name, got, table, want)
			}
		}
		if got, want := slices.Sorted(maps.Keys(uses[spec.Name])), slices.Sorted(slices.Values(spec.Tables)); !slices.Equal(got, want) {
			t.Errorf("uses has the tables %v for %s, want those of the graph, %v", got, spec.Name, want)
		}
	}
}

// helpers returns the types that have methods, except the stages other than one.
func helpers(p callgraph.Package, stageType string) (all []string) {
	for _, kind := range p.Receivers() {
		if kind == stageType || !p.Has(kind+".Handle") {
			all = append(all, kind)
		}
	}
	return all
}
