package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"footfall/shared/pipeline"
)

// repository is the path of the module.
var repository = filepath.Join("..", "..")

// binaries is the folder in which TestMain has built footfall and the functions.
var binaries string

// TestMain builds footfall and the functions as make build does, without the race
// detector: a town in a script then takes a quarter of the time. The race detector
// watches the tests that run in this process.
func TestMain(m *testing.M) { os.Exit(withBinaries(m.Run)) }

func withBinaries(run func() int) int {
	// Below the repository, so that the table server is found.
	dir, err := filepath.Abs(filepath.Join(repository, "bin"))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		dir, err = os.MkdirTemp(dir, "test-")
	}
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binaries = dir
	code := run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func build(dir string) error {
	packages := map[string]string{"footfall": "./cmd/footfall"}
	for _, s := range pipeline.Default().Stages {
		packages[filepath.Join(s.Name, "bootstrap")] = "./functions/" + s.Name
	}
	for name, pkg := range packages {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-o", filepath.Join(dir, name), pkg)
		cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// The scripts run footfall as users do.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:  filepath.Join("testdata", "script"),
		Cmds: commands,
		Condition: func(name string) (bool, error) {
			if name != "recordings" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			_, err := os.Stat(filepath.Join(root, "..", "shared", "traces"))
			return err == nil, nil
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("BIN", binaries)
			e.Setenv("REPO", root)
			e.Setenv("PATH", binaries+string(os.PathListSeparator)+e.Getenv("PATH"))
			return nil
		},
	})
}
