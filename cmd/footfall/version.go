package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
)

// version, commit and date of this build: those of scripts/version.sh, which make build
// passes to the linker. The date is that of the commit, so that a build can be repeated.
var version, commit, date string

// unknown stands for a part of the version that the build does not have.
const unknown = "unknown"

// versionText returns the version, the commit and the date of the commit as one line.
// Parts that make build has not set are those that Go has recorded in the executable.
func versionText() string {
	recorded := map[string]string{}
	number := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		number = info.Main.Version
		for _, s := range info.Settings {
			recorded[s.Key] = s.Value
		}
	}
	if number == "(devel)" {
		number = ""
	}
	hash := recorded["vcs.revision"]
	if hash != "" && recorded["vcs.modified"] == "true" {
		hash += "-dirty"
	}
	return fmt.Sprintf("footfall %s, commit %s, date %s",
		cmp.Or(version, number, unknown), cmp.Or(commit, hash, unknown), cmp.Or(date, recorded["vcs.time"], unknown))
}

// versionCmd prints the version, like --version.
type versionCmd struct{}

// Run prints one line.
func (c *versionCmd) Run(_ context.Context, s streams) error {
	_, err := fmt.Fprintln(s.out, versionText())
	return err
}
