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

// figures are the counts of a run.
type figures struct {
	seed             uint64
	fed, devices     int
	crm, ticks       int64
	done             counters
	failed           int   // batches that failed and were redelivered
	failedRecords    int64 // records in these batches
	commitsRejected  int   // because the poller was no longer a member of the group
	restarts         int   // function processes started in place of one that ended
	inputRepeats     int64 // produce calls of the test itself that had to be repeated
	untilFed         time.Duration
	untilDone        time.Duration
	wall             time.Duration    // with the replay and the comparison
	beforeReplay     map[string]int64 // records on each topic before the replay
	collected        *account
	plantedByTheTest int
}

// Lines of a poller's log: a batch that failed and is redelivered, a commit
// that the broker rejected because the poller had left the group, and the end
// of a function process.
var (
	batchFailed    = regexp.MustCompile(`"message":"batch failed".*"records":"\S+ offsets (\d+) to (\d+)"`)
	commitRejected = regexp.MustCompile(`"message":"cannot commit".*(ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID)`)
	processDied    = `"message":"function process ended`
)

// readLog counts these lines in the pollers' log.
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
		if commitRejected.MatchString(lines.Text()) {
			f.commitsRejected++
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

// print writes the figures as a table of two columns.
func (f *figures) print(to io.Writer) error {
	a, t := f.collected, tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(n any, what string, notes ...any) { fmt.Fprintf(t, "%v\t  %s\n", n, fmt.Sprintf(what, notes...)) }
	row(f.seed, "seed")
	row(f.fed, "sightings of %d devices in %d partitions, %d CRM events, %d ticks", f.devices, partitions, f.crm, f.ticks)
	row(f.done.kills(), "processes killed with kill -9: functions %d, pollers %d, broker %d, table server %d",
		f.done.functions, f.done.pollers, f.done.brokers, f.done.tables)
	row(f.done.duplicates, "second pollers, the first one frozen until its partitions were reassigned")
	row(f.done.rewinds, "committed offsets set back, by %d records in all", f.done.rewound)
	row(f.commitsRejected, "commits rejected, because the poller was no longer a member of the group")
	row(f.failed, "failed batches redelivered, with %d records", f.failedRecords)
	row(f.restarts, "function processes restarted")
	row(f.inputRepeats, "produce calls of the input repeated, because the broker did not answer")
	row(f.repeats(events.WalkIns, len(a.walkIns)), "walk-ins produced again")
	row(f.repeats(events.EnrichedWalkIns, 2*len(a.enriched)), "enriched walk-ins produced again, apart from one each with its end")
	row(f.done.replayed, "records redelivered from the beginning, after all faults")
	row(len(a.planted), "bad records planted, %d dead letters", a.deadLetterCount)
	row(len(a.walkIns), "walk-ins, each once and ended")
	row(len(a.residentEnds), "visits of resident devices, each ended; %d sightings excluded, %d devices heard around a change of rules", a.excluded, len(a.rulesChanged))
	row(len(a.enriched), "walk-ins attributed to a contact, of %d in the table pending", len(a.pending))
	row(len(a.counted), "walk-ins counted, each once, %d of them companions, for %d contacts in %d contact-months", a.companions(), len(a.counts), len(a.totals))
	row(f.untilFed.Round(time.Second), "until all input was fed, %s until all was processed: %.0f sightings a second; %s with all checks",
		f.untilDone.Round(time.Second), float64(f.fed)/f.untilDone.Seconds(), f.wall.Round(time.Second))
	return t.Flush()
}

// repeats returns how many records of a topic were produced again before the
// replay. distinct is the number of different records, without planted ones.
func (f *figures) repeats(topic string, distinct int) int64 {
	n := f.beforeReplay[topic] - int64(distinct)
	for at := range f.collected.planted {
		if at.topic == topic {
			n--
		}
	}
	return n
}
