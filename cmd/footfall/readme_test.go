package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shellBlocks returns the blocks of shell commands in README.md.
func shellBlocks(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// checkout returns a directory with the files that the commands in README.md name.
func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"events": filepath.Join(root, "events"), "examples": filepath.Join(root, "examples"),
		"bin/footfall": filepath.Join(binaries, "footfall"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// paste passes commands to an interactive shell, as somebody pastes them, and returns
// what the shell and the commands print.
func paste(t *testing.T, shell, dir, commands string) string {
	t.Helper()
	args := map[string][]string{"bash": {"--norc", "-i"}, "zsh": {"-f", "-i"}}[shell]
	cmd := exec.Command(shell, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(commands)
	cmd.Env = append(os.Environ(), "HOME="+dir, "PS1=", "PS2=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", shell, err, out)
	}
	return string(out)
}

// The example in README.md works as it is pasted, in bash and in zsh: the visit is
// counted. Only the addresses are replaced, so that other programs may have the default
// ports.
func TestReadmeExample(t *testing.T) {
	var example string
	for _, block := range shellBlocks(t) {
		if strings.Contains(block, "post()") {
			example = block
		}
	}
	for _, address := range []string{"BROKER=" + defaultBrokerListen + " ", "TABLES=http://" + defaultTablesListen + " ", "INGEST=http://" + defaultHTTPListen + "\n"} {
		if !strings.Contains(example, address) {
			t.Fatalf("the example does not set %q", address)
		}
	}
	for _, shell := range []string{"bash", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			for _, tool := range []string{shell, "curl", "openssl"} {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("no %s", tool)
				}
			}
			var out string
			runLocal(t, func(a localAddresses) {
				out = paste(t, shell, checkout(t), strings.NewReplacer(
					defaultBrokerListen, a.Brokers, "http://"+defaultTablesListen, a.TableEndpoint, "http://"+defaultHTTPListen, a.IngestURL,
				).Replace(example))
			}, "--businesses", filepath.Join(repository, "examples", "businesses.json"))
			for _, want := range []string{
				`walk-ins expected +1 `, `walk-ins counted +1 `, `(?m)^equal$`, `"cafe-1": {`,
				`group footfall-detect-sightings `,
			} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("printed nothing like %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, "not found") || strings.Contains(out, "no matches") {
				t.Errorf("printed an error of the shell:\n%s", out)
			}
		})
	}
}

// Nothing in README.md is a comment: an interactive zsh takes # as a word.
func TestReadmeHasNoComments(t *testing.T) {
	blocks := shellBlocks(t)
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of shell commands", len(blocks))
	}
	for _, block := range blocks {
		for line := range strings.Lines(block) {
			if regexp.MustCompile(`(^|\s)#`).MatchString(line) {
				t.Errorf("a comment that zsh does not understand: %s", line)
			}
		}
	}
}
