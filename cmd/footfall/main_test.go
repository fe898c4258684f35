package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"footfall/shared/stage"
)

// repository is where the module is, seen from here.
var repository = filepath.Join("..", "..")

// binaries is where TestMain has built the functions.
var binaries string

func TestMain(m *testing.M) {
	testscript.Main(withBinaries{m}, map[string]func(){"footfall": main})
}

// withBinaries builds the functions as make build does before it runs the tests.
type withBinaries struct{ *testing.M }

func (w withBinaries) Run() int {
	// Below the repository, where the table server is found from.
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
	code := w.M.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func build(dir string) error {
	for _, s := range stage.Pipeline().Stages {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
			"-o", filepath.Join(dir, s.Name, "bootstrap"), "./functions/"+s.Name)
		cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", s.Name, err, out)
		}
	}
	return nil
}

// The scripts run footfall as people type it.
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
			return nil
		},
	})
}
