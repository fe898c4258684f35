package main

import (
	"encoding/json"
	"io"

	"footfall/events"
	"footfall/lab/check"
	"footfall/lab/score"
)

// runReport is the summary of simulate and replay as one JSON object: everything that
// the text says. Numbers without a unit in their name are counts.
type runReport struct {
	EventTimeSeconds   float64        `json:"event_time_seconds"` // from the first item to the last
	TookSeconds        float64        `json:"took_seconds"`       // until everything was processed
	SightingsPerSecond float64        `json:"sightings_per_second"`
	Sightings          int64          `json:"sightings"` // with one for each login
	LateSightings      int64          `json:"late_sightings"`
	PassersBySightings int64          `json:"passers_by_sightings"`
	ExcludedSightings  int64          `json:"excluded_sightings"`
	DeadLetters        int64          `json:"dead_letters"`
	WalkIns            int64          `json:"walk_ins"`
	Attributed         int            `json:"attributed"`
	Unattributed       int64          `json:"unattributed"`
	Anonymous          int64          `json:"anonymous"`
	ResidentVisits     int64          `json:"resident_visits"`
	AttributedAtOnce   int            `json:"attributed_at_once"`
	AttributedLate     int            `json:"attributed_late"`
	Companions         int            `json:"companions"`
	WalkInsCounted     int            `json:"walk_ins_counted"`
	ContactsCounted    int            `json:"contacts_counted"`
	SettingsChanged    int            `json:"devices_with_changed_settings"` // inside while settings changed
	Compared           []compared     `json:"compared"`                      // the oracle, topics and tables
	Equal              bool           `json:"equal"`                         // no difference at all
	Differences        []string       `json:"differences"`                   // texts of the error that ends the command
	TopContacts        []contactTotal `json:"top_contacts"`
	TrueVisitsCompared *score.Figures `json:"true_visits,omitempty"` // as evaluate --json prints figures
}

// compared is one figure of the comparison with the oracle.
type compared struct {
	Figure   string `json:"figure"`
	Expected int    `json:"expected"`
	InTopics int    `json:"in_topics"`
	InTables int    `json:"in_tables"`
	Equal    bool   `json:"equal"`
}

// contactTotal is a contact with the number of its counted walk-ins.
type contactTotal struct {
	Business events.BusinessID `json:"business"`
	Contact  events.ContactID  `json:"contact"`
	WalkIns  int64             `json:"walk_ins"`
}

// printRunJSON prints the summary of a run as one line of JSON. figures is nil without
// true visits.
func printRunJSON(w io.Writer, o *outcome, figures *score.Figures) error {
	r := o.report
	out := runReport{
		EventTimeSeconds: o.fed.To.Sub(o.fed.From).Seconds(), TookSeconds: o.took.Seconds(),
		SightingsPerSecond: float64(r.Tally.Sightings) / o.took.Seconds(),
		Sightings:          r.Tally.Sightings, LateSightings: r.Tally.Late, PassersBySightings: r.Tally.PassersBy,
		ExcludedSightings: r.Tally.Excluded, DeadLetters: r.Tally.Dead,
		WalkIns: r.Tally.WalkIns, Attributed: r.Enriched.Topics, Unattributed: r.Tally.WalkIns - int64(r.Enriched.Topics),
		Anonymous: r.Tally.Anonymous, ResidentVisits: r.Tally.Residents,
		AttributedAtOnce: r.Enriched.Topics - r.Late, AttributedLate: r.Late, Companions: r.Companions,
		WalkInsCounted: r.Counted.Tables, ContactsCounted: r.Contacts.Tables, SettingsChanged: r.Changed,
		Equal: r.Err() == nil, Differences: []string{}, TopContacts: []contactTotal{}, TrueVisitsCompared: figures,
	}
	// The comparison with the oracle, and the contacts that the text lists.
	for _, c := range comparisons(r) {
		out.Compared = append(out.Compared, compared{c.name, c.f.Oracle, c.f.Topics, c.f.Tables, c.f.Equal()})
	}
	for _, err := range unjoin(r.Err()) {
		out.Differences = append(out.Differences, err.Error())
	}
	for _, t := range r.TopContacts[:min(topContactsShown, len(r.TopContacts))] {
		out.TopContacts = append(out.TopContacts, contactTotal{t.Business, t.Contact, t.Total})
	}
	return json.NewEncoder(w).Encode(out)
}

// unjoin returns the errors that errors.Join joined, none for nil.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

// namedComparison is a comparison with its name.
type namedComparison struct {
	name string
	f    check.Comparison
}

// comparisons returns the comparisons of a report in the order in which they are
// printed.
func comparisons(r *check.Report) []namedComparison {
	return []namedComparison{
		{"walk-ins", r.WalkIns}, {"attributed", r.Enriched}, {"counted", r.Counted}, {"contacts", r.Contacts},
	}
}
