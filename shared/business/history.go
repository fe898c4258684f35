package business

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Revision is settings and the moment of event time from which on the settings hold,
// the zero time for always.
type Revision struct {
	Since time.Time
	Settings
}

// History holds the present, former and future settings of a business, by ascending
// Since.
type History []Revision

const (
	// Lead is how far ahead of the clock new settings begin. Every environment reads
	// new settings within half a minute, and no clock may be a minute off.
	Lead = 2 * time.Minute
	// kept is how long a revision is kept after the next revision has begun: longer
	// than topics hold the records decided by the revision.
	kept = 100 * 24 * time.Hour
	// MaxHistoryBytes bounds the JSON of a history, to fit a DynamoDB item of 400 KB.
	// One revision with 12,000 devices fits, with pseudonyms of 25 characters. A list
	// that stays the same in the next revision is stored once.
	MaxHistoryBytes = 380 << 10
)

// Soonest returns the earliest moment at which settings may begin if they are set
// now: the next whole minute at least Lead away.
func Soonest(now time.Time) time.Time {
	return now.Add(Lead + time.Minute - 1).Truncate(time.Minute)
}

// With returns the history after r was set at the moment now. Revisions that begin at
// r.Since or later are replaced by r. Revisions are dropped if the next one began
// more than 100 days before now.
func (h History) With(r Revision, now time.Time) History {
	// Replace revisions of the same moment and of later moments.
	next := slices.DeleteFunc(slices.Clone(h), func(o Revision) bool { return !o.Since.Before(r.Since) })
	next = append(next, r)
	// Drop revisions that no record in a topic was decided by.
	for len(next) > 1 && now.Sub(next[1].Since) > kept {
		next = next[1:]
	}
	return next
}

// At returns the revision in force at a moment; ok is false before the first one.
func (h History) At(moment time.Time) (r Revision, ok bool) {
	for _, r := range slices.Backward(h) {
		if !r.Since.After(moment) {
			return r, true
		}
	}
	return Revision{}, false
}

// Rules returns the history in the form in which detect decides by it, or an error if
// settings are out of their range.
func (h History) Rules() ([]stage.RulesSince, error) {
	all := make([]stage.RulesSince, len(h))
	for i := range h {
		rules, err := h[i].Settings.Rules()
		if err != nil {
			return nil, fmt.Errorf("settings since %s: %w", h[i].Since.Format(time.RFC3339), err)
		}
		if i > 0 && slices.Equal(h[i].Static, h[i-1].Static) && slices.Equal(h[i].Employees, h[i-1].Employees) {
			// Share the set of devices: an environment remembers thousands of devices once,
			// and not in a hundred revisions.
			rules.Excluded = all[i-1].Rules.Excluded
		}
		all[i] = stage.RulesSince{Rules: rules}
		if !h[i].Since.IsZero() {
			all[i].Since = presence.InstantOf(h[i].Since)
		}
	}
	return all, nil
}

// stored is the JSON of a revision in a table.
type stored struct {
	Since int64    `json:"since,omitempty"` // milliseconds since 1970, 0 for the zero time
	Rules Settings `json:"rules"`
	// If true, the list is left out, and is the list of the revision before.
	SameStatic    bool `json:"same_static,omitempty"`
	SameEmployees bool `json:"same_employees,omitempty"`
}

// Encode returns the JSON that tables hold, or an error if the JSON is longer than
// MaxHistoryBytes. DecodeHistory is its inverse.
func (h History) Encode() ([]byte, error) {
	all := make([]stored, len(h))
	for i := range h {
		all[i].Rules = h[i].Settings
		// The zero time is left out, and so is a list that stays the same.
		if !h[i].Since.IsZero() {
			all[i].Since = h[i].Since.UnixMilli()
		}
		if i > 0 && slices.Equal(h[i].Static, h[i-1].Static) {
			all[i].SameStatic, all[i].Rules.Static = true, nil
		}
		if i > 0 && slices.Equal(h[i].Employees, h[i-1].Employees) {
			all[i].SameEmployees, all[i].Rules.Employees = true, nil
		}
	}
	data, err := json.Marshal(all)
	if err == nil && len(data) > MaxHistoryBytes {
		last := h[len(h)-1]
		err = fmt.Errorf("%d revisions, the last with %d devices, take %d bytes, at most %d fit; list fewer devices", len(h),
			len(last.Static)+len(last.Employees), len(data), MaxHistoryBytes)
	}
	return data, err
}

// DecodeHistory decodes the JSON that Encode of this version or an earlier one
// returned. Settings that an earlier version did not have get their defaults.
func DecodeHistory(data []byte) (History, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("history of settings: %w", err)
	}
	// Decode into the defaults, which stay if a setting is absent.
	h := make(History, len(raw))
	for i := range raw {
		one := stored{Rules: Defaults()}
		if err := json.Unmarshal(raw[i], &one); err != nil {
			return nil, fmt.Errorf("history of settings, revision %d: %w", i, err)
		}
		h[i].Settings = one.Rules
		if one.Since != 0 {
			h[i].Since = time.UnixMilli(one.Since).UTC()
		}
		// A list that is left out is the list of the revision before.
		if one.SameStatic && i > 0 {
			h[i].Static = h[i-1].Static
		}
		if one.SameEmployees && i > 0 {
			h[i].Employees = h[i-1].Employees
		}
	}
	return h, nil
}
