package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// report is a line of cdk-nag's report of a stack: rule, resource, result and
// reason.
type report struct{ rule, resource, result, reason string }

func (a *assembly) nag(t *testing.T) (all []report) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(a.dir, "*NagReport.csv"))
	if err != nil || len(files) != 2*len(a.stacks) {
		t.Fatalf("%d reports of two packs on %d stacks, %v", len(files), len(a.stacks), err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines[1:] {
			all = append(all, report{l[0], l[1], l[2], l[3]})
		}
	}
	return all
}

// TestNag checks that every finding is suppressed, and that every suppression has a
// finding.
func TestNag(t *testing.T) {
	used := map[suppression]bool{}
	for name := range deployments {
		a := of(t, name)
		byStack := map[string][]suppression{
			"network-and-cluster": clusterSuppressions(a.d), "state": stateSuppressions(), "pipeline": pipelineSuppressions(a.d),
		}
		reports := a.nag(t)
		for _, r := range reports {
			if r.result == "Non-Compliant" || r.result == "UNKNOWN" {
				t.Errorf("%s: %s at %s", name, r.rule, r.resource)
			}
		}
		for stackName, all := range byStack {
			for _, s := range all {
				used[s] = used[s] || suppresses(s, a.d.set.Name+"-"+stackName, reports)
			}
		}
	}
	for s, ok := range used {
		if !ok {
			t.Errorf("nothing is found that this would suppress: %+v", s)
		}
	}
}

func suppresses(s suppression, stackName string, reports []report) bool {
	for _, r := range reports {
		at, about, _ := strings.Cut(r.reason, "] ")
		if about == "" {
			at, about = "", r.reason
		}
		if r.result == "Suppressed" && r.rule == s.finding && strings.HasPrefix(r.resource+"/", stackName+"/"+s.construct+"/") && about == s.reason {
			return s.about == "" || regexp.MustCompile(s.about).MatchString(strings.TrimPrefix(at, "["))
		}
	}
	return false
}
