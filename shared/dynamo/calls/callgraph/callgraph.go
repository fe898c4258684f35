// Package callgraph finds which functions a function reaches, by the source of its
// Go package. Tests use it to hold two tables against the code: the DynamoDB
// actions of each method of a store (shared/dynamo/calls), and the methods of the
// stores that each stage calls (infra). Start reading at Package.Reached.
//
// It works by names, without type checking: a call on a value of unknown type counts
// as a call of each method with the name. So the result may hold too much, but nothing
// is missing.
package callgraph

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// Package is the source of one Go package, without its tests.
type Package struct {
	// funcs holds functions by name and methods by receiver and name: "each",
	// "Counts.Add".
	funcs map[string]*ast.FuncDecl
	// fields holds the types of the fields of all structs, by field name; "" stands
	// for a type of another package and for a type without a name.
	fields map[string][]string
}

// Parse reads the Go files in a directory, without tests. A directory without Go files
// is an error.
func Parse(dir string) (Package, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no Go files in %s", dir)
	}
	if err != nil {
		return Package{}, err
	}
	p := Package{map[string]*ast.FuncDecl{}, map[string][]string{}}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") { // a test may call anything
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return Package{}, err
		}
		p.add(f)
	}
	return p, nil
}

// add adds the functions and struct fields of a file.
func (p Package) add(f *ast.File) {
	// Functions and methods are declared at the top level, structs anywhere.
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			p.funcs[receiver(fn)+fn.Name.Name] = fn
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range s.Fields.List {
			for _, name := range field.Names {
				p.fields[name.Name] = append(p.fields[name.Name], typeName(field.Type))
			}
		}
		return true
	})
}

// typeName returns the name of a type of the package, also for a pointer to the type,
// and "" for any other type.
func typeName(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// receiver returns the type of a method followed by a dot, and "" for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	return typeName(fn.Recv.List[0].Type) + "."
}

// Has reports whether the package has a function, or a method named like
// "Counts.Add".
func (p Package) Has(name string) bool { return p.funcs[name] != nil }

// Receivers returns the names of the types that have methods, in order.
func (p Package) Receivers() []string {
	var all []string
	for name := range p.funcs {
		if kind, _, ok := strings.Cut(name, "."); ok {
			all = append(all, kind)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// MayBe reports whether an expression that a method is called on may be of the type
// kind. It returns false only for a field, if all fields of the same name are of other
// types of the package.
func (p Package) MayBe(on ast.Expr, kind string) bool {
	field, ok := on.(*ast.SelectorExpr)
	if !ok {
		return true
	}
	// No types: a field of another package's struct.
	types := p.fields[field.Sel.Name]
	return len(types) == 0 || slices.Contains(types, kind) || slices.Contains(types, "")
}

// Reached returns the names of the methods, and of the functions of other packages, that
// the function or method from calls, directly or through functions of the package. Each
// name has the expressions that the calls are made on. Calls of methods are followed
// into the types that receivers names.
func (p Package) Reached(from string, receivers ...string) map[string][]ast.Expr {
	// Visit each function once: functions may call each other.
	reached := map[string][]ast.Expr{}
	seen := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		fn := p.funcs[name]
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
			case *ast.SelectorExpr: // a method, or a function of another package
				reached[fun.Sel.Name] = append(reached[fun.Sel.Name], fun.X)
				for _, r := range receivers {
					if p.MayBe(fun.X, r) {
						follow(r + "." + fun.Sel.Name)
					}
				}
			case *ast.Ident: // a function of the package
				follow(fun.Name)
			}
			return true
		})
	}
	follow(from)
	return reached
}
