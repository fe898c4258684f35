package events

import "testing"

// In each case the records are ordered from the oldest to the newest.
func TestNewerRecordOfAVisit(t *testing.T) {
	open, short, long := EnrichedWalkIn{}, EnrichedWalkIn{Ended: true}, EnrichedWalkIn{Ended: true, DwellMillis: 60_000}
	version := func(r EnrichedWalkIn, v int64) EnrichedWalkIn { r.Version = v; return r }
	for name, all := range map[string][]EnrichedWalkIn{
		"with versions":            {version(open, 1), version(short, 2), version(long, 60_002)},
		"the version decides":      {version(long, 1), version(open, 2)},
		"without versions":         {open, short, long},
		"of two releases":          {version(open, 1), short, version(long, 60_002)},
		"of two releases, swapped": {open, version(short, 2), long},
	} {
		for i := range all {
			for j := range all {
				if got := all[i].Newer(&all[j]); got != (i > j) {
					t.Errorf("%s: record %d newer than record %d: got %v", name, i, j, got)
				}
			}
		}
	}
}
