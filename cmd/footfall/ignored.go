package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Two tags beside a flag name other flags, so that no flag is ignored in silence:
//
//   - voids:"speed,The pipeline:" lists flags, and groups of flags, that have no effect
//     together with this flag.
//   - needs:"occupancy" lists flags of which at least one must be given, or this flag
//     has no effect.

// refuseIgnored returns an error if a flag on the parsed path has no effect by the tags
// of the flags.
func refuseIgnored(path []*kong.Path) error {
	var given []*kong.Flag
	for _, p := range path {
		// A flag that is given as false is as good as absent.
		if f := p.Flag; f != nil && (f.Target.Kind() != reflect.Bool || f.Target.Bool()) {
			given = append(given, f)
		}
	}
	for _, f := range given {
		for _, other := range given {
			if isNamed(other, f.Tag.Get("voids")) {
				return fmt.Errorf("--%s has no effect with --%s: leave one of them out", other.Name, f.Name)
			}
		}
		needs := f.Tag.Get("needs")
		if needs != "" && !slices.ContainsFunc(given, func(other *kong.Flag) bool { return isNamed(other, needs) }) {
			return fmt.Errorf("--%s has no effect without --%s", f.Name, strings.ReplaceAll(needs, ",", " or --"))
		}
	}
	return nil
}

// isNamed reports whether a list of names holds the flag or its group.
func isNamed(f *kong.Flag, names string) bool {
	list := strings.Split(names, ",")
	return slices.Contains(list, f.Name) || f.Group != nil && slices.Contains(list, f.Group.Key)
}
