package dynamo

import (
	"fmt"
	"testing"
	"time"

	"footfall/shared/stage"
	"footfall/shared/storetest"
)

// DynamoDB returns the item that a condition failed on with the error, if the write
// asks for the item; dynalite does not, so the item is read. The outcome of a conflict
// is the same, and only the second costs a read.
func TestConflictReturnsTheItem(t *testing.T) {
	anonymous := visit
	anonymous.Anonymous = true // the second writer differs, and must get the first one's walk-in
	for _, returned := range []bool{true, false} {
		t.Run(fmt.Sprint("item returned ", returned), func(t *testing.T) {
			_, prefix := tables(t)
			p, client := newProxy(t, func(p *proxy) { p.returnsItems = returned })
			pending := NewPending(client, prefix)
			for name, c := range map[string]struct{ first, second func() error }{
				"a stored walk-in": {
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
				wantReads(t, p.count("GetItem")-before, returned)
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
			wantReads(t, p.count("GetItem")-before, returned)
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
			wantReads(t, p.count("GetItem")-before, returned)
		})
	}
}

// wantStored returns err, or an error if got is not want.
func wantStored(got, want stage.Attribution, err error) error {
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("got stored %+v, want %+v", got, want)
	}
	return nil
}

// wantReads checks how many reads a conflict cost, by whether the server returned the
// item with the error.
func wantReads(t *testing.T, reads int, returned bool) {
	t.Helper()
	if want := map[bool]int{true: 0, false: 1}[returned]; reads != want {
		t.Errorf("got %d reads after a conflict, want %d", reads, want)
	}
}

// Pending passes the conformance test with a server that returns items with errors
// too.
func TestPendingIfConflictsReturnItems(t *testing.T) {
	storetest.Pending(t, func(t *testing.T) stage.Pending {
		_, prefix := tables(t)
		_, client := newProxy(t, returnItems)
		return NewPending(client, prefix)
	})
}
