package business

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"footfall/events"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func entry(dBm int32) Settings {
	s := Defaults()
	s.Entry = dBm
	return s
}

func TestPlan(t *testing.T) {
	morning, evening := Revision{noon.Add(-4 * time.Hour), entry(-60)}, Revision{noon.Add(6 * time.Hour), entry(-70)}
	same, other := entry(-60), entry(-65)
	door, otherDoor := Door{Key: "1"}, Door{Key: "2"}
	at := Start{Since: noon}
	for _, c := range []struct {
		name   string
		stored Stored
		doc    Document
		start  Start
		want   Change
	}{
		{"nothing is stored", Stored{}, Document{&same, &door}, Stored{}.ImportStart(noon), Change{
			Rules: &same, Start: Start{Rewrite: true}, RulesDiff: []Difference{{"rules", "new"}},
			Door: &door, DoorDiff: []Difference{{"door", "new"}},
		}},
		{"the document is stored", Stored{History{morning}, &door}, Document{&same, &door}, at, Change{Start: at}},
		{"no part of the document is there", Stored{History{morning}, &door}, Document{}, at, Change{Start: at}},
		{"rules that differ", Stored{History{morning}, &door}, Document{Rules: &other}, at, Change{
			Rules: &other, Start: at, RulesDiff: []Difference{{"rules.entry_dbm", "-60 -> -65"}},
		}},
		{"a door that differs", Stored{History{morning}, &door}, Document{Door: &otherDoor}, at, Change{
			Start: at, Door: &otherDoor, DoorDiff: []Difference{{"door.key", "1 -> 2"}},
		}},
		{"rules before the first that are stored", Stored{History{evening}, nil}, Document{Rules: &other}, at, Change{
			Rules: &other, Start: at, RulesDiff: []Difference{{"rules", "new"}}, Dropped: []Revision{evening},
		}},
		// Others were to follow the rules in force, and the document has those in force.
		{"later rules are dropped", Stored{History{morning, evening}, nil}, Document{Rules: &same}, at, Change{
			Rules: &same, Start: at, Dropped: []Revision{evening},
		}},
		{"rules that begin together are replaced, not dropped", Stored{History{morning, evening}, nil}, Document{Rules: &other}, Start{Since: evening.Since}, Change{
			Rules: &other, Start: Start{Since: evening.Since}, RulesDiff: []Difference{{"rules.entry_dbm", "-70 -> -65"}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.ID = "cafe"
			got := Plan("cafe", c.stored, c.doc, c.start)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if want := c.want.Rules == nil && c.want.Door == nil; got.IsEmpty() != want {
				t.Errorf("got empty %v, want %v", got.IsEmpty(), want)
			}
		})
	}
}

// Nothing was decided of a business of which nothing is stored, so rules that are
// imported have always held; for another business all functions must know first.
func TestImportStart(t *testing.T) {
	for _, c := range []struct {
		stored Stored
		want   Start
	}{
		{Stored{}, Start{Rewrite: true}},
		{Stored{Door: &Door{}}, Start{Since: Soonest(noon)}},
		{Stored{Revisions: History{{Settings: Defaults()}}}, Start{Since: Soonest(noon)}},
	} {
		if got := c.stored.ImportStart(noon); got != c.want {
			t.Errorf("%+v: got %+v, want %+v", c.stored, got, c.want)
		}
	}
}

// callLog is a Store that lists the calls it gets. Rules begin a minute later than
// asked for, as in a table that is slow.
type callLog struct {
	calls []string
	fail  string // the call that fails
}

var errFull = errors.New("the table is full")

func (l *callLog) add(call string, id events.BusinessID, detail any) error {
	l.calls = append(l.calls, fmt.Sprint(call, " ", id, " ", detail))
	if call == l.fail {
		return errFull
	}
	return nil
}

func (l *callLog) SetRules(_ context.Context, id events.BusinessID, s Settings, from time.Time) (time.Time, error) {
	return from.Add(time.Minute), l.add("SetRules", id, s.Entry)
}

func (l *callLog) PutRules(_ context.Context, id events.BusinessID, r Revision) error {
	return l.add("PutRules", id, r.Since.Format(time.TimeOnly))
}

func (l *callLog) PutDoor(_ context.Context, id events.BusinessID, d Door) error {
	return l.add("PutDoor", id, d.Key)
}

func TestApply(t *testing.T) {
	rules, door := entry(-65), Door{Key: "2"}
	for _, c := range []struct {
		name   string
		change Change
		fail   string
		calls  []string
		since  time.Time
		err    error
	}{
		{"nothing", Change{Start: Start{Since: noon}}, "", nil, noon, nil},
		{"rules", Change{Rules: &rules, Start: Start{Since: noon}}, "", []string{"SetRules cafe -65"}, noon.Add(time.Minute), nil},
		{"a rewrite", Change{Rules: &rules, Start: Start{noon, true}}, "", []string{"PutRules cafe 12:00:00"}, noon, nil},
		{"a door", Change{Door: &door, Start: Start{Since: noon}}, "", []string{"PutDoor cafe 2"}, noon, nil},
		{"both", Change{Rules: &rules, Door: &door, Start: Start{Since: noon}}, "", []string{"SetRules cafe -65", "PutDoor cafe 2"}, noon.Add(time.Minute), nil},
		{"rules that fail", Change{Rules: &rules, Door: &door, Start: Start{noon, true}}, "PutRules", []string{"PutRules cafe 12:00:00"}, noon, errFull},
		{"a door that fails", Change{Door: &door, Start: Start{Since: noon}}, "PutDoor", []string{"PutDoor cafe 2"}, noon, errFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.change.ID = "cafe"
			store := &callLog{fail: c.fail}
			applied, err := c.change.Apply(t.Context(), store)
			if !errors.Is(err, c.err) || !slices.Equal(store.calls, c.calls) || !applied.Start.Since.Equal(c.since) {
				t.Errorf("got calls %q since %s, error %v; want %q since %s, error %v", store.calls, applied.Start.Since, err, c.calls, c.since, c.err)
			}
		})
	}
}
