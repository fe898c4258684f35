package ingest

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
)

// moment is {{now-60:iso}}: so many seconds before the arrival of the post, in the
// named form.
var moment = regexp.MustCompile(`\{\{now(-\d+)?:(\w+)\}\}`)

// momentForms writes a time in each form that the cases name.
var momentForms = map[string]func(time.Time) string{
	"iso":    func(at time.Time) string { return at.Format(time.RFC3339) },
	"basic":  func(at time.Time) string { return at.Format("2006-01-02T15:04:05-0700") },
	"nozone": func(at time.Time) string { return at.Format("2006-01-02T15:04:05") },
	"space":  func(at time.Time) string { return at.Format("2006-01-02 15:04:05-07:00") },
	"epoch":  func(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) },
	"us":     func(at time.Time) string { return strconv.FormatInt(at.UnixMicro(), 10) },
	"float":  func(at time.Time) string { return fmt.Sprintf("%d.%03d", at.Unix(), at.Nanosecond()/1e6) },
	"ctime":  func(at time.Time) string { return at.Format(time.ANSIC) },
	"stamp":  func(at time.Time) string { return at.Format(time.Stamp) },
}

// caseBody returns the post of a case, with the times of a post that arrives at
// now.
func caseBody(t testing.TB, name string, now time.Time) []byte {
	t.Helper()
	text := must(os.ReadFile(filepath.Join("testdata", "cases", name)))
	return moment.ReplaceAllFunc(text, func(m []byte) []byte {
		parts := moment.FindSubmatch(m)
		form := momentForms[string(parts[2])]
		if form == nil {
			t.Fatalf("%s: no form of time is named %s", name, m)
		}
		seconds, _ := strconv.Atoi(string(parts[1]))
		return []byte(form(now.Add(time.Duration(seconds) * time.Second)))
	})
}

// The posts of testdata/cases are what operators' own tools posted. Each is
// answered as its line of the table says.
func TestPostsOfOperators(t *testing.T) {
	type want struct {
		status   int
		code     string
		accepted int
		devices  int
		leftOut  map[string]int
	}
	const (
		ok            = http.StatusOK
		unprocessable = http.StatusUnprocessableEntity
	)
	for name, c := range map[string]struct {
		kind string
		want want
	}{
		"20-mist-topic-c20.json":         {senders.Mist, want{status: ok, leftOut: map[string]int{"unknown-topic": 1}}},
		"50-hostapd-stay-with-roam.txt":  {senders.Hostapd, want{status: ok, accepted: 2, devices: 1}},
		"51-randomised-two-routers.json": {senders.Footfall, want{status: ok, accepted: 14, devices: 1}},
		"51b-universal-two-routers.json": {senders.Footfall, want{status: ok, accepted: 14, devices: 1}},
		"52-hostapd-line-forms.txt":      {senders.Hostapd, want{status: ok, accepted: 9, devices: 9, leftOut: map[string]int{"unknown-line": 1}}},
		"52b-rfc5424.txt":                {senders.Hostapd, want{status: ok, accepted: 2, devices: 2}},
		"52c-other-forms.txt":            {senders.Hostapd, want{status: ok, accepted: 17, devices: 17}},
		"52d-nothing-of-use.txt":         {senders.Hostapd, want{status: unprocessable, code: "nothing-usable"}},
		"53-poll-ok.txt":                 {senders.Hostapd, want{status: ok, accepted: 4, devices: 1}},
		"63-meraki-bom.json":             {senders.Meraki, want{status: ok, accepted: 1, devices: 1}},
		"64-times.json": {senders.Footfall, want{status: ok, accepted: 5, devices: 5,
			leftOut: map[string]int{"bad-time": 1, "bad-mac": 1, "bad-rssi": 1}}},
		"64b-no-zone.json": {senders.Footfall, want{status: unprocessable, code: "nothing-usable"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.businesses.change(func(e *business.Entrance) {
				e.Senders[senders.Meraki] = business.Sender{Secrets: []string{"example-secret-of-cafe-1"}}
			})
			a := h.post(t, cafe, c.kind, caseBody(t, name, h.now))
			devices := map[events.DeviceID]bool{}
			for _, s := range h.sightings(t) {
				devices[s.Device] = true
			}
			got := want{a.status, a.code, a.accepted, len(devices), a.leftOut}
			if got.status != c.want.status || got.code != c.want.code || got.accepted != c.want.accepted ||
				got.devices != c.want.devices || !maps.Equal(got.leftOut, c.want.leftOut) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}

	// Every case has a line in the table.
	for _, path := range must(filepath.Glob("testdata/cases/*")) {
		if !strings.Contains(string(must(os.ReadFile("cases_test.go"))), strconv.Quote(filepath.Base(path))) {
			t.Errorf("%s is in no line of the table", path)
		}
	}
}
