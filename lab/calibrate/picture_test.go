package calibrate

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"footfall/lab/score"
	"footfall/shared/business"
)

// drawn holds the parts that a reader of the picture finds in it.
type drawn struct {
	texts  []string
	widest float64
}

func parse(t *testing.T, svg []byte) (d drawn) {
	t.Helper()
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return d
		}
		if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(e)); s != "" {
				d.texts = append(d.texts, s)
			}
		case xml.StartElement:
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
				if v, err := strconv.ParseFloat(a.Value, 64); err == nil && strings.HasPrefix(a.Name.Local, "x") {
					d.widest = max(d.widest, v)
				}
			}
		}
	}
}

func TestPicture(t *testing.T) {
	trace := load(t, sequence(
		stays("guest", -50, time.Hour, 30*time.Minute), stays("neighbour", -66, 30*time.Hour, 30*time.Minute),
	))
	empty := []score.Span{{From: monday.Add(29 * time.Hour), To: monday.Add(99 * time.Hour)}}
	truth := []score.Visit{{Business: "shop", Device: "guest", Enter: monday.Add(time.Hour), Leave: monday.Add(2 * time.Hour)}}
	for _, c := range []struct {
		why  string
		k    score.Reference
		want []string
		not  string
	}{
		{"everything known", score.Reference{Truth: truth, Empty: empty}, []string{"false walk-ins per 100 empty hours", "visits found by entry threshold", "100 %"}, "walk-ins by entry threshold"},
		{"head-counts only", score.Reference{Empty: empty}, []string{"false walk-ins per 100 empty hours", "walk-ins by entry threshold"}, "visits found"},
		{"nothing known", score.Reference{}, []string{"sightings per dBm", "walk-ins by entry threshold", "entry -70 dBm (solid line)"}, "false walk-ins"},
	} {
		choice, err := Choose(Input{Trace: trace, Known: c.k, Base: business.Defaults(), Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		var svg bytes.Buffer
		if err := Picture(&svg, choice, trace.Levels, 1); err != nil {
			t.Fatal(err)
		}
		d := parse(t, svg.Bytes())
		all := strings.Join(d.texts, "\n")
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: %q is not in it:\n%s", c.why, want, all)
			}
		}
		if strings.Contains(all, c.not) {
			t.Errorf("%s: %q is in it", c.why, c.not)
		}
		if d.widest > pictureWidth {
			t.Errorf("%s: something is drawn at %v, beyond %d", c.why, d.widest, pictureWidth)
		}
	}
}

func TestAxisNumbers(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 0.7: 0.8, 1: 1, 11: 20, 100: 100, 18500: 20000} {
		if got := nice(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("up to %v the axis goes to %v, want %v", v, got, want)
		}
	}
}
