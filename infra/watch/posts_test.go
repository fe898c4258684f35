package watch_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"footfall/infra/watch"
)

// inIngest visits the functions and variables of shared/ingest and its senders,
// without their tests.
func inIngest(t *testing.T, visit func(ast.Decl)) {
	t.Helper()
	own, _ := filepath.Glob("../../shared/ingest/*.go")
	senders, _ := filepath.Glob("../../shared/ingest/senders/*.go")
	if len(own) == 0 || len(senders) == 0 {
		t.Fatal("the code of ingest is not there")
	}
	for _, file := range slices.Concat(own, senders) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			visit(d)
		}
	}
}

// of returns the name X if n is pkg.X.
func of(pkg string, n ast.Node) (name string, ok bool) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok || fmt.Sprint(s.X) != pkg {
		return "", false
	}
	return s.Sel.Name, true
}

// postFields returns the fields of the line "post handled": the names of all
// attributes in the function that logs it.
func postFields(t *testing.T) (fields []string) {
	t.Helper()
	inIngest(t, func(d ast.Decl) {
		var names []string
		logs := false
		ast.Inspect(d, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Value == `"post handled"` {
				logs = true
			}
			if c, ok := n.(*ast.CallExpr); ok && len(c.Args) == 2 {
				if _, ok := of("slog", c.Fun); ok {
					if l, ok := c.Args[0].(*ast.BasicLit); ok {
						names = append(names, strings.Trim(l.Value, `"`))
					}
				}
			}
			return true
		})
		if logs {
			fields = append(fields, names...)
		}
	})
	return fields
}

// refusals returns the statuses from 400 on that ingest's code names.
func refusals(t *testing.T) (statuses []int) {
	t.Helper()
	byName := map[string]int{}
	for n := 400; n < 600; n++ {
		byName["Status"+strings.ReplaceAll(http.StatusText(n), " ", "")] = n
	}
	inIngest(t, func(d ast.Decl) {
		ast.Inspect(d, func(n ast.Node) bool {
			if name, ok := of("http", n); ok && byName[name] > 0 {
				statuses = append(statuses, byName[name])
			}
			return true
		})
	})
	slices.Sort(statuses)
	return slices.Compact(statuses)
}

// postLines returns ingest's log lines of an accepted post, and of a post rejected
// with each status. The fields are read from ingest's code.
func postLines(t *testing.T) (lines [][]byte) {
	t.Helper()
	fields := postFields(t)
	for _, status := range append([]int{http.StatusOK}, refusals(t)...) {
		values := map[string]any{"code": "why-not", "status": status, "accepted": 40, "leftOut": 2}
		line := map[string]any{"message": "post handled"}
		for _, f := range fields {
			line[f] = values[f]
		}
		b, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, b)
	}
	return lines
}

// accessLines returns the API's log lines of requests with the given statuses.
func accessLines(t *testing.T, statuses ...string) (lines [][]byte) {
	t.Helper()
	for _, status := range statuses {
		line := strings.NewReplacer(
			"$context.requestId", "Qf1xZhVHoAMEM7A=", "$context.status", status,
			"$context.integrationStatus", "-", "$context.integrationErrorMessage", "-", "$context.responseLatency", "7",
		).Replace(watch.AccessLog)
		if strings.Contains(line, "$") || !json.Valid([]byte(line)) {
			t.Fatalf("the log of the API has lines such as %s", line)
		}
		lines = append(lines, []byte(line))
	}
	return lines
}

// TestFiltersCountPosts applies each filter to one accepted post, one post rejected
// with each status, and one post that the API itself rejects.
func TestFiltersCountPosts(t *testing.T) {
	all := refusals(t)
	i := slices.IndexFunc(all, func(status int) bool { return status > 499 })
	if !slices.Contains(all, 401) || !slices.Contains(all, 429) || i < 0 {
		t.Fatalf("ingest refuses with %v, and the alarms are about 401, 429 and 5xx", all)
	}
	lines := slices.Concat(postLines(t), accessLines(t, "200", "429", "404"))
	for metric, want := range map[string]int{
		"SightingsAccepted": 40 * (1 + len(all)), "LeftOut": 2 * (1 + len(all)), "Refusals": len(all),
		"FailedPosts": len(all[i:]), "UnauthorisedPosts": 1, "ThrottledPosts": 1,
	} {
		if got := published(t, metric, "ingest", lines); got != float64(want) {
			t.Errorf("%s: %v, want %v", metric, got, want)
		}
	}
}

// TestDimensionsAreFew checks that no input from the internet becomes the name of a
// metric: each value of a dimension is a billed metric.
func TestDimensionsAreFew(t *testing.T) {
	for id, p := range deployments()[1].parsed(t).Resources("AWS::Logs::MetricFilter") {
		dimensions, _ := p["MetricTransformations"].([]any)[0].(map[string]any)["Dimensions"].([]any)
		for _, d := range dimensions {
			if key := d.(map[string]any)["Key"]; key != "Stage" && key != "Code" {
				t.Errorf("%s is told apart by %v", id, key)
			}
		}
	}
}

// TestQuietNights checks that no alarm reports silence if all shops may be silent.
func TestQuietNights(t *testing.T) {
	for _, d := range deployments() {
		n := strings.Count(mustJSON(t, d.parsed(t).Alarms()), "docs/runbook.md#no-sightings")
		if want := map[bool]int{false: 1}[d.settings.QuietAllowed]; n != want {
			t.Errorf("%s: %d alarms on silence, want %d", d.name, n, want)
		}
	}
}
