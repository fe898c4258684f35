package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"testing"
)

// findings collects the findings of a property.
type findings struct{ all []string }

func (f *findings) add(format string, args ...any) {
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

// want adds a finding unless got is want, as text.
func (f *findings) want(where, what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.add("%s: %s is %v, not %v", where, what, got, want)
	}
}

// property is a property that holds for every deployment.
type property struct {
	name string
	find func(a *assembly, f *findings)
}

// properties holds all properties.
var properties = []property{
	{"every stage is a function as it should be", functions},
	{"every function is released by a canary", releases},
	{"every stage has its mappings with all settings", mappings},
	{"schedules say when they were due", schedules},
	{"routers reach ingest and nothing else", httpAPI},
	{"no policy allows more than is listed", wildcards},
	{"a function may do what its stage does and nothing else", access},
	{"services may do their part", grants},
	{"roles are for AWS's services and have no policies of AWS", roles},
	{"every alarm has an action and a section in the runbook", alarms},
	{"every stage, table and topic is watched", watched},
	{"tables are those of the graph and protected", tables},
	{"state outlives its stack", retained},
	{"what is kept is encrypted", encryptedAtRest},
	{"what is sent is encrypted", encryptedInTransit},
	{"event source mappings and functions reach the brokers", reach},
	{"nothing else is reached", closed},
	{"the topics are those of events", topics},
	{"stateless code is a stack of its own", layers},
	{"nothing waits for itself", acyclic},
	{"templates fit, and name no region and no account", fits},
}

// hash matches the hash that CDK appends to the name of a construct.
var hash = regexp.MustCompile(`([A-Za-z])[0-9A-F]{8}\b`)

// findAll returns the findings of all properties, sorted.
func findAll(a *assembly) []string {
	var f findings
	for _, p := range properties {
		p.find(a, &f)
	}
	for i := range f.all {
		f.all[i] = hash.ReplaceAllString(f.all[i], "$1")
	}
	sort.Strings(f.all)
	return slices.Compact(f.all)
}

func TestProperties(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(deployments)) {
		a := of(t, name)
		for _, p := range properties {
			t.Run(name+"/"+p.name, func(t *testing.T) {
				var f findings
				p.find(a, &f)
				for _, found := range f.all {
					t.Error(found)
				}
			})
		}
	}
}
