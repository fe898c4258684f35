package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// outcome is how a call ended.
type outcome int

const (
	done     outcome = iota
	conflict         // the condition failed; the item in the way may be from an earlier attempt of the call
	unknown          // failed: the table applied the call, or will apply it, or never does
)

// classify returns the outcome of a call that returned err.
func classify(err error) outcome {
	switch {
	case err == nil:
		return done
	case errors.Is(err, stage.ErrConflict):
		return conflict
	default:
		return unknown
	}
}

// op is a call as the models see it.
type op struct {
	read    bool
	n       int64  // of a write: the sequence number, or the version of the condition
	text    string // of a write: the text to store
	outcome outcome
	out     string // of a read: the result
}

// step is a model: it returns the state after a call, and whether the call can have
// its outcome in the state before. A call with an unknown outcome may never have
// been applied. That needs no case of its own: such a call has no end in the
// history, so it can be applied after all others.
type step func(state string, o op) (ok bool, next string)

// appendStep models a changelog. The state is the items in their order, each
// followed by a comma. If an append returned a conflict, either the sequence number
// was taken, or an earlier attempt of the append took it and its answer was lost.
func appendStep(state string, o op) (bool, string) {
	items := int64(0)
	for _, c := range state {
		if c == ',' {
			items++
		}
	}
	if o.read {
		return o.out == state, state
	}
	switch free := o.n == items; {
	case free:
		return true, state + o.text + ","
	default: // taken; the test appends nothing that leaves a gap
		return o.outcome != done && o.n < items, state
	}
}

// versionStep models an item with a version. The state is "version text".
func versionStep(state string, o op) (bool, string) {
	if o.read {
		return o.out == state, state
	}
	var version int64
	if state != "" {
		if _, err := fmt.Sscan(state, &version); err != nil {
			return false, state
		}
	}
	if o.n == version {
		return true, fmt.Sprint(version+1, " ", o.text)
	}
	return o.outcome != done, state
}

// countStep models a count. The state is the ids, sorted; a read returns how many
// there are. An Add never returns a conflict.
func countStep(state string, o op) (bool, string) {
	if o.read {
		return o.out == fmt.Sprint(len(state)), state
	}
	ids := slices.Sorted(slices.Values([]rune(state + o.text)))
	return o.outcome != conflict, string(slices.Compact(ids))
}

// linearizable reports whether, by the model, the calls can have been applied one
// after the other, each between its beginning and its end.
func linearizable(t *testing.T, model step, calls []porcupine.Operation) bool {
	t.Helper()
	m := porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, _, output any) (bool, any) { return model(state.(string), output.(op)) },
	}
	switch porcupine.CheckOperationsTimeout(m, calls, time.Minute) {
	case porcupine.Ok:
		return true
	case porcupine.Illegal:
		return false
	default:
		t.Fatalf("a history of %d calls could not be checked within a minute", len(calls))
		return false
	}
}

// recorder collects the calls of several clients.
type recorder struct {
	clock atomic.Int64
	mu    sync.Mutex
	calls []porcupine.Operation
}

// call does and records one call. A write with an unknown outcome has no end.
func (r *recorder) call(client int, do func() op) {
	began := r.clock.Add(1)
	o := do()
	ended := r.clock.Add(1)
	if o.outcome == unknown {
		if o.read {
			return // a read that failed has no result to check
		}
		ended = math.MaxInt64
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, porcupine.Operation{ClientId: client, Call: began, Output: o, Return: ended})
}

// subject is a kind of write to check. call does the nth call of client who on one
// item: a read, or a write.
type subject struct {
	name  string
	model step
	free  bool // the writes have no condition
	call  func(ctx context.Context, client *dynamodb.Client, prefix string, who, n int, dice *rand.Rand) op
}

var subjects = []subject{
	{"Append on a chain", appendStep, false, func(ctx context.Context, c *dynamodb.Client, prefix string, who, n int, dice *rand.Rand) op {
		log := NewVisitLog(c, prefix)
		items, err := log.Read(ctx, "chain", 0, 1000, true)
		if err != nil || dice.IntN(3) == 0 {
			text := ""
			for _, i := range items {
				text += string(i.Data) + ","
			}
			return op{read: true, outcome: classify(err), out: text}
		}
		o := op{n: int64(len(items)), text: fmt.Sprint(who, ".", n)}
		if len(items) > 0 && dice.IntN(4) == 0 {
			o.n-- // as a client that read an earlier state
		}
		o.outcome = classify(log.Append(ctx, "chain", stage.LogItem{Seq: o.n, Data: []byte(o.text)}, noon))
		return o
	}},
	{"PutDevice on a version", versionStep, false, func(ctx context.Context, c *dynamodb.Client, prefix string, who, n int, dice *rand.Rand) op {
		identities := NewIdentities(c, prefix)
		h, v, err := identities.Devices(ctx, []stage.IdentityKey{phone})
		if err != nil || dice.IntN(3) == 0 {
			text := ""
			if err == nil && v[0] > 0 {
				text = fmt.Sprint(v[0], " ", h[0].Bindings[0].Contact)
			}
			return op{read: true, outcome: classify(err), out: text}
		}
		o := op{n: v[0], text: fmt.Sprint(who, ".", n)}
		next := presence.History{Bindings: []presence.Binding{{Contact: o.text, From: noon}}}
		o.outcome = classify(identities.PutDevice(ctx, phone, next, o.n))
		return o
	}},
	{"Add to a count", countStep, true, func(ctx context.Context, c *dynamodb.Client, prefix string, who, n int, dice *rand.Rand) op {
		counts := NewCounts(c, prefix)
		if dice.IntN(3) == 0 {
			months, err := counts.Get(ctx, anna)
			total := int64(0)
			for _, m := range months {
				total += m.Total
			}
			return op{read: true, outcome: classify(err), out: fmt.Sprint(total)}
		}
		var ids []events.WalkInID
		o := op{}
		for _, i := range dice.Perm(20)[:1+dice.IntN(3)] { // other clients add some of the ids too
			o.text += string(rune('a' + i))
			ids = append(ids, events.WalkInID(fmt.Sprintf("%032x", i)))
		}
		o.outcome = classify(counts.Add(ctx, anna, "2026-11", began(ids...)))
		return o
	}},
}

// history returns the calls of several clients at once, through a proxy that makes
// every third request or so fail.
func (s subject) history(t *testing.T, seed uint64, set ...func(*proxy)) []porcupine.Operation {
	const clients, calls = 4, 12
	_, prefix := tables(t)
	spoil := []fault{hangUp, loseAnswer, loseAnswer, cutAnswer, throttle, throttleTable, throttleAccount, internalError}
	dice := rand.New(rand.NewPCG(seed, 0))
	_, client := newProxy(t, append(set, func(p *proxy) {
		p.chance = func() fault {
			if dice.IntN(3) > 0 {
				return nil
			}
			return spoil[dice.IntN(len(spoil))]
		}
	})...)
	var r recorder
	var wg sync.WaitGroup
	for who := range clients {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(seed, uint64(who+1)))
			for n := range calls {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if dice.IntN(4) == 0 { // too little time for a second attempt
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), 15*time.Millisecond)
				}
				r.call(who, func() op { return s.call(ctx, client, prefix, who, n, dice) })
				cancel()
			}
		})
	}
	wg.Wait()
	return r.calls
}

// The results of concurrent clients can be explained by calls that were applied one
// after the other, whichever requests and answers were lost.
func TestHistoriesAreLinearizable(t *testing.T) {
	const histories = 10
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel() // the clients mostly wait
			ends := map[outcome]int{}
			for seed := range uint64(histories) {
				calls := s.history(t, seed, func(p *proxy) { p.returnsItems = seed%2 == 0 })
				for _, c := range calls {
					ends[c.Output.(op).outcome]++
				}
				if !linearizable(t, s.model, calls) {
					t.Errorf("seed %d: no order of these calls explains their results:\n%s", seed, listCalls(calls))
				}
			}
			t.Logf("calls: %d done, %d conflicts, %d unknown", ends[done], ends[conflict], ends[unknown])
			if ends[unknown] == 0 {
				t.Error("got no unknown outcome, want some")
			}
		})
	}
}

// The check finds a missing condition: against tables that apply every write, as with
// an adapter without conditions, histories are not linearizable.
func TestMissingConditionIsCaught(t *testing.T) {
	for _, s := range subjects {
		if s.free {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				if !linearizable(t, s.model, s.history(t, seed, func(p *proxy) { p.conditionless = true })) {
					t.Logf("caught with seed %d", seed)
					return
				}
			}
			t.Error("got ten linearizable histories without conditions, want one that is not")
		})
	}
}

// listCalls lists calls in the order in which they began.
func listCalls(calls []porcupine.Operation) string {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	text := ""
	for _, c := range calls {
		text += fmt.Sprintf("client %d from %d to %d: %+v\n", c.ClientId, c.Call, c.Return, c.Output)
	}
	return text
}
