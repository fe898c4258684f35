package town

import (
	"time"

	"footfall/events"
	"footfall/lab/recording"
)

// outage is a time during which one router cannot post.
type outage struct {
	shop, router int
	from, to     time.Time
}

// outagesOf draws the outages of a day, which begin while the store is open and
// whose backlog arrives on the same day.
func (p *plan) outagesOf(midnight time.Time) []outage {
	d := newDice(p.config.Seed, outageStream, uint64(midnight.Unix()))
	var out []outage
	for range p.config.Posts.Outages {
		s := p.shops[d.IntN(len(p.shops))]
		last := max(s.Open, s.Close-OutageLength-BacklogAfter)
		from := midnight.Add(d.between(s.Open, last+time.Second))
		out = append(out, outage{s.index, d.IntN(s.Routers), from, from.Add(OutageLength)})
	}
	return out
}

// post lets a sighting arrive with the next post of its router, twice if that
// is repeated.
func (t *today) post(s *shop, router int, sighting events.Sighting) {
	arrived, again := t.arrival(s, router, sighting.SeenAt)
	t.items = append(t.items, recording.Item{Sighting: sighting, ArrivedAt: arrived})
	if !again.IsZero() {
		t.items = append(t.items, recording.Item{Sighting: sighting, ArrivedAt: again})
	}
}

// arrival says when the post arrives that tells of the moment seen, and when it
// arrives again; zero for never.
func (t *today) arrival(s *shop, router int, seen time.Time) (first, again time.Time) {
	for _, o := range t.outages {
		if o.shop == s.index && o.router == router && !seen.Before(o.from) && seen.Before(o.to) {
			return o.to.Add(BacklogAfter), time.Time{}
		}
	}
	posts := t.plan.config.Posts
	every := posts.Every.Milliseconds()
	which := hash(t.plan.config.Seed, postStream, uint64(s.index), uint64(router))
	phase := int64(unit(which) * float64(every)) // routers do not post all at once
	number := (seen.UnixMilli()-phase)/every + 1
	post := hash(which, uint64(number))
	sent := time.UnixMilli(number*every + phase).UTC()
	first = sent.Add(time.Duration(unit(post) * float64(posts.Delay)).Truncate(time.Millisecond))
	if retry := mix(post); unit(retry) < posts.Repeated {
		after := time.Second + time.Duration(unit(mix(retry))*float64(RepeatWithin-time.Second))
		again = first.Add(after.Truncate(time.Millisecond))
	}
	return first, again
}
