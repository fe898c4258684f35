package pipeline_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/pipeline"
)

func TestDefaultIsValid(t *testing.T) {
	if err := pipeline.Default().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestValidateReportsEveryMistakeAtOnce(t *testing.T) {
	g := pipeline.Default()
	g.Tables = append(g.Tables, g.Tables[0], pipeline.Table{Name: "idle"})
	g.Stages = append(g.Stages, g.Stages[0], pipeline.Stage{
		Name: "odd", Timeout: time.Hour, Writes: []string{"nowhere"}, Tables: []string{"none"},
		Reads: []pipeline.Mapping{
			{Topic: "nothing", BatchSize: 0, Window: time.Hour, Retries: -2},
			{Topic: "sightings-dead-letters", BatchSize: 1},
		},
	}, pipeline.Stage{Name: "asleep", Timeout: time.Minute})
	err := g.Validate()
	if err == nil {
		t.Fatal("Validate accepts a graph full of mistakes")
	}
	for _, mistake := range []string{
		"table visit-log is defined twice", "stage ingest is defined twice", "table idle is used by no stage",
		"writes topic nowhere", "uses table none", "reads topic nothing", "which has no dead-letter topic",
		"batch size 0", "window 1h0m0s", "-2 retries", "timeout 1h0m0s", "asleep needs exactly one of topics to read, a schedule and an HTTP API",
	} {
		if !strings.Contains(err.Error(), mistake) {
			t.Errorf("%q is missing from the error:\n%v", mistake, err)
		}
	}
}

// root is the repository.
var root = filepath.Join("..", "..")

func exists(t *testing.T, path ...string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(append([]string{root}, path...)...))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// Each stage has its function, an event to invoke the function with, and its code
// under the stage's name. The tests of infra check that each stage has its mappings
// and its alarms in the template.
func TestEachStageHasFunctionEventAndCode(t *testing.T) {
	for _, s := range pipeline.Default().Stages {
		if !exists(t, "functions", s.Name, "main.go") {
			t.Errorf("stage %s has no functions/%s/main.go", s.Name, s.Name)
		}
		if !exists(t, "events", "testdata", s.Name+".json") {
			t.Errorf("stage %s has no events/testdata/%s.json", s.Name, s.Name)
		}
		if !exists(t, "shared", "stage", s.Name+".go") && !exists(t, "shared", s.Name) {
			t.Errorf("stage %s has neither shared/stage/%s.go nor package shared/%s", s.Name, s.Name, s.Name)
		}
	}
}

// README.md and docs/design.md name every stage, table and topic, except the
// dead-letter topics.
func TestDocumentsNameTheWholeGraph(t *testing.T) {
	var names []string
	for _, s := range pipeline.Default().Stages {
		names = append(names, s.Name)
	}
	for _, table := range pipeline.Default().Tables {
		names = append(names, table.Name)
	}
	for _, topic := range events.Topics() {
		if topic.DeadLetters != "" {
			names = append(names, topic.Name)
		}
	}
	for _, path := range []string{"README.md", filepath.Join("docs", "design.md")} {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.Contains(string(text), name) {
				t.Errorf("%s does not mention %s", path, name)
			}
		}
	}
}
