package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// commandsOf returns the words of each command, with and without subcommands.
func commandsOf(t *testing.T) (all [][]string) {
	t.Helper()
	parser, err := newParser(&cli{}, streams{err: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(v kong.Visitable, next kong.Next) error {
		if n, ok := v.(*kong.Node); ok && !n.Hidden {
			all = append(all, strings.Fields(n.Path()))
		}
		return next(nil)
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d commands (%v)", len(all), err)
	}
	return all
}

// The help of every command fits a terminal of 80 columns.
func TestHelpIsNarrow(t *testing.T) {
	for _, command := range commandsOf(t) {
		var out, log bytes.Buffer
		if status := run(append(command, "--help"), streams{out: &out, err: &log}); status != 0 || log.Len() > 0 {
			t.Errorf("%s: status %d, %s", command, status, &log)
		}
		if !strings.HasPrefix(out.String(), "Usage: footfall") {
			t.Errorf("%s: printed %q", command, &out)
		}
		wantNarrow(t, out.String())
	}
}

// complete returns the candidates for the end of a command line.
func complete(t *testing.T, words ...string) (all []string) {
	t.Helper()
	var out, log bytes.Buffer
	if status := run(append([]string{"__complete", "--"}, words...), streams{out: &out, err: &log}); status != 0 {
		t.Fatalf("%q: status %d, %s", words, status, &log)
	}
	for line := range strings.Lines(out.String()) {
		word, _, ok := strings.Cut(line, "\t")
		if !ok {
			t.Errorf("%q: line %q has no description", words, line)
		}
		all = append(all, word)
	}
	return all
}

func TestCandidates(t *testing.T) {
	for _, c := range []struct{ words, want []string }{
		{[]string{"off"}, []string{"offsets"}},
		{[]string{"offsets", ""}, []string{"show", "shift"}},
		{[]string{"offsets", "sh"}, []string{"show", "shift"}},
		{[]string{"dead-letters", "r"}, []string{"redrive"}},
		{[]string{"help", "offsets", "shi"}, []string{"shift"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{[]string{"offsets", "shift", "--br"}, []string{"--brokers"}},
		{[]string{"audit", "--brokers", "h:1", "--kafka-auth", ""}, []string{"none", "iam"}},
		{[]string{"audit", "--kafka-auth=i"}, []string{"--kafka-auth=iam"}},
		{[]string{"audit", "--kafka-auth", "="}, []string{"none", "iam"}},
		{[]string{"audit", "--kafka-auth", "=", "n"}, []string{"none"}},
		{[]string{"audit", "--json", "--kafka-a"}, []string{"--kafka-auth"}},
		{[]string{"local", "--no-"}, []string{"--no-ticks"}},
		{[]string{"local", "--vers"}, []string{"--version"}},
		// Names of files and other values are left to the shell.
		{[]string{"replay", "t"}, nil},
		{[]string{"local", "--businesses", ""}, nil},
		{[]string{"offsets", "shift", "--group", "offsets"}, nil},
		{[]string{"fly", ""}, candidateWords(t)},
	} {
		if got := complete(t, c.words...); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
	// Every command is a candidate, and the hidden one is not.
	if all := complete(t); !slices.Contains(all, "local") || slices.Contains(all, "__complete") {
		t.Errorf("commands %q", all)
	}
}

// candidateWords returns the commands.
func candidateWords(t *testing.T) (all []string) {
	for _, command := range commandsOf(t) {
		if len(command) > 0 && !slices.Contains(all, command[0]) {
			all = append(all, command[0])
		}
	}
	return all
}

// Each shell loads its script and completes with it. Shells that this machine does not
// have are skipped.
func TestCompletionInShells(t *testing.T) {
	for shell, script := range map[string]string{
		"bash": `source <(footfall completion bash)
			COMP_WORDS=(footfall offsets sh) COMP_CWORD=2; _footfall; echo "${COMPREPLY[@]}"
			COMP_WORDS=(footfall replay "a b") COMP_CWORD=2; _footfall; echo "${#COMPREPLY[@]} candidates"`,
		// compinit needs a terminal: the functions that it defines are replaced.
		"zsh": `compdef() { : }
			_describe() { print -r -- ${${(P)2}%%:*} }
			_files() { print 0 candidates }
			source <(footfall completion zsh)
			words=(footfall offsets sh) CURRENT=3; _footfall
			words=(footfall replay "a b") CURRENT=3; _footfall`,
		"fish": `footfall completion fish | source
			string join " " (complete -C "footfall offsets sh" | string split -f1 \t | sort -r)
			cd (mktemp -d); echo (count (complete -C "footfall replay ab")) candidates`,
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("no %s", shell)
			}
			cmd := exec.Command(path, "-c", script)
			cmd.Env = append(os.Environ(), "PATH="+binaries+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if want := "show shift\n0 candidates\n"; err != nil || string(out) != want {
				t.Errorf("printed %q (%v), want %q", out, err, want)
			}
		})
	}
}

// With the flags of scripts/version.sh, as make build passes them, the version is that
// of the repository although -buildvcs=false; without the flags Go's own record of the
// commit is used; outside of git the version is unknown.
func TestVersion(t *testing.T) {
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	script := func(dir string) string {
		t.Helper()
		flags, err := exec.Command(filepath.Join(dir, "scripts", "version.sh")).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(flags))
	}
	built := func(flags ...string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "footfall")
		cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "./cmd/footfall")...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	// A copy of the script outside of git.
	elsewhere := filepath.Join(t.TempDir(), "scripts")
	text, err := os.ReadFile(filepath.Join(root, "scripts", "version.sh"))
	if err == nil {
		err = os.Mkdir(elsewhere, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(elsewhere, "version.sh"), text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	const none = "footfall unknown, commit unknown, date unknown"
	if got := script(filepath.Dir(elsewhere)); strings.Count(got, "=unknown") != 3 {
		t.Errorf("outside of git: %s", got)
	}
	if got := built("-trimpath", "-buildvcs=false"); got != none {
		t.Errorf("without flags and Go's record: %s, want %s", got, none)
	}
	// The rest compares with the repository.
	head, err := exec.Command("git", "-C", root, "log", "-1", "--format=%H").Output()
	if err != nil {
		t.Skipf("not in a git repository: %v", err)
	}
	commit := strings.TrimSpace(string(head))
	want := regexp.MustCompile(`^footfall v\d+\.\d+\.\d+\S*, commit ` + commit + `(-dirty)?, date \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	if got := built("-trimpath", "-buildvcs=false", "-ldflags", script(root)); !want.MatchString(got) {
		t.Errorf("as make build: %s, want commit %s", got, commit)
	}
	if got := built("-buildvcs=true"); !want.MatchString(got) {
		t.Errorf("by go build alone: %s, want commit %s", got, commit)
	}
}
