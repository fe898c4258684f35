package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Input holds the sources and the rules of a recount.
type Input struct {
	Client      *kgo.Client    // with kafka.ReadOptions
	Rules       presence.Rules // of a business without rules of its own
	DeadLetters *DeadLetters
	OnRecord    func(*kgo.Record) // called for every record read; may be nil
	// OnDamage is called for each unreadable range of offsets; may be nil.
	OnDamage   func(skipped kafka.OffsetRange, err error)
	Businesses Histories
}

func (in *Input) progress(r *kgo.Record) {
	if in.OnRecord != nil {
		in.OnRecord(r)
	}
}

// read reads a range and continues after damaged batches. An operator moves the
// stages past a damaged batch, so its records have no effect on the counts.
func (in *Input) read(ctx context.Context, r kafka.OffsetRange, each func(*kgo.Record) error) error {
	return kafka.ReadAround(ctx, in.Client, r, each, func(skipped kafka.OffsetRange, err error) {
		if in.OnDamage != nil {
			in.OnDamage(skipped, err)
		}
	})
}

// Options are the options of an audit. Client, Rules and Counts are required.
type Options struct {
	Client *kgo.Client    // with kafka.ReadOptions
	Rules  presence.Rules // of a business without rules of its own
	Counts Table
	// Identities holds which contacts were forgotten. nil means none.
	Identities Contacts
	// Businesses holds the rules of businesses with rules of their own.
	Businesses Histories
	// From and To limit the starts of the walk-ins compared: at or after From,
	// before To. A zero time is no limit.
	From, To time.Time
	// Progress is called now and then with the number of records read so far, the
	// number of all records, and the present topic; may be nil.
	Progress func(done, total int64, topic string)
}

// Run recounts the walk-ins of a range of time and compares them with the table.
//
// Run may be used on a live system. It reads enriched-walk-ins and walk-in-counts,
// then the table, then the records produced on the two topics meanwhile. A walk-in
// is produced before the stage count adds the walk-in to the table, so the second
// reading contains every walk-in of the table. A walk-in that only the second
// reading contains is no difference.
func Run(ctx context.Context, o Options) (*Report, error) {
	in := Input{Client: o.Client, Rules: o.Rules, Businesses: o.Businesses}
	progress, err := o.progress(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	in.OnRecord = progress
	a := &audit{report: &Report{From: o.From, To: o.To}, unlimited: o.From.IsZero() && o.To.IsZero()}
	in.OnDamage = func(skipped kafka.OffsetRange, err error) {
		a.report.note("%s: offsets %d to %d cannot be read and are left out: %v", skipped, skipped.From, skipped.To-1, err)
	}
	a.in = in

	// Read everything, compare, then leave out the forgotten contacts.
	if err := a.readAll(ctx, o); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	a.compare()
	if err := a.leaveOutForgotten(ctx, o.Identities); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return a.report, nil
}

// progress returns a function that counts records for o.Progress. The total includes
// all records of the topics, although a limited range needs only a part.
func (o *Options) progress(ctx context.Context) (func(*kgo.Record), error) {
	if o.Progress == nil {
		return nil, nil
	}
	ranges, err := kafka.ListOffsetRanges(ctx, o.Client, events.Sightings, events.EnrichedWalkIns, events.WalkInCounts)
	if err != nil {
		return nil, err
	}
	var done, total int64
	for _, r := range ranges {
		total += r.Len()
	}
	return func(r *kgo.Record) {
		if done++; done%1000 == 0 {
			o.Progress(min(done, total), total, r.Topic)
		}
	}, nil
}

// audit is the state of one Run.
type audit struct {
	in        Input
	report    *Report
	unlimited bool // Options has neither From nor To
	limits    timeRange

	// The content of the topics and of the table. totalsBefore is the content of
	// walk-in-counts before the table was read, and totals the content afterwards.
	crm          *CRM
	produced     *producedWalkIns
	ends         *visitEnds
	stored       *stored
	totalsBefore map[stage.CountKey]events.WalkInCount
	totals       totals

	// The results of the recount.
	expected     []expectedWalkIn
	coverage     []Coverage           // by partition of sightings
	uncertain    map[string]intervals // the times of uncertain visits, by device
	rulesChanged int                  // devices heard during a change of rules
	// Produced walk-ins whose visit the recount has found: with an uncertain contact,
	// and without a contact.
	contactUncertain, unattributed map[*producedWalkIn]bool
}

// expectedWalkIn is a recounted walk-in that the table must contain.
type expectedWalkIn struct {
	device, contact string // record keys, "business/device" and "business/contact"
	start, last     time.Time
}

// interval is the time between two moments, both included.
type interval struct{ from, to time.Time }

// readAll reads all topics and the table, in the order that Run describes.
func (a *audit) readAll(ctx context.Context, o Options) (err error) {
	// Dead letters come first, since the other readers leave out dead letters.
	if a.in.DeadLetters, err = ReadDeadLetters(ctx, a.in); err != nil {
		return err
	}
	a.report.DeadLetters = len(a.in.DeadLetters.records)
	if n := a.in.DeadLetters.unplaced; n > 0 {
		a.report.note("%d dead letters lack the position of their record: walk-ins that need these records are listed as missing", n)
	}

	// The beginning of enriched-walk-ins may raise the lower limit, so read this topic
	// before the others.
	if a.produced, err = readProduced(ctx, a.in, timeRange{o.From, o.To}); err != nil {
		return err
	}
	a.setLimits(o)
	if a.crm, err = ReadCRM(ctx, a.in); err != nil {
		return err
	}
	a.produced.limits = a.limits
	if a.ends, err = readEnds(ctx, a.in, a.limits); err != nil {
		return err
	}
	if err := a.recountSightings(ctx); err != nil {
		return err
	}

	// Read the table between two readings of both topics; see Run.
	if err := a.totals.readOn(ctx, a.in); err != nil {
		return err
	}
	a.totalsBefore = maps.Clone(a.totals.latest)
	if a.stored, err = readStored(ctx, o.Counts, a.limits); err != nil {
		return err
	}
	if err := a.produced.readOn(ctx, a.in); err != nil {
		return err
	}
	return a.totals.readOn(ctx, a.in)
}

// setLimits sets the range of the audit. If retention has dropped the beginning of
// enriched-walk-ins, the range begins with the first complete time: the ids of
// earlier walk-ins are not known.
func (a *audit) setLimits(o Options) {
	a.limits = timeRange{o.From, o.To}
	if since := a.produced.since; !since.IsZero() && a.limits.from.Before(since) {
		a.limits.from = since
		a.report.From = since
		a.report.note("%s is complete from %s on: earlier walk-ins are not compared", events.EnrichedWalkIns, since.UTC().Format(time.RFC3339))
	}
}

// recountSightings finds the walk-ins that the table must contain.
func (a *audit) recountSightings(ctx context.Context) error {
	ranges, err := kafka.ListOffsetRanges(ctx, a.in.Client, events.Sightings)
	if err != nil {
		return err
	}
	a.uncertain = map[string]intervals{}
	a.contactUncertain, a.unattributed = map[*producedWalkIn]bool{}, map[*producedWalkIn]bool{}

	// Settled becomes the earliest end of all coverages, and since the latest
	// beginning.
	var since time.Time
	for _, r := range ranges {
		covered, err := Recount(ctx, a.in, r, a.limits.from, a.limits.to, a.addVisit)
		if err != nil {
			return err
		}
		a.coverage = append(a.coverage, covered)
		if until := covered.Until; !until.IsZero() && (a.report.Settled.IsZero() || until.Before(a.report.Settled)) {
			a.report.Settled = until
		}
		if covered.Since.After(since) {
			since = covered.Since
		}
	}

	// Note the walk-ins that were not recounted.
	if a.rulesChanged > 0 {
		a.report.note("rules changed while %d devices were heard: their walk-ins around the change are taken from %s", a.rulesChanged, events.EnrichedWalkIns)
	}
	switch {
	case !since.After(a.limits.from):
	case since.Before(never):
		a.report.note("%s can be recounted from %s on: earlier walk-ins are taken from %s", events.Sightings, since.UTC().Format(time.RFC3339), events.EnrichedWalkIns)
	default:
		a.report.note("%s cannot be recounted in at least one partition: its walk-ins are taken from %s", events.Sightings, events.EnrichedWalkIns)
	}
	return nil
}

// addVisit adds a visit of the recount. If the CRM topics attribute the device
// to a contact, the visit is an expected walk-in.
func (a *audit) addVisit(v Visit) {
	if v.Uncertain {
		a.uncertain[v.Device] = append(a.uncertain[v.Device], interval{v.Start, v.Until})
		if v.RulesChanged {
			a.rulesChanged++
		}
		return
	}
	if v.MaybeResident && a.producedAsResident(v) {
		return
	}
	a.report.Visits++
	contact, certain := a.crm.Attribute(v.Device, v.Start)
	p := a.produced.find(v.Device, v.Start)
	if certain && p != nil {
		// The attribution may have been decided before an event of the backfill arrived.
		got := string(events.ContactKey(p.contact.Business, p.contact.Contact))
		certain = got == contact || !a.crm.Explains(v.Device, []time.Time{v.Start}, 0, got)
	}
	if certain && contact != "" {
		a.expected = append(a.expected, expectedWalkIn{v.Device, contact, v.Start, v.Last})
		return
	}
	// The visit has no contact, or an uncertain contact. If a walk-in was produced for
	// the visit, remember the reason.
	switch {
	case p == nil:
	case certain:
		a.unattributed[p] = true
	default:
		a.contactUncertain[p] = true
	}
}

// producedAsResident reports whether visits-ended holds the visit as a visit of a
// resident device.
func (a *audit) producedAsResident(v Visit) bool {
	return slices.ContainsFunc(a.ends.residents[v.Device], func(start time.Time) bool {
		return start.Sub(v.Start).Abs() <= presence.Grid
	})
}
