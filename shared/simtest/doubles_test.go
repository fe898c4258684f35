package simtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// The doubles of detect, enrich and the sink, and of the changelog.

// overwrittenLog stores a changelog item also if its sequence number is taken.
type overwrittenLog struct {
	chains map[string]map[int64][]byte
}

func newOverwrittenLog() *overwrittenLog { return &overwrittenLog{map[string]map[int64][]byte{}} }

// Last returns the item with the highest sequence number.
func (l *overwrittenLog) Last(_ context.Context, chain string, _ bool) (stage.LogItem, bool, error) {
	last := int64(-1)
	for seq := range l.chains[chain] {
		last = max(last, seq)
	}
	return stage.LogItem{Seq: last, Data: l.chains[chain][last]}, last >= 0, nil
}

// Read returns the items from one sequence number to another.
func (l *overwrittenLog) Read(_ context.Context, chain string, from, to int64, _ bool) ([]stage.LogItem, error) {
	var all []stage.LogItem
	for _, seq := range slices.Sorted(maps.Keys(l.chains[chain])) {
		if from <= seq && seq <= to {
			all = append(all, stage.LogItem{Seq: seq, Data: l.chains[chain][seq]})
		}
	}
	return all, nil
}

// Append overwrites.
func (l *overwrittenLog) Append(_ context.Context, chain string, item stage.LogItem, _ time.Time) error {
	if l.chains[chain] == nil {
		l.chains[chain] = map[int64][]byte{}
	}
	l.chains[chain][item.Seq] = item.Data
	return nil
}

// newDetect returns the real stage detect over these ports.
func newDetect(w *world, log stage.VisitLog, topics stage.TopicInfos, out stage.Producer) stage.Handler {
	return detect.New(detect.Deps{Log: log, Topics: topics, Out: out, Rules: w.rules})
}

// producesAfterAppend holds records back until the changelog item is stored. A
// crash in between loses them.
type producesAfterAppend struct{ *ports }

// heldKey is the key of the records that the batch holds back.
const heldKey contextKey = "records held back"

// Produce holds the records back.
func (h producesAfterAppend) Produce(ctx context.Context, records []stage.Record) error {
	held := batchValue[[]stage.Record](ctx, heldKey)
	*held = append(*held, records...)
	return nil
}

// Append appends, and then produces the records.
func (h producesAfterAppend) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	if err := h.ports.Append(ctx, chain, item, expires); err != nil {
		return err
	}
	return h.release(ctx, batchValue[[]stage.Record](ctx, heldKey))
}

// release produces the records that are held back.
func (h producesAfterAppend) release(ctx context.Context, held *[]stage.Record) error {
	if len(*held) == 0 {
		return nil
	}
	records := *held
	*held = nil
	return h.ports.Produce(ctx, records)
}

// stateBeforeProduce returns detect with producesAfterAppend.
func stateBeforeProduce(w *world, e *env) stage.Handler {
	h := producesAfterAppend{e.ports}
	return perBatch(heldKey, newDetect(w, h, h, h), h.release)
}

// appendsAnywhere appends under the next free sequence number, although another
// environment has written items since the state was read.
type appendsAnywhere struct{ *ports }

// Append tries one sequence number after another.
func (n appendsAnywhere) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	for {
		err := n.ports.Append(ctx, chain, item, expires)
		if !errors.Is(err, stage.ErrConflict) || chain == "generations/"+events.Sightings {
			return err
		}
		item.Seq++
	}
}

// decidesBehindTheLog returns detect with appendsAnywhere.
func decidesBehindTheLog(w *world, e *env) stage.Handler {
	return newDetect(w, appendsAnywhere{e.ports}, e.ports, e.ports)
}

// withoutTopicIDs hides that a topic was created again.
type withoutTopicIDs struct{ *ports }

// Info returns the name of the topic in place of its id.
func (s withoutTopicIDs) Info(ctx context.Context, name string, maxAge time.Duration) (stage.TopicInfo, error) {
	info, err := s.ports.Info(ctx, name, maxAge)
	info.ID = name
	return info, err
}

// ignoresTopicEpochs returns detect with withoutTopicIDs.
func ignoresTopicEpochs(w *world, e *env) stage.Handler {
	return newDetect(w, e.ports, withoutTopicIDs{e.ports}, e.ports)
}

// withRandomIDs replaces the id of each walk-in by an id that is not computed from
// data alone.
type withRandomIDs struct{ *ports }

// Produce replaces the ids.
func (n withRandomIDs) Produce(ctx context.Context, records []stage.Record) error {
	all := slices.Clone(records)
	for i, r := range all {
		e, err := events.DecodeWalkIn(r.Key, r.Value)
		if err != nil || r.Topic != events.WalkIns {
			continue
		}
		e.ID = events.NewWalkInID(e.Business, e.Device, time.UnixMilli(int64(n.w.calls)))
		if all[i].Value, err = events.Encode(nil, &e); err != nil {
			return err
		}
	}
	return n.ports.Produce(ctx, all)
}

// randomIDs returns detect with withRandomIDs.
func randomIDs(w *world, e *env) stage.Handler {
	return newDetect(w, e.ports, e.ports, withRandomIDs{e.ports})
}

// oneLook lets enrich read the identities once per batch. Its second look, after
// the write, finds nothing.
type oneLook struct{ *ports }

// lookedKey is the key of the flag that enrich has read the identities.
const lookedKey contextKey = "whether enrich has looked"

// Devices returns empty histories after the first call.
func (s oneLook) Devices(ctx context.Context, keys []stage.IdentityKey) ([]presence.History, []int64, error) {
	looked := batchValue[bool](ctx, lookedKey)
	if *looked {
		return make([]presence.History, len(keys)), make([]int64, len(keys)), nil
	}
	*looked = true
	return s.ports.Devices(ctx, keys)
}

// noSecondLook returns enrich with oneLook.
func noSecondLook(_ *world, e *env) stage.Handler {
	s := oneLook{e.ports}
	return perBatch[bool](lookedKey, stage.NewEnrich(stage.EnrichDeps{Identities: s, Pending: s, Out: s}), nil)
}

// lastWins is a sink that keeps the record that comes last.
type lastWins struct{ sink }

// Handle stores a batch without a comparison of versions.
func (s *lastWins) Handle(ctx context.Context, b stage.Batch) error {
	for _, r := range b.Records {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			return err
		}
		err = s.w.call(ctx, call{port: "sink", op: "upsert", key: string(events.ContactKey(c.Business, c.Contact)), n: c.Version, write: true, do: func() error {
			s.w.sinkTable[stage.CountKey{Business: c.Business, Contact: c.Contact}] = c
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
