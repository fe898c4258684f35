// Package audit recounts walk-ins from the topics, apart from the stages that
// counted them, and says where the table counts and the topic walk-in-counts
// differ. It reads the rules with the oracle.
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

// Input is what a recount reads with.
type Input struct {
	Client      *kgo.Client    // with kafka.ReadOptions
	Rules       presence.Rules // of a business without any of its own
	DeadLetters *DeadLetters
	OnRecord    func(*kgo.Record) // is told every record; nil for nobody
	// OnDamage is told which offsets no client can read; nil for nobody.
	OnDamage   func(left kafka.OffsetRange, err error)
	Businesses Histories
}

func (in *Input) progress(r *kgo.Record) {
	if in.OnRecord != nil {
		in.OnRecord(r)
	}
}

// read reads a span around damaged batches. A stage is moved past those by hand,
// so they count for nothing there either.
func (in *Input) read(ctx context.Context, s kafka.OffsetRange, each func(*kgo.Record) error) error {
	return kafka.ReadAround(ctx, in.Client, s, each, func(left kafka.OffsetRange, err error) {
		if in.OnDamage != nil {
			in.OnDamage(left, err)
		}
	})
}

// Options of an audit. Client, Rules and Counts are needed.
type Options struct {
	Client *kgo.Client    // with kafka.ReadOptions
	Rules  presence.Rules // of a business without any of its own
	Counts Table
	// Identities tell who was forgotten; nil where nobody was.
	Identities Contacts
	// Businesses are the others.
	Businesses Histories
	// From and To bound the starts of the walk-ins: from From on, before To. A
	// zero time leaves that side open.
	From, To time.Time
	Progress func(done, total int64, topic string) // of records; nil for nobody
}

// Run recounts and compares. It reads what was told before the table and then
// what was told since: whatever the table held was told by then, so on a live
// system walk-ins that are counted meanwhile are no differences.
func Run(ctx context.Context, o Options) (*Report, error) {
	in := Input{Client: o.Client, Rules: o.Rules, Businesses: o.Businesses}
	progress, err := o.progress(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	in.OnRecord = progress
	a := &audit{report: &Report{From: o.From, To: o.To}, whole: o.From.IsZero() && o.To.IsZero()}
	in.OnDamage = func(left kafka.OffsetRange, err error) {
		a.report.note("%s: offsets %d to %d cannot be read and are left out: %v", left, left.From, left.To-1, err)
	}
	a.in = in
	if err := a.look(ctx, o); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	a.compare()
	if err := a.forgotten(ctx, o.Identities); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return a.report, nil
}

// progress counts the records that are read against all there are, some of which
// a range does not need.
func (o *Options) progress(ctx context.Context) (func(*kgo.Record), error) {
	if o.Progress == nil {
		return nil, nil
	}
	spans, err := kafka.ListOffsetRanges(ctx, o.Client, events.Sightings, events.EnrichedWalkIns, events.WalkInCounts)
	if err != nil {
		return nil, err
	}
	var done, total int64
	for _, s := range spans {
		total += s.Len()
	}
	return func(r *kgo.Record) {
		if done++; done%1000 == 0 {
			o.Progress(min(done, total), total, r.Topic)
		}
	}, nil
}

// audit is the state of a Run.
type audit struct {
	in     Input
	report *Report
	whole  bool // no range was asked for
	months months

	crm    *CRM
	told   *told
	stored *stored
	// When visits of residents began, by device, as visits-ended tells it.
	residents map[string][]time.Time
	// What was told before the table was read, and after.
	before map[stage.CountKey]events.WalkInCount
	totals totals

	wanted  []wanted
	changed int                // devices heard around a change of rules
	unsure  map[string]windows // devices
	known   []Coverage         // by partition of sightings
	// Walk-ins that were told, of which the recount found the visit: those of
	// which the CRM topics do not say enough, and those that they say are nobody's.
	open, nobodys map[*toldWalkIn]bool
}

// wanted is a walk-in that must have been counted.
type wanted struct {
	device, contact string
	start, last     time.Time
}

// window is a run of time.
type window struct{ from, to time.Time }

// look reads everything, in the order that Run needs.
func (a *audit) look(ctx context.Context, o Options) (err error) {
	if a.in.DeadLetters, err = ReadDeadLetters(ctx, a.in); err != nil {
		return err
	}
	a.report.DeadLetters = len(a.in.DeadLetters.records)
	if n := a.in.DeadLetters.unknown; n > 0 {
		a.report.note("%d dead letters do not tell where their records were: what those would have brought is listed as missing", n)
	}
	if a.told, err = readTold(ctx, a.in, months{o.From, o.To}); err != nil {
		return err
	}
	a.bound(o)
	if a.crm, err = ReadCRM(ctx, a.in); err != nil {
		return err
	}
	a.told.months = a.months
	if a.residents, err = readResidents(ctx, a.in, a.months); err != nil {
		return err
	}
	if err := a.recount(ctx); err != nil {
		return err
	}
	if err := a.totals.readOn(ctx, a.in); err != nil {
		return err
	}
	a.before = maps.Clone(a.totals.latest)
	if a.stored, err = readStored(ctx, o.Counts, a.months); err != nil {
		return err
	}
	if err := a.told.readOn(ctx, a.in); err != nil {
		return err
	}
	return a.totals.readOn(ctx, a.in)
}

// bound moves the beginning of the range to where enriched-walk-ins goes back
// to: of earlier walk-ins nobody knows which id they were told as.
func (a *audit) bound(o Options) {
	a.months = months{o.From, o.To}
	if since := a.told.since; !since.IsZero() && a.months.from.Before(since) {
		a.months.from = since
		a.report.From = since
		a.report.note("%s goes back to %s: what is before that is not compared", events.EnrichedWalkIns, since.UTC().Format(time.RFC3339))
	}
}

// recount finds the walk-ins that must have been counted.
func (a *audit) recount(ctx context.Context) error {
	spans, err := kafka.ListOffsetRanges(ctx, a.in.Client, events.Sightings)
	if err != nil {
		return err
	}
	a.unsure = map[string]windows{}
	a.open, a.nobodys = map[*toldWalkIn]bool{}, map[*toldWalkIn]bool{}
	var since time.Time
	for _, s := range spans {
		known, err := Recount(ctx, a.in, s, a.months.from, a.months.to, a.found)
		if err != nil {
			return err
		}
		a.known = append(a.known, known)
		if until := known.Until; !until.IsZero() && (a.report.Settled.IsZero() || until.Before(a.report.Settled)) {
			a.report.Settled = until
		}
		if known.Since.After(since) {
			since = known.Since
		}
	}
	if a.changed > 0 {
		a.report.note("rules changed while %d devices were about: their walk-ins around that are those of %s", a.changed, events.EnrichedWalkIns)
	}
	if since.After(a.months.from) {
		at := "not far enough in every partition"
		if since.Before(never) {
			at = "to " + since.UTC().Format(time.RFC3339)
		}
		a.report.note("%s goes back %s: before that, walk-ins are those of %s", events.Sightings, at, events.EnrichedWalkIns)
	}
	return nil
}

// found takes in a visit.
func (a *audit) found(v Visit) {
	if v.Uncertain {
		a.unsure[v.Device] = append(a.unsure[v.Device], window{v.Start, v.Until})
		if v.RulesChanged {
			a.changed++
		}
		return
	}
	if v.MaybeResident && a.resident(v) {
		return
	}
	a.report.Visits++
	contact, sure := a.crm.Attribute(v.Device, v.Start)
	if sure && contact != "" {
		a.wanted = append(a.wanted, wanted{v.Device, contact, v.Start, v.Last})
		return
	}
	switch t := a.told.find(v.Device, v.Start); {
	case t == nil:
	case sure:
		a.nobodys[t] = true
	default:
		a.open[t] = true
	}
}

// resident takes the word of visits-ended for a visit that may be a resident's.
func (a *audit) resident(v Visit) bool {
	return slices.ContainsFunc(a.residents[v.Device], func(start time.Time) bool {
		return start.Sub(v.Start).Abs() <= presence.Grid
	})
}
