package recording

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxDisorder is how far back the arrival may go from one item of a file to a
// later one for the file still to count as written in the order of arrival:
// the disorder that detection bears. Such a file is read as it is, whatever
// its size. Any other is sorted in memory.
const MaxDisorder = 2 * time.Minute

// Reader gives the items of several files as one stream.
type Reader struct {
	inputs  []*input
	streams streamHeap
	stats   Stats
	last    time.Time // ArrivedAt of the last item given
}

// stream is the items of one file, in order.
type stream struct {
	head  Item // the next one
	items decoder
	index int // of the file, which goes first where items arrived at once
}

// Open prepares to read the files named by paths, "-" being stdin, and merges
// them by time of arrival. That is the field arrived_at of an NDJSON line where
// there is one, and else the time the device was seen or the CRM event took
// place. The order of a file that never goes back by more than MaxDisorder is
// kept and its items take the latest arrival so far, so that what a recording
// holds out of order stays so. Any other is sorted, which takes 32 bytes of
// memory per sighting and some 50 per device, twice that while loading.
//
// Open reads every file to its end once, so a mistake in any of them is its
// error, before the first item is given. Errors name file and line, or packet.
// The caller closes the Reader.
func Open(paths []string, stdin io.Reader, o Options) (*Reader, error) {
	r := &Reader{}
	known := &addresses{make: o.Device}
	for i, path := range paths {
		in, err := openInput(path, stdin)
		if in != nil {
			r.inputs = append(r.inputs, in)
		}
		if err == nil {
			err = r.add(i, in, &scope{name: in.name, opts: o, known: known, stats: &r.stats})
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	heap.Init(&r.streams)
	return r, nil
}

// add makes a stream of a file. The file is read to its end first, to learn its
// order and its mistakes, and then opened anew to be streamed or sorted.
func (r *Reader) add(index int, in *input, s *scope) error {
	count, ordered, err := scan(in, s)
	if err != nil {
		return err
	}
	again := *s
	again.stats = new(Stats) // everything is counted already
	if err := in.rewind(); err != nil {
		return err
	}
	items, err := newDecoder(&again, in)
	if err == nil && !ordered {
		items, err = loadSorted(in, items, count)
	}
	if err != nil {
		return err
	}
	st := &stream{items: items, index: index}
	if err := items.next(&st.head); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	r.streams = append(r.streams, st)
	return nil
}

// scan reads a file to its end, counts its items and tells whether they are in
// the order of arrival.
func scan(in *input, s *scope) (count int64, ordered bool, err error) {
	if err := in.rewind(); err != nil {
		return 0, false, err
	}
	d, err := newDecoder(s, in)
	if err != nil {
		return 0, false, err
	}
	ordered = true
	var latest time.Time
	var it Item
	for {
		err := d.next(&it)
		if errors.Is(err, io.EOF) {
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
		}
		ordered = ordered && latest.Sub(it.ArrivedAt) <= MaxDisorder
		if it.ArrivedAt.After(latest) {
			latest = it.ArrivedAt
		}
	}
}

// Next gives the next item, and io.EOF after the last one. After any other
// error there is nothing more to read.
func (r *Reader) Next() (Item, error) {
	if len(r.streams) == 0 {
		return Item{}, io.EOF
	}
	st := r.streams[0]
	it := st.head
	// The next head is read before this item is given, so a head is always there
	// to be compared; an error costs the caller the item before it, no more.
	switch err := st.items.next(&st.head); {
	case errors.Is(err, io.EOF):
		heap.Pop(&r.streams)
	case err != nil: // Open has read it all: the file was changed meanwhile, or cannot be read any more
		r.streams = nil
		return Item{}, fmt.Errorf("reading once more: %w", err)
	default:
		heap.Fix(&r.streams, 0)
	}
	if it.ArrivedAt.Before(r.last) {
		it.ArrivedAt = r.last
	}
	r.last = it.ArrivedAt
	return it, nil
}

// Progress tells how many bytes of input have been given as items, and how many
// there are, both as the files hold them (compressed, where they are). It may
// be called while another goroutine is in Next.
func (r *Reader) Progress() (done, total int64) {
	for _, in := range r.inputs {
		done += in.done.Load()
		total += in.size
	}
	return done, total
}

// Stats tells what the files hold; it is complete from Open on.
func (r *Reader) Stats() Stats { return r.stats }

// Close closes the files and drops temporary copies.
func (r *Reader) Close() error {
	var errs []error
	for _, in := range r.inputs {
		errs = append(errs, in.close())
	}
	r.inputs, r.streams = nil, nil
	return errors.Join(errs...)
}

// streamHeap has the stream with the earliest head at its root.
type streamHeap []*stream

// Len, with the methods below, makes it a heap.Interface. It is the number of
// files that are not at their end.
func (h streamHeap) Len() int { return len(h) }

// Less orders by arrival, and equals by the order of the paths given to Open.
func (h streamHeap) Less(i, j int) bool {
	if c := h[i].head.ArrivedAt.Compare(h[j].head.ArrivedAt); c != 0 {
		return c < 0
	}
	return h[i].index < h[j].index
}

// Swap exchanges two streams.
func (h streamHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push appends a *stream. Open fills the heap at once instead, but
// heap.Interface wants it.
func (h *streamHeap) Push(x any) { *h = append(*h, x.(*stream)) }

// Pop takes the last stream off, which heap.Pop has made the one at its end.
func (h *streamHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
