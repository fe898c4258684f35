package dynamo

import (
	"fmt"
	"testing"
	"time"

	"footfall/shared/stage"
	"footfall/shared/storetest"
)

// DynamoDB tells the item that a condition did not hold for, where it is asked
// to; dynalite does not, and is read from. What comes of a conflict is the same,
// and only the second costs a read.
func TestAConflictTellsTheItem(t *testing.T) {
	anonymous := visit
	anonymous.Anonymous = true // the second writer knows it otherwise, and must get the first one's
	for _, tells := range []bool{true, false} {
		t.Run(fmt.Sprint("tells ", tells), func(t *testing.T) {
			_, prefix := tables(t)
			p, client := newProxy(t, func(p *proxy) { p.returnsItems = tells })
			pending := NewPending(client, prefix)
			for name, c := range map[string]struct{ first, second func() error }{
				"a walk-in that is there": {
					func() error {
						_, err := pending.PutNew(t.Context(), stage.Attribution{WalkIn: visit}, noon)
						return err
					},
					func() error {
						a, err := pending.PutNew(t.Context(), stage.Attribution{WalkIn: anonymous}, noon)
						return wantStored(a, stage.Attribution{WalkIn: visit}, err)
					},
				},
			} {
				if err := c.first(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				before := p.count("GetItem")
				if err := c.second(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				wantReads(t, p.count("GetItem")-before, tells)
			}
			first := stage.Attribution{WalkIn: visit, Contact: "anna", BoundAt: noon}
			a, err := pending.Resolve(t.Context(), first)
			if err := wantStored(a, first, err); err != nil {
				t.Fatal(err)
			}
			before := p.count("GetItem")
			a, err = pending.Resolve(t.Context(), stage.Attribution{WalkIn: visit, Contact: "bert", BoundAt: noon.Add(time.Hour)})
			if err := wantStored(a, first, err); err != nil {
				t.Error(err)
			}
			wantReads(t, p.count("GetItem")-before, tells)
			before = p.count("GetItem")
			a, err = pending.End(t.Context(), stage.Attribution{WalkIn: visit, LastSeen: noon.Add(time.Hour)}, noon)
			first.LastSeen = noon.Add(time.Hour)
			if err := wantStored(a, first, err); err != nil {
				t.Error(err)
			}
			a, err = pending.End(t.Context(), stage.Attribution{WalkIn: visit, LastSeen: noon.Add(time.Minute)}, noon)
			if err := wantStored(a, first, err); err != nil {
				t.Error(err)
			}
			wantReads(t, p.count("GetItem")-before, tells)
		})
	}
}

func wantStored(got, want stage.Attribution, err error) error {
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("stored is %+v, want %+v", got, want)
	}
	return nil
}

func wantReads(t *testing.T, reads int, tells bool) {
	t.Helper()
	if want := map[bool]int{true: 0, false: 1}[tells]; reads != want {
		t.Errorf("the conflict cost %d reads, want %d", reads, want)
	}
}

// The whole conformance test once more, against a server that tells items.
func TestPendingWhereItemsAreTold(t *testing.T) {
	storetest.Pending(t, func(t *testing.T) stage.Pending {
		_, prefix := tables(t)
		_, client := newProxy(t, returnItems)
		return NewPending(client, prefix)
	})
}
