package recording

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxDisorder is the longest time by which the arrival may go back from one
// item of a file to a later one if the file is still to count as written in the
// order of arrival. It is the disorder that detection tolerates. Such a file is
// streamed, whatever its size; any other is sorted in memory.
const MaxDisorder = 2 * time.Minute

// Reader returns the items of several files as one stream.
type Reader struct {
	inputs  []*input
	streams streamHeap
	report  report
	last    time.Time // ArrivedAt of the last item returned
}

// stream holds the items of one file, in order.
type stream struct {
	head  Item // the next item
	items decoder
	index int // of the file; the lower index goes first if items arrived at once
}

// Open prepares to read the files named by paths, "-" being stdin, and merges
// them by time of arrival. The time of arrival is the field arrived_at of an
// NDJSON line, or, if there is none, the time at which the device was seen or
// the CRM event took place.
//
// If the arrival in a file never goes back by more than MaxDisorder, the order
// of the file is kept and each item takes the latest arrival so far, so that
// disorder in a recording is preserved. Any other file is sorted, which takes
// 32 bytes of memory per sighting and some 50 per device, twice that while
// loading.
//
// Open reads every file to its end once, so it returns the error of a mistake
// in any file before the first item is returned. Errors name file and line, or
// packet. Files of which nothing was read are an error. The caller closes the
// Reader.
func Open(paths []string, stdin io.Reader, o Options) (*Reader, error) {
	r := &Reader{}
	known := &transmitters{make: o.Device}
	for i, path := range paths {
		in, err := openInput(path, stdin)
		if in != nil {
			r.inputs = append(r.inputs, in)
		}
		if err == nil {
			err = r.add(i, in, &scope{name: in.name, opts: o, known: known, report: &r.report})
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	if r.report.stats.Sightings+r.report.stats.CRMEvents == 0 {
		return nil, errors.Join(r.report.nothing(r.names()), r.Close())
	}
	heap.Init(&r.streams)
	return r, nil
}

// add makes a stream of a file. The file is read twice: once to its end, for
// its order and its mistakes, and then again to be streamed or sorted.
func (r *Reader) add(index int, in *input, s *scope) error {
	sensors := sessionSensors{}
	count, ordered, err := scan(in, s, sensors)
	if err != nil {
		return err
	}
	// Read again from the start, sorted if necessary.
	again := *s
	again.report, again.again = new(report), true // scan has counted the items
	if err := in.rewind(); err != nil {
		return err
	}
	items, err := newDecoder(&again, in)
	if err == nil && len(sensors) > 0 {
		items = &withSessions{items, sensors}
		r.report.notes = append(r.report.notes, fmt.Sprintf("%s: %v", in.name, sensors))
	}
	if err == nil && !ordered {
		items, err = loadSorted(in, items, count)
	}
	if err != nil {
		return err
	}
	// Read the first item; a file without items needs no stream.
	st := &stream{items: items, index: index}
	if err := items.next(&st.head); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	r.streams = append(r.streams, st)
	return nil
}

// scan reads a file to its end. It returns the number of items and reports
// whether they are in the order of arrival. It leaves in sensors those whose
// sightings withSessions has to change.
func scan(in *input, s *scope, sensors sessionSensors) (count int64, ordered bool, err error) {
	if err := in.rewind(); err != nil {
		return 0, false, err
	}
	d, err := newDecoder(s, in)
	if err != nil {
		return 0, false, err
	}
	// Count the items, and compare each arrival with the latest so far.
	ordered = true
	var latest time.Time
	var it Item
	for {
		err := d.next(&it)
		if errors.Is(err, io.EOF) {
			sensors.keep()
			return count, ordered, nil
		}
		if err != nil {
			return 0, false, err
		}
		count++
		if it.CRM != nil {
			s.stats.CRMEvents++
		} else {
			s.stats.Sightings++
			sensors.note(&it.Sighting)
		}
		ordered = ordered && latest.Sub(it.ArrivedAt) <= MaxDisorder
		if it.ArrivedAt.After(latest) {
			latest = it.ArrivedAt
		}
	}
}

// Next returns the next item, and io.EOF after the last one. After any other
// error the reader returns no more items.
func (r *Reader) Next() (Item, error) {
	if len(r.streams) == 0 {
		return Item{}, io.EOF
	}
	st := r.streams[0]
	it := st.head
	// Read the next head before the current item is returned, so that every
	// stream has a head to compare. On an error the current item is lost as
	// well, and no other. An error here means: Open has read the file to its
	// end without error, and since then the file was changed or became
	// unreadable.
	switch err := st.items.next(&st.head); {
	case errors.Is(err, io.EOF):
		heap.Pop(&r.streams)
	case err != nil:
		r.streams = nil
		return Item{}, fmt.Errorf("reading the file a second time (was it changed meanwhile?): %w", err)
	default:
		heap.Fix(&r.streams, 0)
	}
	// An item within MaxDisorder takes the latest arrival so far.
	if it.ArrivedAt.Before(r.last) {
		it.ArrivedAt = r.last
	}
	r.last = it.ArrivedAt
	return it, nil
}

// Progress returns the number of input bytes whose items were returned, and the
// size of all files, both as stored (compressed, if a file is). It may be
// called while another goroutine is in Next.
func (r *Reader) Progress() (done, total int64) {
	for _, in := range r.inputs {
		done += in.done.Load()
		total += in.size
	}
	return done, total
}

// Stats returns the counts of the files, which are complete after Open.
func (r *Reader) Stats() Stats { return r.report.stats }

// LeftOut returns the records that were left out, by reason, which are complete
// after Open.
func (r *Reader) LeftOut() []LeftOut { return r.report.leftOut() }

// Notes returns what else a person should know of the files, one sentence each:
// where a file is cut off, which columns were passed over, how a value was
// understood. They are complete after Open.
func (r *Reader) Notes() []string { return r.report.notes }

// names returns the names of the files.
func (r *Reader) names() []string {
	var all []string
	for _, in := range r.inputs {
		all = append(all, in.name)
	}
	return all
}

// Close closes the files and removes temporary copies.
func (r *Reader) Close() error {
	var errs []error
	for _, in := range r.inputs {
		errs = append(errs, in.close())
	}
	r.inputs, r.streams = nil, nil
	return errors.Join(errs...)
}

// streamHeap is a heap.Interface with the stream with the earliest head at its
// root.
type streamHeap []*stream

// Len returns the number of files that are not at their end.
func (h streamHeap) Len() int { return len(h) }

// Less orders by arrival, and equal arrivals by the order of the paths given to
// Open.
func (h streamHeap) Less(i, j int) bool {
	if c := h[i].head.ArrivedAt.Compare(h[j].head.ArrivedAt); c != 0 {
		return c < 0
	}
	return h[i].index < h[j].index
}

// Swap exchanges two streams.
func (h streamHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push appends a *stream. Open fills the heap at once and never calls Push, but
// heap.Interface requires it.
func (h *streamHeap) Push(x any) { *h = append(*h, x.(*stream)) }

// Pop removes the last stream, to which heap.Pop has moved the root.
func (h *streamHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
