package esm

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is the poller's state of one assigned partition: the fetched
// records from the first one that is not done on. The poller's mutex guards it.
type partition struct {
	id   int32
	name string // "topic-0", as in events and answers

	records  []*kgo.Record
	bytes    int       // approximate memory of records
	arrivals []arrival // when records were fetched, in their order

	inFlight bool // a batch of the partition is in flight, always the first of records
	lost     bool // the group has assigned the partition to another member
	paused   bool // fetching of the partition is paused

	nextOffset int64 // the offset that is fetched next, -1 until records were fetched
	unreadable int   // consecutive fetches that could not read the next batch

	// doneAhead holds the offsets that are done although a record before them
	// is not. It is empty unless the batch before the nearest cut failed.
	doneAhead map[int64]bool

	// A batch that failed is redelivered without any later record, in the same
	// bounds or in parts. cuts holds the offsets that a batch must end before,
	// the nearest one last.
	cuts     []int64
	failures int       // of the batch in its present bounds; these count as retries
	backoffs int       // consecutive failures without progress, splits included
	retryAt  time.Time // when the batch may be redelivered
}

// arrival records when the records before endOffset were fetched.
type arrival struct {
	endOffset  int64
	receivedAt time.Time
}

// share is the part of a batch that comes from one partition.
type share struct {
	p       *partition
	records []*kgo.Record
}

// recordOverhead is the approximate size in bytes of franz-go's record without
// its key and value.
const recordOverhead = 256

// memoryBytes returns the approximate memory that a record takes.
func memoryBytes(r *kgo.Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 64
	}
	return n
}

// add appends fetched records. rs must not be empty.
func (p *partition) add(rs []*kgo.Record, now time.Time) {
	for _, r := range rs {
		p.bytes += memoryBytes(r)
	}
	p.records = append(p.records, rs...)
	p.nextOffset, p.unreadable = rs[len(rs)-1].Offset+1, 0
	p.arrivals = append(p.arrivals, arrival{rs[len(rs)-1].Offset + 1, now})
}

// isRetrying reports whether the batch before the nearest cut has failed and is
// not done yet.
func (p *partition) isRetrying() bool { return len(p.cuts) > 0 }

// waitingSince returns when the first record was fetched or, for a batch that
// failed, when the batch may be redelivered.
func (p *partition) waitingSince() time.Time {
	if p.isRetrying() {
		return p.retryAt
	}
	return p.arrivals[0].receivedAt
}

// nextBatch returns the longest run of records, up to size, that one batch may
// hold. The first record is never one that is done ahead: removeDone would have
// removed it.
func (p *partition) nextBatch(size int) []*kgo.Record {
	n := min(size, len(p.records))
	if p.isRetrying() {
		// The batch ends at the nearest cut …
		cut := p.cuts[len(p.cuts)-1]
		for n > 1 && p.records[n-1].Offset >= cut {
			n--
		}
		// … and before a record that is done ahead, which must not be
		// redelivered.
		for i := 1; i < n; i++ {
			if p.doneAhead[p.records[i].Offset] {
				n = i
			}
		}
	}
	return p.records[:n:n]
}

// markDoneAhead records that rs are done although a record before them is not.
func (p *partition) markDoneAhead(rs []*kgo.Record) {
	if p.doneAhead == nil {
		p.doneAhead = map[int64]bool{}
	}
	for _, r := range rs {
		p.doneAhead[r.Offset] = true
	}
}

// withDoneAhead returns the first n records, which are done, and the records
// directly behind them that are done ahead.
func (p *partition) withDoneAhead(n int) []*kgo.Record {
	for n < len(p.records) && p.doneAhead[p.records[n].Offset] {
		n++
	}
	return p.records[:n:n]
}

// removeDone removes the first n records, which are done, and resets the
// counters of failures: the partition has made progress.
func (p *partition) removeDone(n int) {
	if n == 0 {
		return
	}
	done := p.records[n-1].Offset + 1
	for i, r := range p.records[:n] {
		p.bytes -= memoryBytes(r)
		delete(p.doneAhead, r.Offset)
		p.records[i] = nil // the rest of the slice keeps the array alive
	}
	p.records = p.records[n:]
	// Forget arrivals and cuts that lie before the first record that is left.
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

// describe names records for logs and errors: topic, partition, first and last
// offset.
func describe(rs []*kgo.Record) string {
	first, last := rs[0], rs[len(rs)-1]
	return fmt.Sprintf("%s/%d offsets %d to %d", first.Topic, first.Partition, first.Offset, last.Offset)
}
