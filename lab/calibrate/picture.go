package calibrate

import (
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
)

// Sizes of the picture in its own units, about one pixel of a phone each: the
// panels stand below each other, none wider than a phone.
const (
	pictureWidth = 360
	panelHeight  = 150
	panelGap     = 62
	leftEdge     = 46
	rightEdge    = 12
	topEdge      = 84
	weakestShown = -100
	loudestShown = -30
)

// bar is a value at a signal strength in dBm.
type bar struct {
	level int32
	value float64
}

// panel is one chart over the signal strength.
type panel struct {
	title, colour string
	bars          []bar
	line          bool
	format        string  // fmt format of the values beside the axis
	limit         float64 // a line drawn across at this value, 0 for none
}

// Picture writes an SVG that shows the data behind a choice over the signal
// strength: the number of sightings, and by entry threshold the false walk-ins
// in empty hours and the visits found. levels counts sightings as
// offline.Trace.Levels does; limit is Input.Limit.
func Picture(w io.Writer, c Choice, levels [128]int64, limit float64) error {
	// Collect the panels; false walk-ins are shown only if enough empty hours
	// are known.
	panels := []panel{{title: "sightings per dBm", colour: "#5b6b7f", bars: histogram(levels), format: "%.0f"}}
	if c.Margin > 0 {
		p := panel{title: "false walk-ins per 100 empty hours", colour: "#b3261e", line: true, format: "%.1f", limit: limit}
		for _, e := range c.Entries {
			p.bars = append(p.bars, bar{e.Entry, e.Figures.Empty.Per100()})
		}
		panels = append(panels, p)
	}
	panels = append(panels, foundPanel(c))
	// Draw the title, the chosen thresholds and the panels.
	height := topEdge + len(panels)*(panelHeight+panelGap)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="100%%" style="max-width:720px" font-family="sans-serif" font-size="12" fill="#1d2733">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", pictureWidth, height)
	text(&b, 12, 22, "start", `font-size="15" font-weight="bold"`, "Thresholds, over signal strength in dBm")
	text(&b, 12, 42, "start", `fill="#0b6e4f"`, fmt.Sprintf("entry %d dBm (solid line)", c.Settings.Entry))
	text(&b, 348, 42, "end", `fill="#0b6e4f"`, fmt.Sprintf("hold %d dBm (dashed line)", c.Settings.Hold))
	for i, p := range panels {
		p.draw(&b, topEdge+i*(panelHeight+panelGap), c)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// histogram returns the sightings per dBm in the range that is shown.
func histogram(levels [128]int64) []bar {
	var bars []bar
	for n := -loudestShown; n <= -weakestShown; n++ {
		bars = append(bars, bar{int32(-n), float64(levels[n])})
	}
	return bars
}

// foundPanel shows the share of true visits found, or, if no truth is known,
// the number of walk-ins.
func foundPanel(c Choice) panel {
	p := panel{title: "walk-ins by entry threshold", colour: "#1f5fa8", line: true, format: "%.0f"}
	for _, e := range c.Entries {
		value := float64(e.Figures.WalkIns)
		if v := e.Figures.Visits; v != nil && v.True > 0 {
			p.title, p.format = "visits found by entry threshold", "%.0f %%"
			value = 100 * float64(v.Found) / float64(v.True)
		}
		p.bars = append(p.bars, bar{e.Entry, value})
	}
	return p
}

// x returns the horizontal position of a signal strength.
func x(level float64) float64 {
	return leftEdge + (level-weakestShown)/(loudestShown-weakestShown)*(pictureWidth-leftEdge-rightEdge)
}

// draw draws the panel with its upper edge at top.
func (p panel) draw(b *strings.Builder, top int, c Choice) {
	// The axis reaches from 0 to a round number above all values.
	most := p.limit
	for _, v := range p.bars {
		most = max(most, v.value)
	}
	most = nice(most)
	y := func(v float64) float64 { return float64(top) + panelHeight*(1-v/most) }
	// Title, grid lines and the labels of both axes.
	text(b, 12, float64(top)-10, "start", `font-weight="bold"`, p.title)
	for _, share := range []float64{0, 0.5, 1} {
		v := share * most
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dfe4ea"/>`+"\n", leftEdge, y(v), pictureWidth-rightEdge, y(v))
		text(b, leftEdge-5, y(v)+4, "end", `font-size="10"`, short(p.format, v))
	}
	for level := weakestShown; level <= loudestShown; level += 10 {
		text(b, x(float64(level)), float64(top+panelHeight)+15, "middle", `font-size="10"`, strconv.Itoa(level))
	}
	// The limit, then the values.
	if p.limit > 0 {
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#b3261e" stroke-dasharray="2 3"/>`+"\n", leftEdge, y(p.limit), pictureWidth-rightEdge, y(p.limit))
	}
	if p.line {
		p.polyline(b, y)
	} else {
		wide := x(1) - x(0)
		for _, v := range p.bars {
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x(float64(v.level))-wide/2, y(v.value), wide*0.85, y(0)-y(v.value), p.colour)
		}
	}
	// The chosen thresholds.
	for _, at := range []struct {
		level int32
		dash  string
	}{{c.Settings.Entry, ""}, {c.Settings.Hold, ` stroke-dasharray="5 4"`}} {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#0b6e4f" stroke-width="2"%s/>`+"\n", x(float64(at.level)), top, x(float64(at.level)), top+panelHeight, at.dash)
	}
}

// polyline draws the values as a line.
func (p panel) polyline(b *strings.Builder, y func(float64) float64) {
	points := make([]string, len(p.bars))
	for i, v := range p.bars {
		points[i] = fmt.Sprintf("%.1f,%.1f", x(float64(v.level)), y(v.value))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), p.colour)
}

// nice rounds up to 1, 2, 3, 4, 6 or 8 times a power of ten, so that the axis
// has round numbers; 100 stays 100.
func nice(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, f := range []float64{1, 2, 3, 4, 6, 8} {
		if most <= f*power {
			return f * power
		}
	}
	return 10 * power
}

// short formats a value, thousands from 10,000 on as k.
func short(format string, v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%.4gk", v/1000)
	}
	return fmt.Sprintf(format, v)
}

// text writes one line of text; more holds further attributes.
func text(b *strings.Builder, x, y float64, anchor, more, what string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(what))
}
