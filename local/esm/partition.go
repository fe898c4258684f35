package esm

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is what the poller holds of one assigned partition: the records
// from the first one that is not done on. The poller's mutex guards it.
type partition struct {
	id   int32
	name string // "topic-0", as events and answers name it

	records []*kgo.Record
	bytes   int       // what records take up in memory, about
	arrivals []arrival // when records came, in their order

	inFlight   bool // a batch of it is in flight, always the first of records
	lost   bool // assigned to somebody else meanwhile
	paused bool // no more is fetched

	nextOffset       int64 // the offset that is fetched next, -1 while nothing was fetched
	unreadable int   // how often in a row what lies there could not be read

	// doneAhead are the offsets that are done although one before them is not. It is
	// empty unless the batch before a cut failed.
	doneAhead map[int64]bool

	// A batch that failed is given again alone, in the same bounds or in parts:
	// cuts are the offsets that a batch must not go beyond, the nearest last.
	cuts     []int64
	failures int       // of the batch as it is cut now, which count as retries
	backoffs int       // failures in a row without progress, counted or not
	retryAt   time.Time // when the batch may be given again
}

// arrival says when the records before an offset came.
type arrival struct {
	endOffset int64
	receivedAt     time.Time
}

// share is what one batch holds of one partition.
type share struct {
	p       *partition
	records []*kgo.Record
}

// recordOverhead is about what franz-go's record takes beside its bytes.
const recordOverhead = 256

func memoryBytes(r *kgo.Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 64
	}
	return n
}

// add appends fetched records, of which there is one at least.
func (p *partition) add(rs []*kgo.Record, now time.Time) {
	for _, r := range rs {
		p.bytes += memoryBytes(r)
	}
	p.records = append(p.records, rs...)
	p.nextOffset, p.unreadable = rs[len(rs)-1].Offset+1, 0
	p.arrivals = append(p.arrivals, arrival{rs[len(rs)-1].Offset + 1, now})
}

// isRetrying says that the batch before it failed and is not through yet.
func (p *partition) isRetrying() bool { return len(p.cuts) > 0 }

// waitingSince is when the first record came, or, for a batch that failed, when it may
// be given again.
func (p *partition) waitingSince() time.Time {
	if p.isRetrying() {
		return p.retryAt
	}
	return p.arrivals[0].receivedAt
}

// nextBatch is the longest run of records that one nextBatch may hold. The first record
// is never one that was passed.
func (p *partition) nextBatch(size int) []*kgo.Record {
	n := min(size, len(p.records))
	if p.isRetrying() {
		cut := p.cuts[len(p.cuts)-1]
		for n > 1 && p.records[n-1].Offset >= cut {
			n--
		}
		for i := 1; i < n; i++ {
			if p.doneAhead[p.records[i].Offset] {
				n = i
			}
		}
	}
	return p.records[:n:n]
}

// markDoneAhead notes records that are done although one before them is not.
func (p *partition) markDoneAhead(rs []*kgo.Record) {
	if p.doneAhead == nil {
		p.doneAhead = map[int64]bool{}
	}
	for _, r := range rs {
		p.doneAhead[r.Offset] = true
	}
}

// withDoneAhead gives the first n records, which are done, and with them those that
// were passed right behind.
func (p *partition) withDoneAhead(n int) []*kgo.Record {
	for n < len(p.records) && p.doneAhead[p.records[n].Offset] {
		n++
	}
	return p.records[:n:n]
}

// removeDone removes the first n records, which are done.
func (p *partition) removeDone(n int) {
	if n == 0 {
		return
	}
	done := p.records[n-1].Offset + 1
	for i, r := range p.records[:n] {
		p.bytes -= memoryBytes(r)
		delete(p.doneAhead, r.Offset)
		p.records[i] = nil // the array lives on under the rest
	}
	p.records = p.records[n:]
	for len(p.arrivals) > 0 && p.arrivals[0].endOffset <= done {
		p.arrivals = p.arrivals[1:]
	}
	for p.isRetrying() && p.cuts[len(p.cuts)-1] <= done {
		p.cuts = p.cuts[:len(p.cuts)-1]
	}
	p.failures, p.backoffs = 0, 0
	p.retryAt = time.Time{}
}

// cutAfter bounds the next batch to the first n records.
func (p *partition) cutAfter(n int) {
	cut := p.records[n-1].Offset + 1
	if !p.isRetrying() || cut < p.cuts[len(p.cuts)-1] {
		p.cuts = append(p.cuts, cut)
	}
}

// describe names records for logs and errors.
func describe(rs []*kgo.Record) string {
	first, last := rs[0], rs[len(rs)-1]
	return fmt.Sprintf("%s/%d offsets %d to %d", first.Topic, first.Partition, first.Offset, last.Offset)
}
