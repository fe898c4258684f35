package town

import (
	"time"
)

// stay lets a phone speak while its owner is inside, and once on the pavement
// before and after.
func (t *today) stay(s *shop, st stay) {
	v := &st.visit
	p := t.phone(s, st.phone, v.Enter)
	t.passing(s, p, v.Enter.Add(-p.dice.between(5*time.Second, 90*time.Second)))
	login := !v.LoginAt.IsZero()
	for at := v.Enter.Add(t.firstBurst(p)); at.Before(v.Leave); {
		joined := v.Joined || login && !at.Before(v.LoginAt)
		where := inside
		if at.Sub(v.Enter) < 30*time.Second || v.Leave.Sub(at) < 30*time.Second {
			where, p.router = door, 0
		} else if p.dice.chance(0.15) {
			p.router = p.dice.IntN(s.Routers) // people walk around
		}
		if joined {
			t.reports(s, p, where, at)
		} else {
			t.probes(s, p, where, at)
		}
		next := at.Add(t.pause(p, joined))
		if login && at.Before(v.LoginAt) && next.After(v.LoginAt) {
			next = v.LoginAt // who logs in has the phone in hand
		}
		at = next
	}
	t.passing(s, p, v.Leave.Add(p.dice.between(5*time.Second, 90*time.Second)))
}

// passing lets a phone speak on the pavement in front of the door.
func (t *today) passing(s *shop, p *phone, at time.Time) {
	p.router = 0
	t.probes(s, p, street, at)
}

// firstBurst is how long after entering a phone speaks first: mostly at once,
// for people look at it on the way in, else in the middle of a silence.
func (t *today) firstBurst(p *phone) time.Duration {
	if p.dice.chance(0.7) {
		return p.dice.between(0, 20*time.Second)
	}
	return p.dice.between(0, t.pause(p, false)+time.Second)
}

// pause is how long a phone inside says nothing until its next burst. Once it
// has joined the network its router knows it to be there all the time.
func (t *today) pause(p *phone, joined bool) time.Duration {
	if joined { // well under the 15 minutes that end an associated visit
		if p.dice.chance(0.07) {
			return p.dice.between(2*time.Minute, 6*time.Minute)
		}
		return p.dice.between(30*time.Second, 75*time.Second)
	}
	silences := t.plan.config.Phones.Silences
	share := p.dice.Float64()
	for _, s := range silences {
		if share < s.Share {
			return p.dice.between(s.Min, s.Max)
		}
		share -= s.Share
	}
	return p.dice.between(silences[0].Min, silences[0].Max)
}

// street lets the people of one day pass by a business.
func (t *today) street(s *shop) {
	d := newDice(t.plan.config.Seed, streetStream, uint64(s.index), uint64(t.midnight.Unix()))
	for hour := range 24 {
		from := t.midnight.Add(time.Duration(hour) * time.Hour)
		people := float64(s.PassersBy) * busy(hour)
		n := int(people)
		if d.chance(people - float64(n)) {
			n++
		}
		for range n {
			t.passerBy(s, d, from.Add(d.between(0, time.Hour)))
		}
	}
}

// busy is how full the street is, its daytime being 1.
func busy(hour int) float64 {
	switch {
	case hour >= 8 && hour < 20:
		return 1
	case hour == 6, hour == 7, hour >= 20 && hour < 23:
		return 0.25
	default:
		return 0.1
	}
}

// passerBy walks by, waits in front of the window, or steps in and out again.
func (t *today) passerBy(s *shop, d dice, at time.Time) {
	who := newDevice(d, t.plan.config.Key, s.ID, d.chance(t.plan.config.Phones.PasserByRandomised))
	p := t.phone(s, who, at)
	p.router = 0
	where, length, pause := street, d.between(20*time.Second, 150*time.Second), time.Minute
	switch kind := d.Float64(); {
	case kind < t.plan.config.People.Loiterers:
		where, length, pause = window, d.between(5*time.Minute, 20*time.Minute), 2*time.Minute
	case kind < t.plan.config.People.Loiterers+t.plan.config.People.StepIns:
		where, length = inside, d.between(20*time.Second, minStay-5*time.Second)
	}
	end := at.Add(length)
	// Out there phones look for networks more often than inside: they are moving.
	for ; at.Before(end); at = at.Add(d.between(pause/4, pause)) {
		t.probes(s, p, where, at)
	}
}

// always lets a device speak every minute or two of the day.
func (t *today) always(s *shop, who device, where place) {
	p := t.phone(s, who, t.midnight)
	end := t.midnight.Add(day)
	for at := t.midnight.Add(p.dice.between(0, time.Minute)); at.Before(end); at = at.Add(p.dice.between(time.Minute, 2*time.Minute)) {
		t.probes(s, p, where, at)
	}
}
