package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// helpCmd prints the help of a command. run takes help COMMAND as COMMAND --help, so
// that the type only describes the command line.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command, such as offsets shift; without it, the help lists all commands."`
}

// printHelp prints help as kong does, with the line of required flags wrapped too.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	var b bytes.Buffer
	out := ctx.Kong.Stdout
	ctx.Kong.Stdout = &b
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Kong.Stdout = out
	if err != nil {
		return err
	}
	usage, rest, _ := strings.Cut(b.String(), "\n")
	_, err = fmt.Fprintf(out, "%s\n%s", wrap(usage, "  "), rest)
	return err
}

// isIncomplete reports whether a command line ends before a command that can be run,
// as bare footfall does, or footfall offsets. It gets help, as from other commands with
// subcommands.
func isIncomplete(e *kong.ParseError) bool {
	at := e.Context.Selected()
	if at == nil {
		at = e.Context.Model.Node
	}
	return e.Context.Error == nil && len(at.Children) > 0
}
