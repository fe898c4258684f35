// Package check holds what a run has told against what the oracle computes from
// the same input, read back from the topics.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/lab/score"
	"footfall/shared/audit"
	"footfall/shared/detect"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Sources is where a run left its results.
type Sources struct {
	Brokers []string
	Topics  stage.TopicInfos
	Log     stage.VisitLog
	Pending stage.Pending
	Counts  stage.Counts
	Rules   presence.Rules // of a business without any of its own
	// Businesses are the rules of the others.
	Businesses audit.Histories
}

// Comparison are the same things as three witnesses have them: the oracle, the
// topics and the tables.
type Comparison struct {
	Oracle, Topics, Tables int
}

// Same says whether all three agree.
func (f Comparison) Equal() bool { return f.Oracle == f.Topics && f.Topics == f.Tables }

// ContactTotal is a contact and how often it came.
type ContactTotal struct {
	Business events.BusinessID
	Contact  events.ContactID
	Total    int64
}

// Report is what a run came to.
type Report struct {
	Tally    detect.Tally
	WalkIns  Comparison // told, each id once
	Enriched Comparison
	Counted  Comparison // sum of all counts
	// Companions are the enriched ones that are one visit with another, for two
	// devices of a contact were in the store at once.
	Companions int
	Contacts   Comparison // contacts that have a count
	Late       int        // of the enriched ones, those whose login came after the walk-in
	// Changed is how many devices were about when rules of their business changed.
	// Their walk-ins around that are taken as they were told.
	Changed     int
	Wrong       []string
	TopContacts []ContactTotal // the most loyal first
	Visits      []score.FoundVisit
	residents   map[string][]time.Time // when visits of residents began, by device
}

// Err says what does not agree, nil if everything does.
func (r *Report) Err() error {
	var errs []error
	for _, f := range []struct {
		name string
		f    Comparison
	}{
		{"walk-ins", r.WalkIns},
		{"enriched walk-ins", r.Enriched},
		{"walk-ins counted", r.Counted},
		{"contacts counted", r.Contacts},
	} {
		if !f.f.Equal() {
			errs = append(errs, fmt.Errorf("%s: the oracle has %d, the topics %d, the tables %d", f.name, f.f.Oracle, f.f.Topics, f.f.Tables))
		}
	}
	for _, w := range r.Wrong {
		errs = append(errs, errors.New(w))
	}
	return errors.Join(errs...)
}

// Run reads everything back and computes the report. Of sightings it keeps in
// memory what is heard in an hour or so, of the rest one entry per walk-in.
func Run(ctx context.Context, s Sources) (*Report, error) {
	client, err := kafka.NewClient(kafka.Config{Brokers: s.Brokers, ClientID: "footfall-check"}, kafka.ReadOptions()...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	want, err := expect(ctx, audit.Input{Client: client, Rules: s.Rules, Businesses: s.Businesses})
	if err != nil {
		return nil, fmt.Errorf("what the oracle expects: %w", err)
	}
	r := &Report{}
	info, err := s.Topics.Info(ctx, events.Sightings, 0)
	if err == nil {
		r.Tally, err = detect.SumTallies(ctx, s.Log, info)
	}
	if err != nil {
		return nil, fmt.Errorf("tallies of the visit log: %w", err)
	}
	walkIns, err := r.readVisits(ctx, client)
	if err != nil {
		return nil, err
	}
	r.takeTold(want)
	r.WalkIns = Comparison{want.WalkIns, len(walkIns), int(r.Tally.WalkIns)}
	if r.Enriched, err = r.readEnriched(ctx, client, s.Pending, walkIns); err != nil {
		return nil, err
	}
	r.Enriched.Oracle = want.Enriched
	r.settle(&want.Expected)
	if err := alone(ctx, s.Counts, &want.Expected); err != nil {
		return nil, err
	}
	if err := r.readCounts(ctx, client, s.Counts, want.Counts()); err != nil {
		return nil, err
	}
	slices.Sort(r.Wrong) // maps gave it in any order
	return r, nil
}

// readVisits reads the walk-ins, each id once, and how long they stayed.
func (r *Report) readVisits(ctx context.Context, client *kgo.Client) (map[events.WalkInID]events.WalkIn, error) {
	walkIns := map[events.WalkInID]events.WalkIn{}
	err := readAll(ctx, client, events.WalkIns, events.DecodeWalkIn, func(w events.WalkIn) { walkIns[w.ID] = w })
	if err != nil {
		return nil, err
	}
	lastSeen := map[events.WalkInID]time.Time{}
	r.residents = map[string][]time.Time{}
	err = readAll(ctx, client, events.VisitsEnded, events.DecodeVisitEnded, func(v events.VisitEnded) {
		if v.Resident {
			device := string(events.DeviceKey(v.Business, v.Device))
			r.residents[device] = append(r.residents[device], v.StartedAt)
		}
		_, again := lastSeen[v.ID]
		if _, told := walkIns[v.ID]; !told && !again && !v.Resident {
			r.Wrong = append(r.Wrong, fmt.Sprintf("visit %s of %s/%s ended without a walk-in", v.ID, v.Business, v.Device))
		}
		if v.LastSeenAt.After(lastSeen[v.ID]) {
			lastSeen[v.ID] = v.LastSeenAt
		}
	})
	if err != nil {
		return nil, err
	}
	for id, w := range walkIns {
		last, ended := lastSeen[id]
		if !ended {
			r.Wrong = append(r.Wrong, fmt.Sprintf("walk-in %s of %s/%s never ended", id, w.Business, w.Device))
			last = w.ConfirmedAt
		}
		r.Visits = append(r.Visits, score.FoundVisit{Business: w.Business, Device: w.Device, Start: w.StartedAt, End: last})
	}
	slices.SortFunc(r.Visits, func(a, b score.FoundVisit) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Device, b.Device))
	})
	return walkIns, nil
}

// readEnriched counts the enriched walk-ins on their topic and in the table,
// which is asked for every walk-in that either topic tells.
func (r *Report) readEnriched(ctx context.Context, client *kgo.Client, pending stage.Pending,
	walkIns map[events.WalkInID]events.WalkIn,
) (Comparison, error) {
	told := map[events.WalkInID]events.EnrichedWalkIn{}
	err := readAll(ctx, client, events.EnrichedWalkIns, events.DecodeEnrichedWalkIn, func(e events.EnrichedWalkIn) {
		if former, ok := told[e.ID]; ok && former.Contact != e.Contact {
			r.Wrong = append(r.Wrong, fmt.Sprintf("walk-in %s was told as %s's and as %s's", e.ID, former.Contact, e.Contact))
		}
		told[e.ID] = e
	})
	if err != nil {
		return Comparison{}, err
	}
	for _, e := range told {
		if e.Late {
			r.Late++
		}
		// Of a walk-in that its own topic lost, the table may still know.
		if _, ok := walkIns[e.ID]; !ok {
			walkIns[e.ID] = events.WalkIn{ID: e.ID, Business: e.Business, Device: e.Device, StartedAt: e.StartedAt}
		}
	}
	stored := 0
	for id, w := range walkIns {
		all, err := pending.OfDevice(ctx, stage.IdentityKey{Business: w.Business, Device: w.Device}, w.StartedAt)
		if err != nil {
			return Comparison{}, fmt.Errorf("walk-in %s in the table: %w", id, err)
		}
		if i := slices.IndexFunc(all, func(a stage.Attribution) bool { return a.WalkIn.ID == id }); i >= 0 && all[i].Contact != "" {
			stored++
		}
	}
	return Comparison{Topics: len(told), Tables: stored}, nil
}

// readCounts compares the count of every contact that the oracle or the topic
// knows.
func (r *Report) readCounts(ctx context.Context, client *kgo.Client, counts stage.Counts, want map[string]int) error {
	told := map[stage.CountKey]events.WalkInCount{}
	err := readAll(ctx, client, events.WalkInCounts, events.DecodeWalkInCount, func(c events.WalkInCount) {
		key := stage.CountKey{Business: c.Business, Contact: c.Contact}
		if former, ok := told[key]; !ok || c.Version > former.Version {
			told[key] = c
		}
	})
	if err != nil {
		return err
	}
	r.Contacts = Comparison{Oracle: len(want), Topics: len(told)}
	for name, n := range want {
		r.Counted.Oracle += n
		business, contact, _ := strings.Cut(name, "/")
		key := stage.CountKey{Business: events.BusinessID(business), Contact: events.ContactID(contact)}
		if _, ok := told[key]; !ok {
			told[key] = events.WalkInCount{} // never told: a total of 0
		}
	}
	r.Companions = r.Enriched.Oracle - r.Counted.Oracle
	for key, c := range told {
		if err := r.compareCount(ctx, counts, key, c.Total, want); err != nil {
			return err
		}
	}
	slices.SortFunc(r.TopContacts, func(a, b ContactTotal) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Contact, b.Contact))
	})
	return nil
}

// compareCount holds the total that the topic told of one contact against the
// others.
func (r *Report) compareCount(ctx context.Context, counts stage.Counts, key stage.CountKey, told int64, want map[string]int) error {
	months, err := counts.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("count of %s/%s in the table: %w", key.Business, key.Contact, err)
	}
	stored := int64(0)
	for _, m := range months {
		stored += m.Total
	}
	if stored > 0 {
		r.Contacts.Tables++
	}
	name := string(events.ContactKey(key.Business, key.Contact))
	if n := int64(want[name]); n != told || n != stored {
		r.Wrong = append(r.Wrong, fmt.Sprintf("count of %s: the oracle has %d, the topic %d, the table %d", name, n, told, stored))
	}
	r.Counted.Topics += int(told)
	r.Counted.Tables += int(stored)
	r.TopContacts = append(r.TopContacts, ContactTotal{key.Business, key.Contact, stored})
	return nil
}
