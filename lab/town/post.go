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

// drawOutages draws the outages of a day. Each begins while the store is open,
// and its backlog arrives on the same day.
func (p *plan) drawOutages(midnight time.Time) []outage {
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

// post adds the arrival of a sighting with the next post of its router, and a
// second arrival if the post is repeated.
func (t *today) post(s *shop, router int, sighting events.Sighting) {
	arrived, again := t.arrival(s, router, sighting.SeenAt)
	t.items = append(t.items, recording.Item{Sighting: sighting, ArrivedAt: arrived})
	if !again.IsZero() {
		t.items = append(t.items, recording.Item{Sighting: sighting, ArrivedAt: again})
	}
}

// arrival returns the arrival of the post that carries a sighting of the moment
// seen, and the arrival of its repetition, zero if there is none. Both follow
// from hashes, not from a stream: all sightings of a post arrive together.
func (t *today) arrival(s *shop, router int, seen time.Time) (first, again time.Time) {
	// A sighting of an outage arrives with the backlog, which is never
	// repeated.
	for _, o := range t.outages {
		if o.shop == s.index && o.router == router && !seen.Before(o.from) && seen.Before(o.to) {
			return o.to.Add(BacklogAfter), time.Time{}
		}
	}
	// The next post of the router at or after the moment, and its delay.
	posts := t.plan.config.Posts
	every := posts.Every.Milliseconds()
	which := hash(t.plan.config.Seed, postStream, uint64(s.index), uint64(router))
	phase := int64(unit(which) * float64(every)) // routers do not all post at the same moment
	number := (seen.UnixMilli()-phase)/every + 1
	post := hash(which, uint64(number))
	sent := time.UnixMilli(number*every + phase).UTC()
	first = sent.Add(time.Duration(unit(post) * float64(posts.Delay)).Truncate(time.Millisecond))
	// The router received no answer and sent the post again.
	if retry := mix(post); unit(retry) < posts.Repeated {
		after := time.Second + time.Duration(unit(mix(retry))*float64(RepeatWithin-time.Second))
		again = first.Add(after.Truncate(time.Millisecond))
	}
	return first, again
}
