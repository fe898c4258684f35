// Package check compares the results of a run with the results that the oracle
// (shared/presence/oracle) computes from the same input. Input and results are
// read back from the topics and the tables of the run.
//
// Start reading at Run; expect.go has the oracle's side, Report is the outcome.
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

// Sources names the topics and tables in which a run left its input and its
// results.
type Sources struct {
	Brokers []string
	Topics  stage.TopicInfos
	Log     stage.VisitLog
	Pending stage.Pending
	Counts  stage.Counts
	Rules   presence.Rules // of every business that has no rules of its own
	// Businesses holds the rule histories of the businesses that have their own
	// rules.
	Businesses audit.Histories
	// Read, if not nil, is called for every record that is read, with its topic.
	Read func(topic string)
}

// readHook is a hook of the client that passes the topic of each record on.
type readHook func(topic string)

// OnFetchRecordUnbuffered implements kgo.HookFetchRecordUnbuffered.
func (read readHook) OnFetchRecordUnbuffered(r *kgo.Record, _ bool) { read(r.Topic) }

// Comparison is one number from three sources: the oracle, the topics and the
// tables.
type Comparison struct {
	Oracle, Topics, Tables int
}

// Equal reports whether the three sources agree.
func (f Comparison) Equal() bool { return f.Oracle == f.Topics && f.Topics == f.Tables }

// ContactTotal is a contact and the number of its counted walk-ins.
type ContactTotal struct {
	Business events.BusinessID
	Contact  events.ContactID
	Total    int64
}

// Report is the result of a check.
type Report struct {
	Tally    detect.Tally
	WalkIns  Comparison // each id once
	Enriched Comparison
	Counted  Comparison // sum of the counts of all contacts
	// Companions is the number of enriched walk-ins that count as one visit
	// with another walk-in, because two devices of one contact were in the
	// store at once.
	Companions int
	Contacts   Comparison // number of contacts that have a count
	Late       int        // enriched walk-ins whose login came after the walk-in
	// Changed is the number of devices that were near the store while the rules
	// of their business changed. Their walk-ins around the change are taken from
	// the topics and not from the oracle.
	Changed     int
	Wrong       []string
	TopContacts []ContactTotal     // highest total first
	Visits      []score.FoundVisit // of the walk-ins
	// ResidentVisits are the visits of resident devices, which have no walk-in.
	ResidentVisits []score.FoundVisit
	residents      map[string][]time.Time // starts of resident visits, by device key
	// lastSeen is when the device was last seen in each visit that has ended.
	lastSeen map[events.WalkInID]time.Time
}

// Err returns one error for each number on which the sources differ and for
// each entry of Wrong, all joined, or nil if there is none.
func (r *Report) Err() error {
	var errs []error
	for _, f := range []struct {
		name       string
		comparison Comparison
	}{
		{"walk-ins", r.WalkIns},
		{"enriched walk-ins", r.Enriched},
		{"walk-ins counted", r.Counted},
		{"contacts counted", r.Contacts},
	} {
		if !f.comparison.Equal() {
			errs = append(errs, fmt.Errorf("%s: expected (oracle) %d, in topics %d, in tables %d", f.name, f.comparison.Oracle, f.comparison.Topics, f.comparison.Tables))
		}
	}
	for _, w := range r.Wrong {
		errs = append(errs, errors.New(w))
	}
	return errors.Join(errs...)
}

// Run reads the input and the results of a run and returns the report. An error
// means that the check could not be made; differences are in the report. Memory
// holds the sightings of about one hour and one entry per walk-in.
func Run(ctx context.Context, s Sources) (*Report, error) {
	options := kafka.ReadOptions()
	if s.Read != nil {
		options = append(options, kgo.WithHooks(readHook(s.Read)))
	}
	client, err := kafka.NewClient(kafka.Config{Brokers: s.Brokers, ClientID: "footfall-check"}, options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	// Compute the oracle's side from the input topics.
	want, err := expect(ctx, audit.Input{Client: client, Rules: s.Rules, Businesses: s.Businesses})
	if err != nil {
		return nil, fmt.Errorf("computing the walk-ins that the oracle expects: %w", err)
	}
	// Sum the tallies that detect stored with its changelog items.
	r := &Report{}
	info, err := s.Topics.Info(ctx, events.Sightings, 0)
	if err == nil {
		r.Tally, err = detect.SumTallies(ctx, s.Log, info)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tallies of the changelog: %w", err)
	}
	// Read the emitted walk-ins. adoptEmitted completes the oracle's side with
	// those around a change of rules.
	walkIns, err := r.readVisits(ctx, client)
	if err != nil {
		return nil, err
	}
	r.adoptEmitted(want)
	r.WalkIns = Comparison{want.WalkIns, len(walkIns), int(r.Tally.WalkIns)}
	emitted := map[string][]events.EnrichedWalkIn{}
	if r.Enriched, err = r.readEnriched(ctx, client, s.Pending, walkIns, emitted); err != nil {
		return nil, err
	}
	want.attribute(emitted)
	r.Enriched.Oracle = want.Enriched
	// Companions are decided on exact times, so the emitted times are adopted
	// before the counts are compared.
	r.adoptTimes(&want.Expected)
	if err := markIDOnly(ctx, s.Counts, &want.Expected); err != nil {
		return nil, err
	}
	if err := r.readCounts(ctx, client, s.Counts, want.Counts()); err != nil {
		return nil, err
	}
	slices.Sort(r.Wrong) // collected in the order of map iteration, which varies
	return r, nil
}

// readVisits returns the walk-ins on the topic, each id once, and appends their
// visits to r.Visits in order of start. A walk-in that never ended and an end
// without a walk-in are noted in r.Wrong.
func (r *Report) readVisits(ctx context.Context, client *kgo.Client) (map[events.WalkInID]events.WalkIn, error) {
	walkIns := map[events.WalkInID]events.WalkIn{}
	err := readAll(ctx, client, events.WalkIns, events.DecodeWalkIn, func(w events.WalkIn) { walkIns[w.ID] = w })
	if err != nil {
		return nil, err
	}
	// Read the ends of the visits. A visit that continued after its end ends
	// again, so the latest end counts. A resident's visit has an end and no
	// walk-in.
	lastSeen := map[events.WalkInID]time.Time{}
	r.lastSeen = lastSeen
	residents := map[events.WalkInID]events.VisitEnded{}
	r.residents = map[string][]time.Time{}
	err = readAll(ctx, client, events.VisitsEnded, events.DecodeVisitEnded, func(v events.VisitEnded) {
		if v.Resident {
			device := string(events.DeviceKey(v.Business, v.Device))
			r.residents[device] = append(r.residents[device], v.StartedAt)
			residents[v.ID] = v
		}
		_, noted := lastSeen[v.ID]
		if _, emitted := walkIns[v.ID]; !emitted && !noted && !v.Resident {
			r.Wrong = append(r.Wrong, fmt.Sprintf("visit %s of %s/%s ended without a walk-in", v.ID, v.Business, v.Device))
		}
		if v.LastSeenAt.After(lastSeen[v.ID]) {
			lastSeen[v.ID] = v.LastSeenAt
		}
	})
	if err != nil {
		return nil, err
	}
	// Join the walk-ins with their ends. A visit without an end is taken to
	// last until its confirmation, the latest moment that is known.
	for id, w := range walkIns {
		last, ended := lastSeen[id]
		if !ended {
			r.Wrong = append(r.Wrong, fmt.Sprintf("walk-in %s of %s/%s never ended", id, w.Business, w.Device))
			last = w.ConfirmedAt
		}
		r.Visits = append(r.Visits, score.FoundVisit{Business: w.Business, Device: w.Device, Start: w.StartedAt, End: last})
	}
	// A resident device may have had a walk-in before it was learnt or listed.
	for id, v := range residents {
		if _, emitted := walkIns[id]; !emitted {
			r.ResidentVisits = append(r.ResidentVisits, score.FoundVisit{
				Business: v.Business, Device: v.Device, Start: v.StartedAt, End: lastSeen[id], Resident: true,
			})
		}
	}
	for _, visits := range [][]score.FoundVisit{r.Visits, r.ResidentVisits} {
		slices.SortFunc(visits, func(a, b score.FoundVisit) int {
			return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Device, b.Device))
		})
	}
	return walkIns, nil
}

// readEnriched counts the enriched walk-ins on their topic, each id once, and
// those with a contact in the pending table. It looks up every walk-in that the
// topic of walk-ins or the topic of enriched walk-ins holds, and adds the enriched
// walk-ins to emitted, by device.
func (r *Report) readEnriched(ctx context.Context, client *kgo.Client, pending stage.Pending,
	walkIns map[events.WalkInID]events.WalkIn, emitted map[string][]events.EnrichedWalkIn,
) (Comparison, error) {
	onTopic := map[events.WalkInID]events.EnrichedWalkIn{}
	err := readAll(ctx, client, events.EnrichedWalkIns, events.DecodeEnrichedWalkIn, func(e events.EnrichedWalkIn) {
		if former, ok := onTopic[e.ID]; ok && former.Contact != e.Contact {
			r.Wrong = append(r.Wrong, fmt.Sprintf("walk-in %s was attributed to contact %s and to contact %s", e.ID, former.Contact, e.Contact))
		}
		// A retry may produce an older record behind a newer one.
		if former, ok := onTopic[e.ID]; !ok || e.Newer(&former) {
			onTopic[e.ID] = e
		}
	})
	if err != nil {
		return Comparison{}, err
	}
	// Count the late ones, and add to the look-ups each walk-in that is missing
	// from its own topic: the table may still hold its attribution.
	for _, e := range onTopic {
		if e.Late {
			r.Late++
		}
		r.compareEnd(&e)
		device := string(events.DeviceKey(e.Business, e.Device))
		emitted[device] = append(emitted[device], e)
		if _, ok := walkIns[e.ID]; !ok {
			walkIns[e.ID] = events.WalkIn{ID: e.ID, Business: e.Business, Device: e.Device, StartedAt: e.StartedAt}
		}
	}
	// Count the walk-ins for which the table holds a contact.
	stored := 0
	for id, w := range walkIns {
		all, err := pending.OfDevice(ctx, stage.IdentityKey{Business: w.Business, Device: w.Device}, w.StartedAt)
		if err != nil {
			return Comparison{}, fmt.Errorf("reading walk-in %s from the pending table: %w", id, err)
		}
		if i := slices.IndexFunc(all, func(a stage.Attribution) bool { return a.WalkIn.ID == id }); i >= 0 && all[i].Contact != "" {
			stored++
		}
	}
	return Comparison{Topics: len(onTopic), Tables: stored}, nil
}

// compareEnd compares the end of a visit in its enriched walk-in of the highest
// version with the end on visits-ended.
func (r *Report) compareEnd(e *events.EnrichedWalkIn) {
	last, ended := r.lastSeen[e.ID]
	if !ended {
		return // readVisits has noted that the walk-in never ended
	}
	switch end := e.StartedAt.Add(time.Duration(e.DwellMillis) * time.Millisecond); {
	case !e.Ended:
		r.Wrong = append(r.Wrong, fmt.Sprintf("enriched walk-in %s: its highest version does not say that the visit ended at %s", e.ID, last.UTC().Format(time.RFC3339)))
	case !end.Equal(last):
		r.Wrong = append(r.Wrong, fmt.Sprintf("enriched walk-in %s: its highest version ends the visit at %s, and visits-ended at %s", e.ID, end.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339)))
	}
}

// readCounts compares the count of every contact for which the oracle or the
// topic has a count.
func (r *Report) readCounts(ctx context.Context, client *kgo.Client, counts stage.Counts, want map[string]int) error {
	onTopic := map[stage.CountKey]events.WalkInCount{}
	// Keep the newest version of each contact's count. An older version may
	// stand behind it: a redelivered batch produces its counts again.
	err := readAll(ctx, client, events.WalkInCounts, events.DecodeWalkInCount, func(c events.WalkInCount) {
		key := stage.CountKey{Business: c.Business, Contact: c.Contact}
		if former, ok := onTopic[key]; !ok || c.Version > former.Version {
			onTopic[key] = c
		}
	})
	if err != nil {
		return err
	}
	// Sum the oracle's counts, and add each contact that the topic does not
	// have.
	r.Contacts = Comparison{Oracle: len(want), Topics: len(onTopic)}
	for name, n := range want {
		r.Counted.Oracle += n
		business, contact, _ := strings.Cut(name, "/")
		key := stage.CountKey{Business: events.BusinessID(business), Contact: events.ContactID(contact)}
		if _, ok := onTopic[key]; !ok {
			onTopic[key] = events.WalkInCount{} // no count on the topic: a total of 0
		}
	}
	r.Companions = r.Enriched.Oracle - r.Counted.Oracle
	// Compare contact by contact with the table.
	for key, c := range onTopic {
		if err := r.compareCount(ctx, counts, key, c.Total, want); err != nil {
			return err
		}
	}
	slices.SortFunc(r.TopContacts, func(a, b ContactTotal) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Contact, b.Contact))
	})
	return nil
}

// compareCount compares a contact's total on the topic with its total in the
// table, which is the sum of its months, and with the oracle's total in want.
// It adds the contact to the sums and to r.TopContacts.
func (r *Report) compareCount(ctx context.Context, counts stage.Counts, key stage.CountKey, total int64, want map[string]int) error {
	months, err := counts.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("reading the count of %s/%s from the table: %w", key.Business, key.Contact, err)
	}
	stored := int64(0)
	for _, m := range months {
		stored += m.Total
	}
	if stored > 0 {
		r.Contacts.Tables++
	}
	name := string(events.ContactKey(key.Business, key.Contact))
	if n := int64(want[name]); n != total || n != stored {
		r.Wrong = append(r.Wrong, fmt.Sprintf("count of %s: expected (oracle) %d, on the topic %d, in the table %d", name, n, total, stored))
	}
	r.Counted.Topics += int(total)
	r.Counted.Tables += int(stored)
	r.TopContacts = append(r.TopContacts, ContactTotal{key.Business, key.Contact, stored})
	return nil
}
