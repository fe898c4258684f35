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

// runbookLink is how the description of an alarm names its section.
var runbookLink = regexp.MustCompile(`docs/runbook\.md#([a-z0-9-]+)`)

// minDescription is the least that can say what an alarm means and what to do.
const minDescription = 80

// CheckAlarms reports every alarm without an action for alarm and for all clear,
// without a description of what it means and what to do, whose section is not in
// the runbook, or that leaves it to chance how missing data counts.
func CheckAlarms(t Template, runbook string) error {
	var errs []error
	sections := Headings(runbook)
	for _, a := range t.Alarms() {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("alarm %s (%s) "+format, append([]any{a.Name, a.ID}, args...)...))
		}
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

// Anchor is the section of the runbook that the alarm names.
func (a Alarm) Anchor() (string, bool) {
	found := runbookLink.FindStringSubmatch(a.Description())
	if found == nil {
		return "", false
	}
	return found[1], true
}

// CheckNoOrphans reports sections under "## Alarms" of the runbook that belong to
// no alarm of any of the templates. No template has all kinds of alarm: it takes
// those of every size, and one of an existing cluster.
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

// CheckComplete reports, by name, every alarm that a deployment must have and the
// template lacks, and every one on something that the deployment has not: its
// metric would never have data, and it would never ring. prefix is the name of
// the alarms' stack.
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

// wanted spells out the alarms of a deployment: each kind, for everything that it
// is about.
func wanted(g pipeline.Graph, s settings.Settings, size settings.Size) []string {
	var names []string
	want := func(subject string, kinds ...string) {
		for _, k := range kinds {
			names = append(names, k+"-"+subject)
		}
	}
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
	for _, table := range g.Tables {
		want(table.Name, "table-system-errors", "conflict-rate")
		want(table.Name+"-reads", "table-throttles")
		want(table.Name+"-writes", "table-throttles")
	}
	if s.ClusterARN != "" || size.Cluster == settings.Express {
		want("cluster", "broker-cpu", "storage-growth")
	}
	if s.ClusterARN != "" {
		want("cluster", "broker-disk")
	}
	return names
}

// Headings lists the anchors of all headings of a Markdown text, as GitHub makes
// them. What stands in a block of code is no heading.
func Headings(markdown string) []string {
	var anchors []string
	for _, h := range headings(markdown) {
		anchors = append(anchors, h.anchor)
	}
	return anchors
}

// AlarmHeadings lists the anchors of the sections under "## Alarms".
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

// notInAnchor is what an anchor leaves out.
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
