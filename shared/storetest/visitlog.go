package storetest

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"footfall/shared/stage"
)

// VisitLog tests an implementation of stage.VisitLog. open gives an empty one.
func VisitLog(t *testing.T, open func(*testing.T) stage.VisitLog) {
	for name, test := range map[string]func(*testing.T, stage.VisitLog){
		"a chain without items":                        logUnknownChain,
		"data comes back byte for byte":                logRoundTrip,
		"a taken seq is a conflict":                    logConflict,
		"items are in order of seq, not of text":       logOrder,
		"bounds of a read are inclusive":               logBounds,
		"data over the limit is refused":               logTooLarge,
		"a read goes on past 1 MB":                     logPaging,
		"chains do not mix":                            logChains,
		"of racing writers exactly one wins":           logRace,
		"an expired item is still there for days":      logExpired,
		"callers and the store share no memory":        logCopies,
		"a context that is done stops every call":      logContext,
		"a chain grows without holes under contention": logContention,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// appendAll appends items with these seqs, each with its seq as text.
func appendAll(t *testing.T, l stage.VisitLog, chain string, seqs ...int64) {
	t.Helper()
	for _, seq := range seqs {
		noError(t, l.Append(t.Context(), chain, stage.LogItem{Seq: seq, Data: fmt.Append(nil, seq)}, later(60)))
	}
}

// wantSeqs checks the items of a read by seq and, where they are of
// appendAll, by data.
func wantSeqs(t *testing.T, items []stage.LogItem, want ...int64) {
	t.Helper()
	var got []int64
	for _, i := range items {
		got = append(got, i.Seq)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got seqs %v, want %v", got, want)
	}
}

func logUnknownChain(t *testing.T, l stage.VisitLog) {
	for _, consistent := range []bool{true, false} {
		if item, ok, err := l.Last(t.Context(), "none", consistent); err != nil || ok {
			t.Errorf("Last(consistent=%v) = %v, %v, %v", consistent, item, ok, err)
		}
		items, err := l.Read(t.Context(), "none", 0, math.MaxInt64, consistent)
		if err != nil || len(items) != 0 {
			t.Errorf("Read(consistent=%v) = %v, %v", consistent, items, err)
		}
	}
}

// Data is packed bits: a store that takes it for text, or an empty one for none,
// shows here.
func logRoundTrip(t *testing.T, l stage.VisitLog) {
	allBytes := make([]byte, 256)
	for b := range allBytes {
		allBytes[b] = byte(b)
	}
	data := [][]byte{nil, {}, {0}, []byte("größe"), allBytes, bytes.Repeat([]byte{0xff}, stage.MaxLogItemBytes)}
	for seq, d := range data {
		noError(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: int64(seq), Data: d}, later(60)))
		for _, consistent := range []bool{true, false} {
			last, ok, err := l.Last(t.Context(), "chain", consistent)
			if err != nil || !ok || last.Seq != int64(seq) || !bytes.Equal(last.Data, d) {
				t.Errorf("Last(consistent=%v) = seq %d, %d bytes, %v, %v; want seq %d, %d bytes",
					consistent, last.Seq, len(last.Data), ok, err, seq, len(d))
			}
		}
	}
	items, err := l.Read(t.Context(), "chain", 0, int64(len(data)), true)
	noError(t, err)
	if len(items) != len(data) {
		t.Fatalf("read %d items, want %d", len(items), len(data))
	}
	for seq, item := range items {
		if item.Seq != int64(seq) || !bytes.Equal(item.Data, data[seq]) {
			t.Errorf("item %d has seq %d and %d bytes, want %d bytes", seq, item.Seq, len(item.Data), len(data[seq]))
		}
	}
}

func logConflict(t *testing.T, l stage.VisitLog) {
	appendAll(t, l, "chain", 0, 1)
	for _, seq := range []int64{0, 1} {
		wantConflict(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: seq, Data: []byte("another")}, later(60)))
	}
	// The same bytes are a conflict too: the answer to an earlier try of the
	// same writer may be lost, and it finds that out by reading.
	wantConflict(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: 1, Data: []byte("1")}, later(60)))
	items, err := l.Read(t.Context(), "chain", 0, 9, true)
	noError(t, err)
	wantSeqs(t, items, 0, 1)
	for _, i := range items {
		if string(i.Data) != fmt.Sprint(i.Seq) {
			t.Errorf("seq %d was overwritten with %q", i.Seq, i.Data)
		}
	}
}

// A number kept as text would put 10 before 2 and 9, and a cold start would fold
// the log in that order.
func logOrder(t *testing.T, l stage.VisitLog) {
	appendAll(t, l, "chain", 10, 2, 1<<40, 0, 100, 9)
	items, err := l.Read(t.Context(), "chain", 0, math.MaxInt64, true)
	noError(t, err)
	wantSeqs(t, items, 0, 2, 9, 10, 100, 1<<40)
	if last, _, err := l.Last(t.Context(), "chain", true); err != nil || last.Seq != 1<<40 {
		t.Errorf("Last = seq %d, %v", last.Seq, err)
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
		{2, 1, nil}, // nothing lies between them, which is no mistake
	} {
		items, err := l.Read(t.Context(), "chain", c.from, c.to, true)
		noError(t, err)
		wantSeqs(t, items, c.want...)
	}
}

func logTooLarge(t *testing.T, l stage.VisitLog) {
	big := stage.LogItem{Seq: 0, Data: make([]byte, stage.MaxLogItemBytes+1)}
	if err := l.Append(t.Context(), "chain", big, later(60)); err == nil {
		t.Error("no error")
	}
	if _, ok, err := l.Last(t.Context(), "chain", true); err != nil || ok {
		t.Errorf("it is stored all the same: %v, %v", ok, err)
	}
}

// DynamoDB answers 1 MB at a time; a cold start that stopped there would forget
// who is in the store.
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
			t.Errorf("seq %d came back with %d bytes of another item", i.Seq, len(i.Data))
		}
	}
}

// The last two chains look the same and are different bytes: a store must not
// normalise Unicode.
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

// Of two environments that read the same log, one may append what it decided.
func logRace(t *testing.T, l stage.VisitLog) {
	for seq := range int64(5) {
		winner := oneWins(t, race(func(w int) error {
			return l.Append(t.Context(), "chain", stage.LogItem{Seq: seq, Data: []byte{byte(w)}}, later(60))
		}))
		last, _, err := l.Last(t.Context(), "chain", true)
		noError(t, err)
		if last.Seq != seq || !bytes.Equal(last.Data, []byte{byte(winner)}) {
			t.Errorf("stored seq %d with %v, want seq %d of writer %d", last.Seq, last.Data, seq, winner)
		}
	}
}

// Expiry lets a store drop an item some days later, no earlier: detection still
// reads a log that is an hour past it.
func logExpired(t *testing.T, l stage.VisitLog) {
	noError(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: 0}, later(-60)))
	items, err := l.Read(t.Context(), "chain", 0, 0, true)
	noError(t, err)
	wantSeqs(t, items, 0)
	wantConflict(t, l.Append(t.Context(), "chain", stage.LogItem{Seq: 0}, later(60)))
}

// Handlers pack into one buffer again and again.
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
		t.Errorf("stored is now %q, %v", last.Data, err)
	}
}

func logContext(t *testing.T, l stage.VisitLog) {
	wantCanceled(t, l.Append(canceled(), "chain", stage.LogItem{Seq: 0}, later(60)))
	_, _, err := l.Last(canceled(), "chain", true)
	wantCanceled(t, err)
	_, err = l.Read(canceled(), "chain", 0, 9, true)
	wantCanceled(t, err)
	if _, ok, err := l.Last(t.Context(), "chain", true); err != nil || ok {
		t.Errorf("the canceled append is stored: %v, %v", ok, err)
	}
}

// logContention has every writer append at the end it sees, as stages do, until
// it has got three items in. The chain must hold all of them once.
func logContention(t *testing.T, l stage.VisitLog) {
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
			t.Fatalf("item %d has seq %d", n, i.Seq)
		}
		seen[string(i.Data)] = true
	}
	if len(items) != 3*writers || len(seen) != 3*writers {
		t.Errorf("%d items, %d different, want %d", len(items), len(seen), 3*writers)
	}
}
