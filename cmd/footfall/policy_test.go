package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"footfall/shared/pipeline"
)

// requested holds the requests of commands to the tables by way of $WATCHED: the
// actions, and the names of the tables. Only one script uses it.
var requested struct {
	sync.Mutex
	words map[string]bool
}

// policy compares the requests of a command to the tables with the permissions in
// docs/deploy.md: policy watch, and then policy wants COMMAND, for all requests at
// $WATCHED since.
func policy(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && slices.Equal(args, []string{"watch"}):
		watchTables(ts)
	case !neg && len(args) == 2 && args[0] == "wants":
		requested.Lock()
		got := slices.Sorted(maps.Keys(requested.words))
		clear(requested.words)
		requested.Unlock()
		if want := needsOf(ts, args[1]); !slices.Equal(got, want) {
			ts.Fatalf("%s requests %q, docs/deploy.md allows %q", args[1], got, want)
		}
	default:
		ts.Fatalf("usage: policy watch, policy wants COMMAND")
	}
}

func watchTables(ts *testscript.TestScript) {
	target, err := url.Parse(ts.Getenv("TABLES"))
	ts.Check(err)
	forward := httputil.NewSingleHostReverseProxy(target)
	requested.words = map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		requested.Lock()
		requested.words[action] = true
		for _, table := range pipeline.Default().Tables {
			if bytes.Contains(body, []byte(`"`+table.Name+`"`)) {
				requested.words[table.Name] = true
			}
		}
		requested.Unlock()
		forward.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("WATCHED", server.URL)
}

// needsOf returns the DynamoDB actions and the tables in the row of a command.
func needsOf(ts *testscript.TestScript, command string) (all []string) {
	text, err := os.ReadFile(filepath.Join(ts.Getenv("REPO"), "docs", "deploy.md"))
	ts.Check(err)
	row := regexp.MustCompile("(?m)^\\| `" + command + "` \\|.*; (.*dynamodb.*)$").FindStringSubmatch(string(text))
	if row == nil {
		ts.Fatalf("docs/deploy.md has no row of %s with table permissions", command)
	}
	for _, found := range regexp.MustCompile("`(?:dynamodb:)?([A-Z][A-Za-z]+)`").FindAllStringSubmatch(row[1], -1) {
		all = append(all, found[1])
	}
	for _, table := range pipeline.Default().Tables {
		if regexp.MustCompile(`\b` + table.Name + `\b`).MatchString(row[1]) {
			all = append(all, table.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A client is an idempotent producer by default, and MSK requires an action of its
// own for it (MSK developer guide, "Common use cases for client authorization
// policy").
func TestPolicyOfAProducerIsEnough(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs", "deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
	var document struct {
		Statement []struct{ Resource, Action any }
	}
	if err := json.Unmarshal(found[1], &document); err != nil {
		t.Fatal(err)
	}
	actions := map[any][]any{}
	for _, s := range document.Statement {
		on, isOne := s.Resource.(string)
		if !isOne {
			on = "topics"
		}
		some, _ := s.Action.([]any)
		actions[on] = append(actions[on], some...)
	}
	for on, want := range map[any][]any{
		"CLUSTER": {"kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"},
		"topics":  {"kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"},
	} {
		if !slices.Equal(actions[on], want) {
			t.Errorf("on %v: %v, want %v", on, actions[on], want)
		}
	}
}
