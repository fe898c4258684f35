package main

import (
	"encoding/json"
	"io"
	"time"

	"footfall/shared/audit"
)

// auditSummary is the last line of audit --json. Without a report it has the range
// and the error alone.
type auditSummary struct {
	Equal       bool      `json:"equal"` // true only if everything was compared and is equal
	Error       string    `json:"error,omitempty"`
	From        time.Time `json:"from,omitzero"`
	To          time.Time `json:"to,omitzero"`
	RecountedTo time.Time `json:"recounted_to,omitzero"`
	Visits      int       `json:"visits_found"`
	DeadLetters int       `json:"dead_letters"`
	Expected    int       `json:"walk_ins_expected"`
	Counted     int       `json:"walk_ins_counted"`
	Companions  int       `json:"companions"`
	Contacts    int       `json:"contacts"`
	Unjudged    int       `json:"not_judged"`
	Forgotten   int       `json:"forgotten"`
	Differences int       `json:"differences"`
	Notes       []string  `json:"notes,omitempty"`
}

// printAuditJSON prints a line for each difference of a report, and the summary. If the
// audit failed, r is nil and failure states why.
func printAuditJSON(w io.Writer, c *auditCmd, r *audit.Report, failure error) error {
	enc := json.NewEncoder(w)
	s := auditSummary{From: c.From.Time, To: c.To.Time}
	if failure != nil {
		s.Error = failure.Error()
	}
	if r != nil {
		for _, d := range r.Differences {
			if err := enc.Encode(d); err != nil {
				return err
			}
		}
		s = auditSummary{
			Equal: failure == nil && len(r.Differences) == 0, Error: s.Error, From: r.From, To: r.To, RecountedTo: r.Settled,
			Visits: r.Visits, DeadLetters: r.DeadLetters, Expected: r.Expected, Counted: r.Counted, Companions: r.Companions,
			Contacts: r.Contacts, Unjudged: r.Unjudged, Forgotten: r.Forgotten, Differences: len(r.Differences), Notes: r.Notes,
		}
	}
	return enc.Encode(map[string]auditSummary{"summary": s})
}
