package kafka

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// offsetSet is a set of offsets of one partition: all offsets below floor, and
// runs of offsets above it. No run touches another run or the floor.
type offsetSet struct {
	floor int64
	runs  []run // in ascending order
}

// run is the offsets from first to last.
type run struct{ first, last int64 }

// has reports whether the set contains an offset.
func (s *offsetSet) has(offset int64) bool {
	if offset < s.floor {
		return true
	}
	_, found := slices.BinarySearchFunc(s.runs, offset, func(r run, offset int64) int {
		switch {
		case r.last < offset:
			return -1
		case r.first > offset:
			return 1
		default:
			return 0
		}
	})
	return found
}

// add adds an offset.
func (s *offsetSet) add(offset int64) {
	if s.has(offset) {
		return
	}
	i, _ := slices.BinarySearchFunc(s.runs, offset, func(r run, offset int64) int { return int(r.first - offset) })
	s.runs = slices.Insert(s.runs, i, run{offset, offset})
	// Join the new run with the run behind it and with the run before it.
	if i+1 < len(s.runs) && s.runs[i+1].first == offset+1 {
		s.runs[i].last = s.runs[i+1].last
		s.runs = slices.Delete(s.runs, i+1, i+2)
	}
	if i > 0 && s.runs[i-1].last == offset-1 {
		s.runs[i-1].last = s.runs[i].last
		s.runs = slices.Delete(s.runs, i, i+1)
	}
	s.raise(s.floor)
}

// raise adds all offsets below floor, and raises the floor past each run that
// touches the floor.
func (s *offsetSet) raise(floor int64) {
	s.floor = max(s.floor, floor)
	for len(s.runs) > 0 && s.runs[0].first <= s.floor {
		s.floor = max(s.floor, s.runs[0].last+1)
		s.runs = s.runs[1:]
	}
}

func (s *offsetSet) clone() offsetSet { return offsetSet{s.floor, slices.Clone(s.runs)} }

// runsPrefix begins the text of runs and holds the version of the format.
const runsPrefix = "1:"

// runsBase is the base of the numbers in the text. A high base keeps the text short
// enough for the metadata of a commit.
const runsBase = 36

// encodeRuns returns the runs as text: "1:" and, for each run, "gap.length" or for
// a single offset "gap", separated by commas. A gap is the distance of the run
// from the end of the run before; the first gap is the distance from the floor.
// Without runs, encodeRuns returns "".
func (s *offsetSet) encodeRuns() string {
	if len(s.runs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(runsPrefix)
	end := s.floor // the offset after the run before
	for i, r := range s.runs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(r.first-end, runsBase))
		// A length of 1 is left out.
		if n := r.last - r.first + 1; n > 1 {
			b.WriteByte('.')
			b.WriteString(strconv.FormatInt(n, runsBase))
		}
		end = r.last + 1
	}
	return b.String()
}

// decodeOffsetSet reads the text of encodeRuns. floor is the floor of the set. Any
// other text, written by another version or another program, is an error.
func decodeOffsetSet(floor int64, text string) (offsetSet, error) {
	s := offsetSet{floor: floor}
	if text == "" {
		return s, nil
	}
	runs, ok := strings.CutPrefix(text, runsPrefix)
	if !ok {
		return s, fmt.Errorf("%.50q does not begin with %q: another version of footfall, or another program, wrote it", text, runsPrefix)
	}
	end := floor // the offset after the run before
	for one := range strings.SplitSeq(runs, ",") {
		gap, length, long := strings.Cut(one, ".")
		if !long {
			length = "1"
		}
		g, err := strconv.ParseUint(gap, runsBase, 62)
		n, err2 := strconv.ParseUint(length, runsBase, 62)
		// A gap of 0 would make the run touch the one before.
		if err != nil || err2 != nil || g == 0 || n == 0 {
			return s, fmt.Errorf("%.50q is not a run of offsets", one)
		}
		first := end + int64(g)
		end = first + int64(n)
		if first < 0 || end < first { // the sum has overflowed
			return s, fmt.Errorf("%.50q goes beyond the greatest offset", one)
		}
		s.runs = append(s.runs, run{first, end - 1})
	}
	return s, nil
}
