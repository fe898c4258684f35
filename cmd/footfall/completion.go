package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints the script that completes command lines in a shell.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help returns the help text: how each shell loads the script.
func (c *completionCmd) Help() string {
	return `Load the script in every new shell:

  bash  echo 'source <(footfall completion bash)' >> ~/.bashrc
  zsh   echo 'source <(footfall completion zsh)' >> ~/.zshrc  (after compinit)
  fish  footfall completion fish > ~/.config/fish/completions/footfall.fish

footfall must be on the PATH in these lines. The script completes bin/footfall too.`
}

// Run prints the script of the shell.
func (c *completionCmd) Run(_ context.Context, s streams) error {
	_, err := io.WriteString(s.out, completionScripts[c.Shell])
	return err
}

// completionScripts holds a script for each shell. It passes the words up to the cursor
// to the hidden command __complete, which prints one candidate a line: the word, a tab
// and a description. Without a candidate the shell completes names of files.
var completionScripts = map[string]string{
	"bash": `_footfall() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("${line%%$'\t'*}")
  done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _footfall footfall
`,
	"zsh": `#compdef footfall
_footfall() {
  local line
  local -a candidates
  "${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null | while IFS= read -r line; do
    line=${line//:/\\:}
    candidates+=("${line/$'\t'/:}")
  done
  if (( $#candidates )); then
    _describe footfall candidates
  else
    _files
  fi
}
if [[ ${funcstack[1]} == _footfall ]]; then
  _footfall "$@"
else
  compdef _footfall footfall
fi
`,
	"fish": `function __footfall_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..-1] 2>/dev/null
end
complete -c footfall -n 'count (__footfall_complete) >/dev/null' -f -a '(__footfall_complete)'
`,
}

// completeCmd prints the candidates for the last of the words of a command line.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints one candidate a line, with a tab and a description.
func (c *completeCmd) Run(_ context.Context, s streams, k *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, candidate := range candidates(k.Model, words) {
		if _, err := fmt.Fprintf(s.out, "%s\t%s\n", candidate.word, candidate.help); err != nil {
			return err
		}
	}
	return nil
}

// candidate is a word that may stand at the end of a command line.
type candidate struct{ word, help string }

// candidates returns the candidates for the last word of a command line, without the
// name of the program: commands, flags, and values of flags and arguments with a fixed
// set of values. It returns none for any other value.
func candidates(app *kong.Application, words []string) (all []candidate) {
	last := ""
	if len(words) > 0 {
		words, last = words[:len(words)-1], words[len(words)-1]
	}
	at, open, positionals := walk(app, words)
	// bash splits a word at =.
	if last == "=" {
		last = ""
	}
	add := func(word, help string) {
		if strings.HasPrefix(word, last) {
			all = append(all, candidate{word, firstSentence(help)})
		}
	}
	switch name, _, hasValue := strings.Cut(last, "="); {
	case open != nil:
		eachValue(open.Value, add)
	case hasValue && strings.HasPrefix(last, "--"):
		if flag := findFlag(at, name); flag != nil {
			eachValue(flag.Value, func(value, help string) { add(name+"="+value, help) })
		}
	case strings.HasPrefix(last, "-"):
		eachFlag(at, add)
	default:
		for _, child := range at.Children {
			if !child.Hidden {
				add(child.Name, child.Help)
			}
		}
		if positionals < len(at.Positional) {
			eachValue(at.Positional[positionals], add)
		}
	}
	return all
}

// eachValue calls add with each value of a flag or an argument that has a fixed set of
// values.
func eachValue(v *kong.Value, add func(word, help string)) {
	if v.Enum == "" {
		return
	}
	for _, value := range v.EnumSlice() {
		add(value, "")
	}
}

// eachFlag calls add with each flag of a command and of the commands above it.
func eachFlag(n *kong.Node, add func(word, help string)) {
	for _, flag := range flagsOf(n) {
		if flag.Hidden {
			continue
		}
		add("--"+flag.Name, flag.Help)
		if flag.Tag.Negatable != "" {
			add("--no-"+flag.Name, flag.Help)
		}
	}
}

// walk returns the command that the words lead to, the flag whose value the next word
// is, nil for none, and the number of arguments so far.
func walk(app *kong.Application, words []string) (at *kong.Node, open *kong.Flag, positionals int) {
	at = app.Node
	for i, word := range words {
		child := slices.IndexFunc(at.Children, func(n *kong.Node) bool { return n.Name == word })
		switch {
		case word == "=": // bash splits a word at =
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "--"):
			// A flag without a value takes the next word, except for one that is set
			// or not set.
			flag := findFlag(at, word)
			split := i+1 < len(words) && words[i+1] == "="
			if flag != nil && (!flag.IsBool() || split) {
				open = flag
			}
		case child >= 0 && at.Children[child].Name == "help" && at == app.Node:
			// The words behind help are a command.
		case child >= 0:
			at, positionals = at.Children[child], 0
		default:
			positionals++
		}
	}
	return at, open, positionals
}

// findFlag returns the flag --name of a command or of the commands above it, or nil.
func findFlag(n *kong.Node, name string) *kong.Flag {
	for _, flag := range flagsOf(n) {
		if "--"+flag.Name == name {
			return flag
		}
	}
	return nil
}

// flagsOf returns the flags of a command and of the commands above it.
func flagsOf(n *kong.Node) (all []*kong.Flag) {
	for ; n != nil; n = n.Parent {
		all = append(all, n.Flags...)
	}
	return all
}

// firstSentence returns the beginning of a help text, as a description of one line.
func firstSentence(help string) string {
	end := strings.IndexAny(help, ".;:")
	if end < 0 {
		return help
	}
	return help[:end]
}
