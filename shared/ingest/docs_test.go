package ingest

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"footfall/shared/business"
	"footfall/shared/ingest/senders"
)

func guide(t *testing.T) string {
	t.Helper()
	return string(must(os.ReadFile("../../docs/ingest.md")))
}

// The example of the guide, with the signature that openssl computes for it, is
// answered as the guide prints.
func TestExampleOfTheGuide(t *testing.T) {
	text := guide(t)
	post := regexp.MustCompile("(?s)```json\n(.*?)\n```").FindStringSubmatch(text)[1]
	sum := regexp.MustCompile("the signature is `([0-9a-f]{64})`").FindStringSubmatch(text)[1]
	key := regexp.MustCompile("secret='(.*?)'").FindStringSubmatch(text)[1]
	want := regexp.MustCompile(`\n    (\{"accepted".*)\n`).FindStringSubmatch(text)[1]

	h := newHarness(t)
	h.businesses.change(func(e *business.Entrance) { e.Senders[senders.Footfall] = business.Sender{Secrets: []string{key}} })
	r := newRequest(http.MethodPost, pathTo(cafe, senders.Footfall), map[string]string{"X-Footfall-Signature": sum, "Content-Type": "application/json"}, []byte(post))
	checkRequest(t, r)
	if a := h.invoke(t, r); a.status != http.StatusOK || a.body != want {
		t.Errorf("got %d %s, want 200 %s", a.status, a.body, want)
	}
}

// The guide lists the statuses with their codes, and the reasons, of the code and
// the document.
func TestGuideHasEveryCode(t *testing.T) {
	code := regexp.MustCompile("`([a-z-]+)`")
	got, reasons := map[outcome]bool{}, []string{}
	for line := range strings.Lines(guide(t)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		var status int
		switch n, _ := fmt.Sscanf(cells[1], "%d", &status); {
		case n == 1:
			for _, c := range code.FindAllStringSubmatch(cells[2], -1) {
				got[outcome{status, c[1]}] = true
			}
		case len(cells) == 4:
			for _, c := range code.FindAllStringSubmatch(cells[1], -1) {
				reasons = append(reasons, c[1])
			}
		}
	}
	want := rejectionsInSource(t)
	for code, status := range senders.Codes() {
		want[outcome{status, code}] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("the guide has\n%v, the code\n%v", sortedOutcomes(got), sortedOutcomes(want))
	}
	slices.Sort(reasons)
	if all := slices.Sorted(maps.Keys(openAPI(t).Components.Schemas["LeftOut"].Value.Properties)); !slices.Equal(reasons, all) {
		t.Errorf("the guide has %q, the document %q", reasons, all)
	}
}
