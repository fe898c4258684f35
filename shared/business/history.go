package business

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Revision are settings, and the moment of event time from which on they hold:
// the zero time for settings that always did.
type Revision struct {
	Since time.Time
	Settings
}

// History is what a business decides by and did before, by ascending Since.
type History []Revision

const (
	// Lead is how far ahead of the clock settings begin that are set now. A store
	// learns of them within half a minute, and nobody's clock may be a minute off.
	Lead = 2 * time.Minute
	// kept is how long settings are remembered that others have followed: longer
	// than topics hold what was decided by them.
	kept = 100 * 24 * time.Hour
	// MaxHistoryBytes bounds what is stored of one business, so that it fits a
	// DynamoDB item of 400 KB. One revision with 12,000 devices does, by
	// pseudonyms of 25 characters; a list that stays the same is stored once.
	MaxHistoryBytes = 380 << 10
)

// Soonest is when settings that are set now may begin: the next whole minute that
// is at least Lead away.
func Soonest(now time.Time) time.Time {
	return now.Add(Lead + time.Minute - 1).Truncate(time.Minute)
}

// With gives the history once r is set at a moment: what would have begun with it
// or after it is replaced, and what has long been followed by others is dropped.
func (h History) With(r Revision, now time.Time) History {
	next := slices.DeleteFunc(slices.Clone(h), func(o Revision) bool { return !o.Since.Before(r.Since) })
	next = append(next, r)
	for len(next) > 1 && now.Sub(next[1].Since) > kept {
		next = next[1:]
	}
	return next
}

// At gives the revision in force at a moment; ok is false before the first.
func (h History) At(moment time.Time) (r Revision, ok bool) {
	for _, r := range slices.Backward(h) {
		if !r.Since.After(moment) {
			return r, true
		}
	}
	return Revision{}, false
}

// Rules gives the history as the decisions take it.
func (h History) Rules() ([]stage.RulesSince, error) {
	all := make([]stage.RulesSince, len(h))
	for i := range h {
		rules, err := h[i].Settings.Rules()
		if err != nil {
			return nil, fmt.Errorf("settings since %s: %w", h[i].Since.Format(time.RFC3339), err)
		}
		if i > 0 && slices.Equal(h[i].Static, h[i-1].Static) && slices.Equal(h[i].Employees, h[i-1].Employees) {
			rules.Excluded = all[i-1].Rules.Excluded // an environment remembers thousands once, and not a hundred times
		}
		all[i] = stage.RulesSince{Rules: rules}
		if !h[i].Since.IsZero() {
			all[i].Since = presence.InstantOf(h[i].Since)
		}
	}
	return all, nil
}

// stored is a revision in a table.
type stored struct {
	Since int64    `json:"since,omitempty"` // milliseconds since 1970
	Rules Settings `json:"rules"`
	// The lists are those of the revision before.
	SameStatic    bool `json:"same_static,omitempty"`
	SameEmployees bool `json:"same_employees,omitempty"`
}

// Encode gives the text that tables hold. It is an error where that is more than
// MaxHistoryBytes.
func (h History) Encode() ([]byte, error) {
	all := make([]stored, len(h))
	for i := range h {
		all[i].Rules = h[i].Settings
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
		err = fmt.Errorf("%d revisions, the last with %d devices, take %d bytes; %d are possible", len(h),
			len(last.Static)+len(last.Employees), len(data), MaxHistoryBytes)
	}
	return data, err
}

// DecodeHistory reads what Encode gave, of this version or an earlier one, in
// which settings may be missing.
func DecodeHistory(data []byte) (History, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("history of settings: %w", err)
	}
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
		if one.SameStatic && i > 0 {
			h[i].Static = h[i-1].Static
		}
		if one.SameEmployees && i > 0 {
			h[i].Employees = h[i-1].Employees
		}
	}
	return h, nil
}
