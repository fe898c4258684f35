//go:build linux

package soak

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"footfall/events"
)

// figures are what a run came to.
type figures struct {
	seed             uint64
	fed, devices     int
	crm, ticks       int64
	done             counters
	failed           int   // batches that failed and were given again
	failedRecords    int64 // records in them
	refused          int   // commits of who was no member of the group any more
	restarts         int   // function processes that ended and were started anew
	inputAgain       int64 // produce calls of the test's own that had to be repeated
	untilFed         time.Duration
	untilDone        time.Duration
	wall             time.Duration    // with the replay and reading back
	told             map[string]int64 // records on each topic before the replay
	collected        *account
	plantedByTheTest int
}

// Lines of a poller's log: what failed and is given again, a commit that came
// too late, and the end of a function process.
var (
	batchFailed   = regexp.MustCompile(`msg="batch failed".*records="\S+ offsets (\d+) to (\d+)"`)
	commitRefused = regexp.MustCompile(`msg="cannot commit".*(ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID)`)
	processDied   = `msg="function process ended"`
)

// readLog counts what the pollers wrote down.
func (f *figures) readLog(dir string) error {
	file, err := os.Open(filepath.Join(dir, "pollers.log"))
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), processDied) {
			f.restarts++
		}
		if commitRefused.MatchString(lines.Text()) {
			f.refused++
		}
		found := batchFailed.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		first, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			return err
		}
		last, err := strconv.ParseInt(found[2], 10, 64)
		if err != nil {
			return err
		}
		f.failed++
		f.failedRecords += last - first + 1
	}
	return lines.Err()
}

// print prints the figures in two columns.
func (f *figures) print(to io.Writer) error {
	a, t := f.collected, tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(n any, what string, notes ...any) { fmt.Fprintf(t, "%v\t  %s\n", n, fmt.Sprintf(what, notes...)) }
	row(f.seed, "the seed")
	row(f.fed, "sightings of %d devices in %d partitions, %d CRM events, %d ticks", f.devices, partitions, f.crm, f.ticks)
	row(f.done.kills(), "kill -9: %d of functions, %d of pollers, %d of the broker, %d of the table server",
		f.done.functions, f.done.pollers, f.done.brokers, f.done.tables)
	row(f.done.duplicates, "duplicate pollers, the first one frozen until its partitions were given away")
	row(f.done.rewinds, "committed offsets set back, by %d records in all", f.done.rewound)
	row(f.refused, "commits refused, of who was no member of the group any more")
	row(f.failed, "failed batches given again, with %d records", f.failedRecords)
	row(f.restarts, "function processes started anew")
	row(f.inputAgain, "inputs put again, since the broker did not answer")
	row(f.again(events.WalkIns, len(a.walkIns)), "walk-ins told again")
	row(f.again(events.EnrichedWalkIns, 2*len(a.enriched)), "enriched walk-ins told again, once with its end each apart")
	row(f.done.replayed, "records once more from the beginning, after all that")
	row(len(a.planted), "bad records planted, %d dead letters", a.letters)
	row(len(a.walkIns), "walk-ins, each once and ended")
	row(len(a.residentEnds), "visits of residents, each ended; %d sightings ruled out, %d devices heard around a change of rules", a.excluded, len(a.changed))
	row(len(a.enriched), "of a known contact, of %d pending in the table", len(a.pending))
	row(len(a.counted), "counted, each once, %d of them as one visit with another, for %d contacts by %d months", a.companions(), len(a.counts), len(a.totals))
	row(f.untilFed.Round(time.Second), "until all was fed, %s until all was done: %.0f sightings a second; %s with all checks",
		f.untilDone.Round(time.Second), float64(f.fed)/f.untilDone.Seconds(), f.wall.Round(time.Second))
	return t.Flush()
}

// again says how many records of a topic told what others had told before the
// replay.
func (f *figures) again(topic string, distinct int) int64 {
	n := f.told[topic] - int64(distinct)
	for at := range f.collected.planted {
		if at.topic == topic {
			n--
		}
	}
	return n
}
