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

func TestThePipelineIsValid(t *testing.T) {
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
		t.Fatal("a graph full of mistakes is valid")
	}
	for _, mistake := range []string{
		"table visit-log is there twice", "stage ingest is there twice", "table idle is used by no stage",
		"writes topic nowhere", "uses table none", "reads topic nothing", "which has no dead-letter topic",
		"batch size 0", "window 1h0m0s", "-2 retries", "timeout 1h0m0s", "asleep needs either a topic to read, a schedule or an HTTP API",
	} {
		if !strings.Contains(err.Error(), mistake) {
			t.Errorf("no word of %q in:\n%v", mistake, err)
		}
	}
}

// Each stage has its function and an event to try it with.
func TestEachStageHasItsFunctionAndItsSample(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, s := range pipeline.Default().Stages {
		for _, path := range []string{
			filepath.Join("functions", s.Name, "main.go"),
			filepath.Join("events", "testdata", s.Name+".json"),
		} {
			if _, err := os.Stat(filepath.Join(root, path)); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stage %s has no %s", s.Name, path)
			}
		}
	}
}

// Each topic but the foreign ones is written by a stage, and the documents name
// every stage, topic and table.
func TestDocumentsShowTheWholeGraph(t *testing.T) {
	g := pipeline.Default()
	for _, path := range []string{"README.md", filepath.Join("docs", "design.md")} {
		text, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range g.Stages {
			names = append(names, s.Name)
		}
		for _, table := range g.Tables {
			names = append(names, table.Name)
		}
		for _, topic := range events.Topics() {
			if topic.DeadLetters != "" {
				names = append(names, topic.Name)
			}
		}
		for _, name := range names {
			if !strings.Contains(string(text), name) {
				t.Errorf("%s does not mention %s", path, name)
			}
		}
	}
}
