package local

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/shared/pipeline"
	"footfall/shared/pseudonym"
)

func TestPostsReachTheirStage(t *testing.T) {
	o := options()
	o.HTTPListen.HostPort = "127.0.0.1:0"
	s := start(t, o)
	for _, body := range []string{"{}", `{"Do":"anything"}`} {
		response, err := http.Post(s.IngestURL()+"/v1/cafe-1/mist", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK || string(answer) != "null" {
			t.Errorf("%s: %d, %q (%v)", body, response.StatusCode, answer, err)
		}
	}
	if got := statsOf(t, s, pipeline.Ingest); got.Requests != 2 || got.Invocations != 2 || got.Rejected != 0 || got.Errors != 0 {
		t.Errorf("%+v, want two requests", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if response, err := http.Get(s.IngestURL()); err == nil {
		t.Errorf("answers after the end: %s", errors.Join(errors.New(response.Status), response.Body.Close()))
	}
	wantNoChildren(t)
}

func TestWithoutListenNoPortIsOpened(t *testing.T) {
	if s := start(t, options()); s.IngestURL() != "" {
		t.Errorf("listens at %s", s.IngestURL())
	}
}

// keysGiven returns the value of the variable with the path of the keys that a
// function was started with.
func keysGiven(t *testing.T, s *Stack, function string) (path string) {
	t.Helper()
	answer, err := s.Invoke(t.Context(), function, []byte(`{"Do":"describe"}`))
	if err != nil {
		t.Fatal(err)
	}
	var described struct{ Env []string }
	if err := json.Unmarshal(answer, &described); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(described.Env, func(v string) bool { return strings.HasPrefix(v, "FOOTFALL_PSEUDONYM_KEYS=") })
	if i < 0 {
		return ""
	}
	_, path, _ = strings.Cut(described.Env[i], "=")
	return path
}

// TestKeysOfPseudonymsAreCreatedOnce: the keys are kept, because with fresh
// keys every phone would become another device after a restart.
func TestKeysOfPseudonymsAreCreatedOnce(t *testing.T) {
	o := options()
	o.DataDir = filepath.Join(t.TempDir(), "new")
	var documents []string
	for range 2 {
		s := start(t, o)
		path := keysGiven(t, s, pipeline.Ingest)
		if other := keysGiven(t, s, pipeline.Detect); other != "" {
			t.Errorf("detect is given the keys in %s", other)
		}
		document, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := pseudonym.ParseKeys(document); err != nil || !slices.Equal(keys.IDs(), []string{pseudonym.FirstKey}) {
			t.Errorf("%v, %v", keys, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
		}
		documents = append(documents, string(document))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if documents[0] != documents[1] {
		t.Error("a second stack on the same data created other keys")
	}
	left, err := filepath.Glob(filepath.Join(o.DataDir, ".keys-*"))
	if len(left) > 0 || err != nil {
		t.Errorf("%v is left (%v)", left, err)
	}
	o.DataDir = t.TempDir()
	other, err := os.ReadFile(keysGiven(t, start(t, o), pipeline.Ingest))
	if err != nil || string(other) == documents[0] {
		t.Errorf("another data directory has the same keys (%v)", err)
	}
}

// TestStartFailsOnUnreadableKeys: the error does not contain the keys.
func TestStartFailsOnUnreadableKeys(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short.json")
	if err := os.WriteFile(short, []byte(`{"1":"too-short"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		short:                           "short.json: reading pseudonym keys: key 1 has 9 bytes",
		filepath.Join(dir, "none.json"): "no such file",
	} {
		o := options()
		o.PseudonymKeys = path
		s, err := Start(t.Context(), o)
		if err == nil {
			t.Fatal(errors.Join(errors.New("started"), s.Close()))
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "too-short") {
			t.Errorf("%s: got error %v, want it to contain %q", path, err, want)
		}
	}
}

// TestPrepareRunsAfterTheTablesExist: Prepare runs before any function does,
// and an error of Prepare stops the start.
func TestPrepareRunsAfterTheTablesExist(t *testing.T) {
	o := options()
	var tables []string
	o.TablePrefix = "a-"
	o.Prepare = func(ctx context.Context, client *dynamodb.Client) error {
		out, err := client.ListTables(ctx, &dynamodb.ListTablesInput{})
		if err == nil {
			tables = out.TableNames
		}
		return err
	}
	var parts []string
	o.Starting = func(part string) { parts = append(parts, part) }
	start(t, o)
	if !slices.Contains(parts, "table server") || parts[len(parts)-1] != "HTTP API" {
		t.Errorf("started %q, want all parts", parts)
	}
	if !slices.Contains(tables, "a-"+pipeline.BusinessesTable) {
		t.Errorf("tables %q", tables)
	}
	failed := errors.New("not this business")
	o.Prepare = func(context.Context, *dynamodb.Client) error { return failed }
	if s, err := Start(t.Context(), o); !errors.Is(err, failed) {
		t.Errorf("started with %v", errors.Join(err, s.Close()))
	}
}
