package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"footfall/shared/stage"
)

// code is the functions and methods of a package by their names, which are
// told apart by their receiver where there is one: "Counts.Add", "each".
type code map[string]*ast.FuncDecl

func parse(t *testing.T, dir string) code {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(dir, err)
	}
	all := code{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				all[receiver(fn)+fn.Name.Name] = fn
			}
		}
	}
	return all
}

func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	kind := fn.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if name, ok := kind.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

// reached gives the names of all that is called from a function, directly or
// by way of others of the package. Methods are followed by their name alone, on
// the receivers given.
func (c code) reached(from string, receivers ...string) map[string]bool {
	names := map[string]bool{}
	seen := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		fn := c[name]
		if fn == nil || fn.Body == nil || seen[name] {
			return
		}
		seen[name] = true
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch fun := call.Fun.(type) {
			case *ast.SelectorExpr:
				names[fun.Sel.Name] = true
				for _, r := range receivers {
					follow(r + "." + fun.Sel.Name)
				}
			case *ast.Ident:
				follow(fun.Name)
			}
			return true
		})
	}
	follow(from)
	return names
}

// Methods of the stores must not be granted less or more than the calls that
// their code makes.
func TestCallsAreThoseOfTheStores(t *testing.T) {
	store := map[string]string{
		stage.VisitLogTable: "VisitLog", stage.IdentitiesTable: "Identities", stage.PendingTable: "Pending", stage.CountsTable: "Counts",
	}
	actions := []string{
		"BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactGetItems", "TransactWriteItems", "UpdateItem",
	}
	dynamo := parse(t, "../shared/dynamo")
	for table, methods := range calls {
		for method, want := range methods {
			reached := dynamo.reached(store[table]+"."+method, store[table], "table")
			var got []string
			for _, action := range actions {
				if reached[action] || reached["New"+action+"Paginator"] {
					got = append(got, action)
				}
			}
			if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
				t.Errorf("%s.%s calls %v, and access.go says %v", store[table], method, got, want)
			}
		}
	}
}

// Each stage is granted what the methods need that its code calls, no more.
func TestUsesAreThoseOfTheStages(t *testing.T) {
	stages := parse(t, "../shared/stage")
	for _, spec := range stage.Pipeline().Stages {
		reached := map[string]bool{}
		for name := range stages {
			if kind, method, ok := strings.Cut(name, "."); ok && method == "Handle" && kind == spec.Name {
				reached = stages.reached(name, helpers(stages, kind)...)
			}
		}
		for table, methods := range calls {
			var got []string
			for method := range methods {
				if slices.Contains(spec.Tables, table) && reached[method] {
					got = append(got, method)
				}
			}
			want := slices.Sorted(slices.Values(uses[spec.Name][table]))
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s calls %v of %s, and access.go says %v", spec.Name, got, table, want)
			}
		}
		if got, want := slices.Sorted(maps.Keys(uses[spec.Name])), slices.Sorted(slices.Values(spec.Tables)); !slices.Equal(got, want) {
			t.Errorf("%s uses the tables %v, and the graph says %v", spec.Name, got, want)
		}
	}
}

// helpers are the types that have methods, without the stages other than one.
func helpers(c code, stageType string) (all []string) {
	for name := range c {
		kind, _, ok := strings.Cut(name, ".")
		if ok && (kind == stageType || c[kind+".Handle"] == nil) && !slices.Contains(all, kind) {
			all = append(all, kind)
		}
	}
	return all
}
