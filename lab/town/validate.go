package town

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"footfall/events"
)

// maxDisorder is the longest delay of posts that still count as in order.
const maxDisorder = 2 * time.Minute

const day = 24 * time.Hour

// mistakes collects the mistakes in a configuration.
type mistakes struct{ errs []error }

// check adds a mistake unless ok.
func (m *mistakes) check(ok bool, format string, args ...any) {
	if !ok {
		m.errs = append(m.errs, fmt.Errorf(format, args...))
	}
}

// share checks that v is within [0, 1].
func (m *mistakes) share(name string, v float64) {
	m.check(v >= 0 && v <= 1, "%s %v is not within [0, 1]", name, v) // false for NaN too
}

// Validate reports every mistake in the configuration, joined, or nil.
func (c Config) Validate() error {
	m := new(mistakes)
	m.check(c.Start.Equal(c.Start.UTC().Truncate(day)) && c.Start.Year() >= 2000 && c.Start.Year() < 2090,
		"start %v is not a midnight UTC of the years 2000 to 2089", c.Start)
	m.check(c.Duration > 0 && c.Duration <= 366*day, "duration %v is not within (0, 366 days]", c.Duration)
	m.check(len(c.Key) > 0, "the key for pseudonyms is missing")
	m.check(len(c.Businesses) > 0, "there are no businesses")
	// Each business, with a unique id.
	seen := map[events.BusinessID]bool{}
	for _, b := range c.Businesses {
		m.check(!seen[b.ID], "business %q is listed twice", b.ID)
		seen[b.ID] = true
		m.business(b, c.People.RegularShare)
	}
	// The settings of the whole town.
	m.people(c.People)
	m.phones(c.Phones)
	m.posts(c.Posts)
	m.check(c.CRM.Merges >= 0 && c.CRM.Deletions >= 0, "merges %d or deletions %d are below 0", c.CRM.Merges, c.CRM.Deletions)
	m.check(c.CRM.Quiet >= 0, "quiet time %v of contacts is below 0", c.CRM.Quiet)
	return errors.Join(m.errs...)
}

// business checks one store. The length of its id is bounded so that the ids of
// contacts, which begin with it, are valid.
func (m *mistakes) business(b Business, regularShare float64) {
	m.check(b.ID != "" && !strings.Contains(string(b.ID), "/") && len(b.ID) <= events.MaxIDBytes/2,
		"business %q is not a name of up to %d bytes without '/'", b.ID, events.MaxIDBytes/2)
	m.check(b.Routers >= 1 && b.Routers <= 100, "%s: %d routers are not within [1, 100]", b.ID, b.Routers)
	m.check(b.Open >= 0 && b.Close <= day && b.Close-b.Open >= time.Hour,
		"%s: it opens at %v and closes at %v, not an hour or more within one day", b.ID, b.Open, b.Close)
	m.check(b.Visits >= 0 && b.Visits <= 100_000, "%s: %d visits are not within [0, 100000]", b.ID, b.Visits)
	m.check(b.Visits == 0 || b.Stay >= minStay && b.Stay <= 12*time.Hour, "%s: median stay %v is not within [%v, 12h]", b.ID, b.Stay, minStay)
	m.check(b.PassersBy >= 0 && b.PassersBy <= 100_000, "%s: %d passers-by are not within [0, 100000]", b.ID, b.PassersBy)
	m.check(b.Neighbours >= 0 && b.Statics >= 0 && b.Employees >= 0, "%s: %d neighbours, %d static devices or %d employees are below 0",
		b.ID, b.Neighbours, b.Statics, b.Employees)
	need := int(math.Ceil(float64(b.Visits) * regularShare))
	m.check(b.Regulars >= need, "%s: %d regulars are too few for their %d visits a day", b.ID, b.Regulars, need)
}

// people checks the behaviour of visitors.
func (m *mistakes) people(p People) {
	m.share("share of regulars", p.RegularShare)
	m.share("share of returns", p.ReturnShare)
	m.share("share of logins", p.LoginShare)
	m.share("share of second devices", p.SecondDevice)
	m.share("share of loiterers", p.Loiterers)
	m.share("share of people who step in", p.StepIns)
	m.check(p.LoginShare == 0 || p.LoginAfter > 0, "login after %v is not above 0", p.LoginAfter)
}

// phones checks the behaviour of phones.
func (m *mistakes) phones(p Phones) {
	m.share("share of random addresses", p.Randomised)
	m.share("share of passers-by's random addresses", p.PasserByRandomised)
	m.share("share of joined devices", p.Joined)
	sum := 0.0 // below 1 some draws would select no silence
	for i, s := range p.Silences {
		m.share(fmt.Sprintf("share of silence %d", i+1), s.Share)
		m.check(s.Min >= time.Second && s.Max >= s.Min, "silence %d lasts from %v to %v, not a second or more", i+1, s.Min, s.Max)
		sum += s.Share
	}
	m.check(math.Abs(sum-1) < 1e-6, "the shares of the silences add up to %v, not 1", sum)
}

// posts checks that sightings outside of outages are at most maxDisorder out of
// order: a sighting waits for the next post, the post is delayed, and may be
// repeated.
func (m *mistakes) posts(p Posts) {
	m.check(p.Every >= time.Second, "posts every %v are more than one a second", p.Every)
	m.check(p.Delay >= 0, "delay %v of posts is below 0", p.Delay)
	m.check(p.Every+p.Delay+RepeatWithin <= maxDisorder,
		"posts every %v, up to %v late and repeated within %v, are more than %v out of order", p.Every, p.Delay, RepeatWithin, maxDisorder)
	m.share("share of repeated posts", p.Repeated)
	m.check(p.Outages >= 0 && p.Outages <= 10_000, "%d outages are not within [0, 10000]", p.Outages)
}
