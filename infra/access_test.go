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

	"footfall/shared/pipeline"
)

// code is a package: its functions and methods by their names, which are told
// apart by their receiver where there is one: "Counts.Add", "each"; and the types
// of the fields of its structs by the fields' names.
type code struct {
	funcs  map[string]*ast.FuncDecl
	fields map[string][]string
}

func parse(t *testing.T, dir string) code {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(dir, err)
	}
	all := code{map[string]*ast.FuncDecl{}, map[string][]string{}}
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
				all.funcs[receiver(fn)+fn.Name.Name] = fn
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.StructType); ok {
				all.addFields(s)
			}
			return true
		})
	}
	return all
}

func (c code) addFields(s *ast.StructType) {
	for _, field := range s.Fields.List {
		for _, name := range field.Names {
			c.fields[name.Name] = append(c.fields[name.Name], typeName(field.Type))
		}
	}
}

// typeName is the name of a type of the package, or of a pointer to one; "" for
// others.
func typeName(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	return typeName(fn.Recv.List[0].Type) + "."
}

// mayBe says whether what a method is called on may be of a type: a field of
// another type of the package is not.
func (c code) mayBe(on ast.Expr, kind string) bool {
	field, ok := on.(*ast.SelectorExpr)
	if !ok {
		return true
	}
	types := c.fields[field.Sel.Name]
	return len(types) == 0 || slices.Contains(types, kind) || slices.Contains(types, "")
}

// reached gives the names of all that is called from a function, directly or
// by way of others of the package, with what each is called on. Methods are
// followed by their name, on those of the receivers given that they may be called
// on.
func (c code) reached(from string, receivers ...string) map[string][]ast.Expr {
	names := map[string][]ast.Expr{}
	seen := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		fn := c.funcs[name]
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
				names[fun.Sel.Name] = append(names[fun.Sel.Name], fun.X)
				for _, r := range receivers {
					if c.mayBe(fun.X, r) {
						follow(r + "." + fun.Sel.Name)
					}
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

// port is what the port of a table is called in shared/stage, and its store in
// shared/dynamo.
var port = map[string]string{
	pipeline.VisitLogTable: "VisitLog", pipeline.IdentitiesTable: "Identities", pipeline.PendingTable: "Pending", pipeline.CountsTable: "Counts",
	pipeline.BusinessesTable: "Businesses",
}

// Methods of the stores must not be granted less or more than the calls that
// their code makes.
func TestCallsAreThoseOfTheStores(t *testing.T) {
	actions := []string{
		"BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactGetItems", "TransactWriteItems", "UpdateItem",
	}
	dynamo := parse(t, "../shared/dynamo")
	for table, methods := range calls {
		for method, want := range methods {
			reached := dynamo.reached(port[table]+"."+method, port[table], "table")
			var got []string
			for _, action := range actions {
				if len(reached[action])+len(reached["New"+action+"Paginator"]) > 0 {
					got = append(got, action)
				}
			}
			if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
				t.Errorf("%s.%s calls %v, and access.go says %v", port[table], method, got, want)
			}
		}
	}
}

// Each stage is granted what the methods need that its code calls, no more. One
// that an HTTP API starts is shared/ingest.
func TestUsesAreThoseOfTheStages(t *testing.T) {
	stages, detect, door := parse(t, "../shared/stage"), parse(t, "../shared/detect"), parse(t, "../shared/ingest")
	for _, spec := range pipeline.Default().Stages {
		in, reached := stages, map[string][]ast.Expr{}
		switch {
		case spec.HTTP:
			in, reached = door, door.reached("Handler.Invoke", helpers(door, "Handler")...)
		case spec.Name == pipeline.Detect:
			in = detect
			fallthrough
		case in.funcs[spec.Name+".Handle"] != nil:
			reached = in.reached(spec.Name+".Handle", helpers(in, spec.Name)...)
		}
		for table, methods := range calls {
			var got []string
			for method := range methods {
				onPort := func(x ast.Expr) bool { return in.mayBe(x, port[table]) }
				if slices.Contains(spec.Tables, table) && slices.ContainsFunc(reached[method], onPort) {
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
	for name := range c.funcs {
		kind, _, ok := strings.Cut(name, ".")
		if ok && (kind == stageType || c.funcs[kind+".Handle"] == nil) && !slices.Contains(all, kind) {
			all = append(all, kind)
		}
	}
	return all
}
