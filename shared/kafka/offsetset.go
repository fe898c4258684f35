package kafka

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// offsetSet is a set of offsets of one partition: all those below floor, and
// runs above it that neither touch one another nor the floor.
type offsetSet struct {
	floor int64
	runs  []run // in ascending order
}

// run is the offsets from first to last.
type run struct{ first, last int64 }

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

// add puts an offset in.
func (s *offsetSet) add(offset int64) {
	if s.has(offset) {
		return
	}
	i, _ := slices.BinarySearchFunc(s.runs, offset, func(r run, offset int64) int { return int(r.first - offset) })
	s.runs = slices.Insert(s.runs, i, run{offset, offset})
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

// raise puts in all offsets below floor.
func (s *offsetSet) raise(floor int64) {
	s.floor = max(s.floor, floor)
	for len(s.runs) > 0 && s.runs[0].first <= s.floor {
		s.floor = max(s.floor, s.runs[0].last+1)
		s.runs = s.runs[1:]
	}
}

func (s *offsetSet) clone() offsetSet { return offsetSet{s.floor, slices.Clone(s.runs)} }

// runsPrefix marks the text of runs, with the version of its form.
const runsPrefix = "1:"

// runsBase keeps the text short: it has to fit beside a committed offset.
const runsBase = 36

// encodeRuns writes the runs as gap.length pairs, each gap from the end of the
// run before it, or from the floor.
func (s *offsetSet) encodeRuns() string {
	if len(s.runs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(runsPrefix)
	end := s.floor
	for i, r := range s.runs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(r.first-end, runsBase))
		if n := r.last - r.first + 1; n > 1 {
			b.WriteByte('.')
			b.WriteString(strconv.FormatInt(n, runsBase))
		}
		end = r.last + 1
	}
	return b.String()
}

// decodeOffsetSet reads what encodeRuns wrote.
func decodeOffsetSet(floor int64, text string) (offsetSet, error) {
	s := offsetSet{floor: floor}
	if text == "" {
		return s, nil
	}
	runs, ok := strings.CutPrefix(text, runsPrefix)
	if !ok {
		return s, fmt.Errorf("%.50q was not written by a redrive that this version knows", text)
	}
	end := floor
	for one := range strings.SplitSeq(runs, ",") {
		gap, length, long := strings.Cut(one, ".")
		if !long {
			length = "1"
		}
		g, err := strconv.ParseUint(gap, runsBase, 62)
		n, err2 := strconv.ParseUint(length, runsBase, 62)
		if err != nil || err2 != nil || g == 0 || n == 0 {
			return s, fmt.Errorf("%.50q is no run of offsets", one)
		}
		first := end + int64(g)
		end = first + int64(n)
		if first < 0 || end < first {
			return s, fmt.Errorf("%.50q goes beyond all offsets", one)
		}
		s.runs = append(s.runs, run{first, end - 1})
	}
	return s, nil
}
