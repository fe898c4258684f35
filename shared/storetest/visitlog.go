package storetest

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"footfall/shared/stage"
)

// VisitLog tests an implementation of stage.VisitLog. open returns an empty store.
func VisitLog(t *testing.T, open func(*testing.T) stage.VisitLog) {
	for name, test := range map[string]func(*testing.T, stage.VisitLog){
		"an unknown chain has no items":                             logUnknownChain,
		"data is read byte for byte":                                logRoundTrip,
		"Append at a taken sequence number is a conflict":           logConflict,
		"items are read in numeric order of sequence numbers":       logOrder,
		"bounds of Read are inclusive":                              logBounds,
		"Append fails if data is over the limit":                    logTooLarge,
		"Read returns more than 1 MB":                               logPaging,
		"chains with similar names are separate":                    logChains,
		"of concurrent Appends at one number exactly one succeeds":  logRace,
		"an expired item is read until the store drops it":          logExpired,
		"callers and the store share no memory":                     logCopies,
		"every call fails if the context is done":                   logContext,
		"concurrent writers fill a chain without gap or repetition": logContention,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// appendAll appends items with these sequence numbers. The data of each item is its
// number as text.
func appendAll(t *testing.T, l stage.VisitLog, chain string, seqs ...int64) {
	t.Helper()
	for _, seq := range seqs {
		noError(t, l.Append(t.Context(), chain, stage.LogItem{Seq: seq, Data: fmt.Append(nil, seq)}, later(60)))
	}
}

// wantSeqs checks the sequence numbers of the items of a Read.
func wantSeqs(t *testing.T, items []stage.LogItem, want ...int64) {
	t.Helper()
	var got []int64
	for _, i := range items {
		got = append(got, i.Seq)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got items %v, want %v", got, want)
	}
}

func logUnknownChain(t *testing.T, l stage.VisitLog) {
	for _, consistent := range []bool{true, false} {
		if item, ok, err := l.Last(t.Context(), "none", consistent); err != nil || ok {
			t.Errorf("Last(consistent=%v): got %v, %v, %v, want no item", consistent, item, ok, err)
		}
		items, err := l.Read(t.Context(), "none", 0, math.MaxInt64, consistent)
		if err != nil || len(items) != 0 {
			t.Errorf("Read(consistent=%v): got %v, %v, want no items", consistent, items, err)
		}
	}
}

// Data is packed bits. A store that treats data as text, or empty data as missing,
// fails here.
func logRoundTrip(t *testing.T, l stage.VisitLog) {
	allBytes := make([]byte, 256)
	for b := range allBytes {
		allBytes[b] = byte(b)
	}
	// Append each and read it as the last item.
	data := [][]byte{nil, {}, {0}, []byte("größe"), allBytes, bytes.Repeat([]byte{0xff}, stage.MaxLogItemBytes)}
	for seq, d := range data {
		noError(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: int64(seq), Data: d}, later(60)))
		for _, consistent := range []bool{true, false} {
			last, ok, err := l.Last(t.Context(), "chain", consistent)
			if err != nil || !ok || last.Seq != int64(seq) || !bytes.Equal(last.Data, d) {
				t.Errorf("Last(consistent=%v): got item %d, %d bytes, %v, %v, want item %d, %d bytes",
					consistent, last.Seq, len(last.Data), ok, err, seq, len(d))
			}
		}
	}
	// Read all of them at once.
	items, err := l.Read(t.Context(), "chain", 0, int64(len(data)), true)
	noError(t, err)
	if len(items) != len(data) {
		t.Fatalf("got %d items, want %d", len(items), len(data))
	}
	for seq, item := range items {
		if item.Seq != int64(seq) || !bytes.Equal(item.Data, data[seq]) {
			t.Errorf("got item %d with %d bytes, want item %d with %d bytes", item.Seq, len(item.Data), seq, len(data[seq]))
		}
	}
}

func logConflict(t *testing.T, l stage.VisitLog) {
	appendAll(t, l, "chain", 0, 1)
	for _, seq := range []int64{0, 1} {
		wantConflict(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: seq, Data: []byte("another")}, later(60)))
	}
	// The same bytes are a conflict too. If the answer to an Append was lost, the
	// writer learns by reading that the item is its own.
	wantConflict(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: 1, Data: []byte("1")}, later(60)))
	items, err := l.Read(t.Context(), "chain", 0, 9, true)
	noError(t, err)
	wantSeqs(t, items, 0, 1)
	for _, i := range items {
		if string(i.Data) != fmt.Sprint(i.Seq) {
			t.Errorf("item %d was overwritten with %q", i.Seq, i.Data)
		}
	}
}

// In a store with sequence numbers as text, 10 would come before 2 and 9, and a cold
// start would apply the changelog in the wrong order.
func logOrder(t *testing.T, l stage.VisitLog) {
	appendAll(t, l, "chain", 10, 2, 1<<40, 0, 100, 9)
	items, err := l.Read(t.Context(), "chain", 0, math.MaxInt64, true)
	noError(t, err)
	wantSeqs(t, items, 0, 2, 9, 10, 100, 1<<40)
	if last, _, err := l.Last(t.Context(), "chain", true); err != nil || last.Seq != 1<<40 {
		t.Errorf("Last: got item %d, error %v, want item %d", last.Seq, err, int64(1)<<40)
	}
}

func logBounds(t *testing.T, l stage.VisitLog) {
	appendAll(t, l, "chain", 0, 1, 2, 3)
	for _, c := range []struct {
		from, to int64
		want     []int64
	}{
		{1, 2, []int64{1, 2}},
		{2, 2, []int64{2}},
		{3, 9, []int64{3}},
		{0, 0, []int64{0}},
		{4, 9, nil},
		{2, 1, nil}, // an empty range is no mistake
	} {
		items, err := l.Read(t.Context(), "chain", c.from, c.to, true)
		noError(t, err)
		wantSeqs(t, items, c.want...)
	}
}

func logTooLarge(t *testing.T, l stage.VisitLog) {
	big := stage.LogItem{Seq: 0, Data: make([]byte, stage.MaxLogItemBytes+1)}
	if err := l.Append(t.Context(), "chain", big, later(60)); err == nil {
		t.Error("got no error")
	}
	if _, ok, err := l.Last(t.Context(), "chain", true); err != nil || ok {
		t.Errorf("got a stored item (%v), error %v, want none", ok, err)
	}
}

// DynamoDB returns 1 MB per request. A cold start that read only the first request
// would lose the state of devices.
func logPaging(t *testing.T, l stage.VisitLog) {
	var want []int64
	for seq := range int64(8) { // 3 MB
		data := bytes.Repeat([]byte{byte(seq)}, stage.MaxLogItemBytes)
		noError(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: seq, Data: data}, later(60)))
		want = append(want, seq)
	}
	items, err := l.Read(t.Context(), "chain", 0, 7, true)
	noError(t, err)
	wantSeqs(t, items, want...)
	for _, i := range items {
		if len(i.Data) != stage.MaxLogItemBytes || i.Data[0] != byte(i.Seq) {
			t.Errorf("item %d has %d bytes of another item", i.Seq, len(i.Data))
		}
	}
}

// The last two chains look the same but differ in bytes: a store must not normalise
// Unicode.
func logChains(t *testing.T, l stage.VisitLog) {
	chains := []string{"a", "ab", "a/0", "a#0", "caf\u00e9 \u6771\u4eac", "cafe\u0301 \u6771\u4eac"}
	for n, chain := range chains {
		appendAll(t, l, chain, int64(n))
	}
	for n, chain := range chains {
		items, err := l.Read(t.Context(), chain, 0, 99, true)
		noError(t, err)
		wantSeqs(t, items, int64(n))
	}
}

// Fencing: of several environments that read the same changelog, exactly one may
// append the next item.
func logRace(t *testing.T, l stage.VisitLog) {
	for seq := range int64(5) {
		winner := wantOneWinner(t, race(func(w int) error {
			return l.Append(t.Context(), "chain", stage.LogItem{Seq: seq, Data: []byte{byte(w)}}, later(60))
		}))
		last, _, err := l.Last(t.Context(), "chain", true)
		noError(t, err)
		if last.Seq != seq || !bytes.Equal(last.Data, []byte{byte(winner)}) {
			t.Errorf("got item %d with %v, want item %d of writer %d", last.Seq, last.Data, seq, winner)
		}
	}
}

// A store may drop an item some days after its expiry and not earlier: detect reads
// a changelog that expired an hour ago.
func logExpired(t *testing.T, l stage.VisitLog) {
	noError(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: 0}, later(-60)))
	items, err := l.Read(t.Context(), "chain", 0, 0, true)
	noError(t, err)
	wantSeqs(t, items, 0)
	wantConflict(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: 0}, later(60)))
}

// A handler may reuse the buffer of an appended item, and may change a returned
// item.
func logCopies(t *testing.T, l stage.VisitLog) {
	data := []byte("first")
	noError(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: 0, Data: data}, later(60)))
	copy(data, "later")
	last, _, err := l.Last(t.Context(), "chain", true)
	noError(t, err)
	copy(last.Data, "other")
	items, err := l.Read(t.Context(), "chain", 0, 0, true)
	noError(t, err)
	copy(items[0].Data, "third")
	if last, _, err = l.Last(t.Context(), "chain", true); err != nil || string(last.Data) != "first" {
		t.Errorf("got data %q, error %v, want %q", last.Data, err, "first")
	}
}

func logContext(t *testing.T, l stage.VisitLog) {
	wantCanceled(t, l.Append(canceled(), "chain", stage.LogItem{Seq: 0}, later(60)))
	_, _, err := l.Last(canceled(), "chain", true)
	wantCanceled(t, err)
	_, err = l.Read(canceled(), "chain", 0, 9, true)
	wantCanceled(t, err)
	if _, ok, err := l.Last(t.Context(), "chain", true); err != nil || ok {
		t.Errorf("the canceled Append is stored: %v, %v", ok, err)
	}
}

// Every writer appends after the last item that it reads, as detect does, until it
// has appended three items. The chain must then hold all items of all writers, each
// once.
func logContention(t *testing.T, l stage.VisitLog) {
	// After a conflict a writer reads the new end and tries again.
	for _, err := range race(func(w int) error {
		for done := 0; done < 3; {
			last, ok, err := l.Last(t.Context(), "chain", true)
			if err != nil {
				return err
			}
			next := stage.LogItem{Data: []byte{byte(w), byte(done)}}
			if ok {
				next.Seq = last.Seq + 1
			}
			switch err := l.Append(t.Context(), "chain", next, later(60)); {
			case err == nil:
				done++
			case !conflicts(err):
				return err
			}
		}
		return nil
	}) {
		noError(t, err)
	}
	items, err := l.Read(t.Context(), "chain", 0, 99, true)
	noError(t, err)
	seen := map[string]bool{}
	for n, i := range items {
		if i.Seq != int64(n) {
			t.Fatalf("got sequence number %d at position %d", i.Seq, n)
		}
		seen[string(i.Data)] = true
	}
	if len(items) != 3*writers || len(seen) != 3*writers {
		t.Errorf("got %d items, %d different, want %d", len(items), len(seen), 3*writers)
	}
}
