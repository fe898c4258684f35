package watchtest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// runbookLink matches the link to its section in the description of an alarm.
var runbookLink = regexp.MustCompile(`docs/runbook\.md#([a-z0-9-]+)`)

// minDescription is the minimum length of a description with a meaning and an
// action.
const minDescription = 80

// CheckAlarms returns an error with every alarm that lacks an action for alarm or
// for all clear, lacks a description, links to a missing section of the runbook, or
// does not set the treatment of missing data.
func CheckAlarms(t Template, runbook string) error {
	var errs []error
	sections := Headings(runbook)
	for _, a := range t.Alarms() {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("alarm %s (%s) "+format, append([]any{a.Name, a.ID}, args...)...))
		}
		// The alarm notifies at both transitions.
		for _, action := range []string{"AlarmActions", "OKActions"} {
			if len(list(a.Properties[action])) == 0 {
				bad("has no %s", action)
			}
		}
		if a.Properties["ActionsEnabled"] == false {
			bad("has its actions turned off")
		}
		if a.Name == "" {
			bad("has no name")
		}
		if a.Properties["TreatMissingData"] == nil {
			bad("does not say how missing data counts")
		}
		// The description leads an operator to the runbook.
		if text := a.Description(); len(text) < minDescription || !strings.Contains(text, "What to do: ") {
			bad("has no description of what it means and what to do: %q", text)
		}
		if anchor, ok := a.Anchor(); !ok {
			bad("does not name its section of docs/runbook.md")
		} else if !slices.Contains(sections, anchor) {
			bad("names docs/runbook.md#%s, which is no heading there", anchor)
		}
	}
	return errors.Join(errs...)
}

// Anchor returns the section of the runbook that the alarm links to; ok is false if
// there is no link.
func (a Alarm) Anchor() (string, bool) {
	found := runbookLink.FindStringSubmatch(a.Description())
	if found == nil {
		return "", false
	}
	return found[1], true
}

// CheckNoOrphans returns an error with the sections under "## Alarms" of the runbook
// that belong to no alarm of the templates. No single template has all kinds of
// alarm: pass the templates of every size, and one of an existing cluster.
func CheckNoOrphans(runbook string, templates ...Template) error {
	used := map[string]bool{}
	for _, t := range templates {
		for _, a := range t.Alarms() {
			anchor, _ := a.Anchor()
			used[anchor] = true
		}
	}
	var errs []error
	for _, anchor := range AlarmHeadings(runbook) {
		if !used[anchor] {
			errs = append(errs, fmt.Errorf("docs/runbook.md#%s is about no alarm that there is", anchor))
		}
	}
	return errors.Join(errs...)
}

// CheckComplete returns an error with the names of missing alarms, and of alarms on
// resources that the deployment does not have: their metrics would never have data.
// prefix is the stack name that alarm names begin with.
func CheckComplete(t Template, prefix string, g pipeline.Graph, s settings.Settings, size settings.Size) error {
	have := map[string]bool{}
	for _, a := range t.Alarms() {
		have[a.Name] = true
	}
	var errs []error
	for _, name := range wanted(g, s, size) {
		if name = prefix + "-" + name; !have[name] {
			errs = append(errs, fmt.Errorf("alarm %s is missing", name))
		}
		delete(have, name)
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		errs = append(errs, fmt.Errorf("alarm %s is about something that is not there", name))
	}
	return errors.Join(errs...)
}

// wanted returns the names of all alarms that a deployment must have: each kind, for
// each of its targets.
func wanted(g pipeline.Graph, s settings.Settings, size settings.Size) []string {
	var names []string
	want := func(subject string, kinds ...string) {
		for _, k := range kinds {
			names = append(names, k+"-"+subject)
		}
	}
	// Alarms of stages and their mappings.
	for _, st := range g.Stages {
		want(st.Name, "function-errors", "throttles", "slow-invocations")
		if len(st.Reads) > 0 {
			want(st.Name, "failed-partitions", "event-age", "dead-letters")
		}
		if st.HTTP {
			want(st.Name, "failed-posts", "api-errors", "refused-posts", "unauthorised-posts", "throttled-posts", "slow-posts")
			if !s.QuietAllowed {
				want(st.Name, "no-sightings")
			}
		}
		if st.Name == pipeline.Tick || st.Name == pipeline.Detect {
			want(st.Name, "idle")
		}
		for _, m := range st.Reads {
			subject := st.Name + "-" + m.Topic
			want(subject, "lag-records", "lag-time", "no-progress")
			if size.Pollers.Max > 0 {
				want(subject, "failed-invokes", "dropped-records", "given-up-records")
			}
		}
	}
	// Alarms of tables.
	for _, table := range g.Tables {
		want(table.Name, "table-system-errors", "conflict-rate")
		want(table.Name+"-reads", "table-throttles")
		want(table.Name+"-writes", "table-throttles")
	}
	// Alarms of the cluster. MSK Serverless has no metrics of brokers.
	if s.ClusterARN != "" || size.Cluster == settings.Express {
		want("cluster", "broker-cpu", "storage-growth")
	}
	if s.ClusterARN != "" {
		want("cluster", "broker-disk")
	}
	return names
}

// Headings returns the anchors of all headings of a Markdown text, as GitHub forms
// them. Code blocks are skipped.
func Headings(markdown string) []string {
	var anchors []string
	for _, h := range headings(markdown) {
		anchors = append(anchors, h.anchor)
	}
	return anchors
}

// AlarmHeadings returns the anchors of the sections under "## Alarms".
func AlarmHeadings(runbook string) []string {
	var anchors []string
	within := false
	for _, h := range headings(runbook) {
		switch {
		case h.level <= 2:
			within = h.anchor == "alarms"
		case within && h.level == 3:
			anchors = append(anchors, h.anchor)
		}
	}
	return anchors
}

type heading struct {
	level  int
	anchor string
}

// notInAnchor matches the characters that an anchor leaves out.
var notInAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)

func headings(markdown string) []heading {
	var all []heading
	code := false
	for line := range strings.Lines(markdown) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		text := strings.TrimLeft(line, "#")
		level := len(line) - len(text)
		if code || level == 0 || !strings.HasPrefix(text, " ") {
			continue
		}
		anchor := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(text)), "")
		all = append(all, heading{level, strings.ReplaceAll(anchor, " ", "-")})
	}
	return all
}
