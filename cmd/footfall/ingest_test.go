package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/local"
	"footfall/shared/ingest/senders"
	"footfall/shared/stage"
)

// samplesDir is the folder of vendors' samples, beside the repository.
var samplesDir = filepath.Join(repository, "..", "shared", "samples")

// samples are the sightings that a reader of the senders' documentation expects of
// each sample, one entry per post.
var samples = []struct {
	kind, file string
	lines      bool // each line is a post
	want       []string
}{
	{senders.Meraki, "meraki_v3_wifi_masked.json", false, []string{`
heard 347e5c000001 by "a8:46:9d:00:00:63" at -60 dBm, 2021-11-23T14:01:49Z
heard 2816ad000002 by "a8:46:9d:00:00:63" at -92 dBm, 2021-11-23T14:01:42Z
heard f07960000003 by "a8:46:9d:00:00:63" at -88 dBm, 2021-11-23T14:01:43Z`}},
	{senders.Meraki, "meraki_v2_devices_seen.json", false, []string{`
heard 18fe34fc5a7f by "00:18:0a:13:dd:b0" at -48 dBm, 2016-09-24T00:06:23Z associated
heard 74da38560a80 by "00:18:0a:13:dd:b0" at -48 dBm, 2016-09-24T00:06:40Z associated`}},
	{senders.CloudTrax, "cloudtrax_presence_v1.json", false, []string{`
heard 009acde31549 by "ac:86:74:82:9a:30" at -55 dBm, 2016-10-07T17:18:15Z
heard 009acde31549 by "ac:86:74:82:9a:30" at -77 dBm, 2016-10-07T17:18:38Z
heard 9801a79e477f by "ac:86:74:82:9a:30" at -42 dBm, 2016-10-07T17:18:32Z
heard 9801a79e477f by "ac:86:74:82:9a:30" at -38 dBm, 2016-10-07T17:18:38Z
heard e29ffc7f1f42 by "ac:86:74:82:9a:30" at -65 dBm, 2016-10-07T17:18:34Z`}},
	{senders.Mist, "mist_wifi_unconn_raw.json", false, []string{`
heard 28f0762d221e by "ac:23:16:ec:a7:0b" at -92 dBm, ARRIVAL
heard 38f9d399086e by "ac:23:16:ec:a7:0b" at -94 dBm, ARRIVAL`}},
	{senders.Hostapd, "hostapd_syslog.txt", true, []string{
		`heard 0a510736ec3d by "wap-lib-1s" at -85 dBm, 2024-02-03T09:40:18Z associated`,
		`heard ec63d7f944c1 by "wap-b300-j" at -85 dBm, 2024-02-03T10:20:39Z associated`,
		`heard 6479f05b8ef7 by "wap-lib-0j" at 0 dBm, 2024-02-03T12:36:33.306Z associated`,
	}},
}

// Documented samples give the documented sightings once their times are those of
// today. Unchanged they are rejected: they are years old, or have another secret.
func TestSamplesGiveTheirSightings(t *testing.T) {
	if _, err := os.Stat(samplesDir); err != nil {
		t.Skipf("there are no samples in %s", samplesDir)
	}
	s := openShop(t, oneEnvironment)
	var want []string
	for _, c := range samples {
		body, err := os.ReadFile(filepath.Join(samplesDir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != senders.Mist { // without times
			if a, err := s.post(t.Context(), c.kind, body); err != nil || a.code() != "clock-skew" {
				t.Errorf("%s as it is: %d %s (%v), want clock-skew", c.file, a.status, a.body, err)
			}
		}
		posts := []string{string(body)}
		if c.lines {
			posts = strings.SplitAfter(strings.TrimSpace(string(body)), "\n")
		}
		for i, post := range posts {
			want = append(want, s.take(t, c.kind, post, c.want[i], newest(t, c.want[i]))...)
		}
	}
	s.wantOnTopics(t, want)
}

// oneEnvironment is an option: each environment of ingest remembers for itself which
// devices joined.
func oneEnvironment(o *local.Options) { o.Environments = 1 }

// arrivals matches times that stand for the arrival.
var arrivals = regexp.MustCompile(`ARRIVAL`)

// newest returns the latest time in lines.
func newest(t *testing.T, lines string) (latest time.Time) {
	t.Helper()
	for _, text := range postTimes[0].pattern.FindAllString(lines, -1) {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		if at.After(latest) {
			latest = at
		}
	}
	return latest
}

// take posts a body with its times moved to now, and returns the records that it
// should put on the topics, without the times that are those of the arrival.
func (s *shop) take(t *testing.T, kind, body, lines string, moment time.Time) (want []string) {
	t.Helper()
	now := time.Now()
	if moment.IsZero() {
		moment = now
	}
	later := now.Sub(moment).Truncate(time.Second)
	s.must(t, kind, s.moved(t, []byte(body), moment.Year(), later))
	lines = arrivals.ReplaceAllString(lines, moment.UTC().Format(time.RFC3339))
	for line := range strings.Lines(lines) { // all associations first: they count for the whole post
		s.expect(t, strings.TrimSpace(line), later, now)
	}
	for line := range strings.Lines(lines) {
		text, ok := s.expect(t, strings.TrimSpace(line), later, now)
		if ok && kind == senders.Mist {
			text = withoutTime(text)
		}
		if ok {
			want = append(want, text)
		}
	}
	return want
}

var sightingTime = regexp.MustCompile(`, [^ ]*Z,`)

func withoutTime(line string) string { return sightingTime.ReplaceAllString(line, ", at its arrival,") }

// wantOnTopics compares the records on the topics with the expected records. A sighting
// with the time of its arrival is compared without milliseconds.
func (s *shop) wantOnTopics(t *testing.T, want []string) {
	t.Helper()
	got := s.logins(t)
	arrived := map[string]bool{}
	for _, line := range want {
		arrived[line] = strings.Contains(line, "at its arrival")
	}
	for _, sighting := range s.routerSightings(t) {
		line := sightingLine(sighting)
		if age := time.Since(sighting.SeenAt); arrived[withoutTime(line)] && age >= 0 && age < time.Minute {
			line = withoutTime(line)
		}
		got = append(got, line)
	}
	wantSame(t, got, want)
}

// fixturesArrive is the time at which the fixtures arrive.
var fixturesArrive = time.Date(2026, 11, 21, 10, 1, 0, 0, time.UTC)

// Each fixture puts the sightings that its parser returns on the topics, as
// pseudonyms.
func TestFixturesGiveTheirSightings(t *testing.T) {
	s := openShop(t, oneEnvironment)
	golden, err := filepath.Glob(filepath.Join(repository, "shared", "ingest", "senders", "testdata", "*", "*.golden"))
	if err != nil || len(golden) < 10 {
		t.Fatalf("%d fixtures (%v)", len(golden), err)
	}
	var want []string
	for _, path := range golden {
		lines, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(strings.TrimSuffix(path, ".golden"))
		if err != nil {
			t.Fatal(err)
		}
		kind := filepath.Base(filepath.Dir(path))
		want = append(want, s.take(t, kind, string(body), string(lines), fixturesArrive)...)
	}
	s.wantOnTopics(t, want)
}

// A phone that Meraki hears for six minutes is a walk-in, attributed to the contact
// who logs in with it, and counted.
func TestAWalkInByPosts(t *testing.T) {
	s := openShop(t, func(*local.Options) {})
	now := time.Now().UTC()
	for minutes := 7; minutes >= 1; minutes-- {
		s.must(t, senders.Meraki, fmt.Appendf(nil, `{"version":"3.0","secret":"","type":"WiFi","data":{"networkId":"L_1","observations":[
			{"locations":[],"ssid":null,"clientMac":"00:00:5e:00:53:01","latestRecord":{"time":%q,"nearestApMac":"00:00:5e:00:53:f1","nearestApRssi":-58}},
			{"locations":[],"ssid":null,"clientMac":"00:00:5e:00:53:02","latestRecord":{"time":%[1]q,"nearestApMac":"00:00:5e:00:53:f1","nearestApRssi":-88}}]}}`,
			now.Add(-time.Duration(minutes)*time.Minute).Format(time.RFC3339)))
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := countWalkIns(t, s.Stack); got != 1 {
		t.Errorf("%d walk-ins, want that of the phone that is near", got)
	}
	if got := s.counted(t, "ann"); got != 0 {
		t.Errorf("ann is counted %d times before she has logged in", got)
	}
	s.must(t, senders.Footfall, fmt.Appendf(nil, `{"logins":[{"mac":"00-00-5E-00-53-01","contact":"ann","at":%q}]}`, now.Format(time.RFC3339)))
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.counted(t, "ann"); got != 1 {
		t.Errorf("ann is counted %d times, want once", got)
	}
}

// counted returns the number of walk-ins of a contact in the table.
func (s *shop) counted(t *testing.T, contact events.ContactID) (n int64) {
	t.Helper()
	deps, err := openDeps(t.Context(), s.Stack)
	if err != nil {
		t.Fatal(err)
	}
	defer deps.Close()
	months, err := deps.Counts.Get(t.Context(), stage.CountKey{Business: cafe, Contact: contact})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range months {
		n += m.Total
	}
	return n
}

// `footfall local` prints its URL for posts once it accepts them, for the businesses
// of the example. Meraki's dashboard validates the URL there.
func TestLocalSaysWhereItTakesPosts(t *testing.T) {
	c := localCmd{
		BrokerListen: "127.0.0.1:0", TablesListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0",
		businessesFlags: businessesFlags{Businesses: filepath.Join(repository, "examples", "businesses.json")},
		stackFlags:      stackFlags{Bin: binaries, Environments: 1},
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := c.Run(ctx, streams{out: write, err: t.Output()})
		ended <- errors.Join(err, write.Close())
	}()
	printed, validator := map[string]string{}, ""
	for lines := bufio.NewScanner(read); lines.Scan(); {
		name, address, _ := strings.Cut(lines.Text(), " ")
		printed[name] = strings.TrimSpace(address)
		if name != "running" {
			continue
		}
		response, err := http.Get(printed["ingest"] + "/v1/cafe-1/meraki")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		validator = string(text)
		stop()
	}
	if err := <-ended; err != nil || validator != "example-validator-of-cafe-1" {
		t.Errorf("printed %q, answered %q and ended with %v", printed, validator, err)
	}
}
