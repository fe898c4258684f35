package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Each duration flag takes days, whatever the command; a flag that would be ignored is
// refused. Each command line fails: at the flag, or later for the reason in want.
func TestFlagsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"simulate --duration 3x", `--duration: "3x" is not a duration such as 90s, 36h or 2d12h`},
		{"simulate --duration 367d", "duration 8808h0m0s is not within"},
		{"simulate --duration 2h", "its first business opens at 06:00, and nobody has visited one and left by 02:00: give --duration 9h or more"},
		{"simulate --duration 1m", "nobody has visited one and left by 00:01"},
		{"simulate --session-timeout 0.00001d", "--session-timeout 864ms is less than 6s"},
		{"invoke detect nowhere.json --timeout 1d", "no such file"},
		{"evaluate nowhere.csv --dwell 1d --gap 1d", "dwell"},
		{"forget --brokers x --business b --contact c --wait=-1d", "--wait -24h0m0s is negative"},
		{"audit --brokers x --from 1d --to 2d", "--from is not before --to"},

		{"simulate --out x.ndjson --speed 60", "--speed has no effect with --out"},
		{"simulate --out x.ndjson --data-dir d", "--data-dir has no effect with --out"},
		{"simulate --out x.ndjson --function-logs", "--function-logs has no effect with --out"},
		{"simulate --out - --truth-out -", "--out and --truth-out both write to -"},
		{"simulate --out town --businesses-out town", "--businesses-out and --out both write to town"},
		{"replay x.csv --tables-on-disk", "--tables-on-disk no longer exists"},
		{"replay x.csv --data-dir d --brokers x --table-endpoint http://x", "--data-dir has no effect with --brokers"},
		{"simulate --data-dir d --brokers x --table-endpoint http://x", "--data-dir has no effect with --brokers"},
		{"evaluate x.csv --key k --pseudonym-keys times.go", "--key has no effect with --pseudonym-keys"},
		{"evaluate x.csv --key-id 2", "--key-id has no effect without --pseudonym-keys"},
		{"evaluate x.csv --closed sun", "--closed has no effect without --occupancy"},
		{"calibrate x.csv --limit 2", "--limit has no effect without --occupancy"},
		{"audit --brokers x --json --items 3", "--items has no effect with --json"},
		{"dead-letters redrive --brokers x --force --max-redrives 5", "--max-redrives has no effect with --force"},
		{"offsets shift --brokers x --group g --topic t --partition 0 --by 0 --yes", "--yes has no effect with --by 0"},
	} {
		var out, log bytes.Buffer
		status := run(strings.Fields(c.line), streams{strings.NewReader(""), &out, &log})
		if status == 0 || !strings.Contains(log.String(), c.want) {
			t.Errorf("footfall %s: status %d and %q, want %q", c.line, status, log.String(), c.want)
		}
	}
}

// The tags of flags name flags and groups that exist.
func TestTagsNameFlags(t *testing.T) {
	known, tagged := map[string]bool{}, 0
	parser, err := newParser(&cli{}, streams{})
	if err != nil {
		t.Fatal(err)
	}
	flags := allFlags(parser.Model.Node)
	for _, f := range flags {
		known[f.Name] = true
		if f.Group != nil {
			known[f.Group.Key] = true
		}
	}
	for _, f := range flags {
		for _, tag := range []string{"voids", "needs"} {
			if names := f.Tag.Get(tag); names != "" {
				tagged++
				for name := range strings.SplitSeq(names, ",") {
					if !known[name] {
						t.Errorf("--%s %s %q, which is no flag and no group", f.Name, tag, name)
					}
				}
			}
		}
	}
	if tagged == 0 {
		t.Error("no flag has a tag")
	}
}

// allFlags returns the flags of a node and of all nodes below it.
func allFlags(n *kong.Node) []*kong.Flag {
	all := n.Flags
	for _, child := range n.Children {
		all = append(all, allFlags(child)...)
	}
	return all
}
