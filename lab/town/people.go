package town

import (
	"time"
)

// addStay makes the transmissions of a phone during one stay, and one on the
// pavement before and one after it.
func (t *today) addStay(s *shop, st stay) {
	v := &st.visit
	p := t.phone(s, st.phone, v.Enter)
	t.passing(s, p, v.Enter.Add(-p.dice.between(5*time.Second, 90*time.Second)))
	login := !v.LoginAt.IsZero()
	// One burst per round. A phone that has joined is reported by its router;
	// before that it probes.
	for at := v.Enter.Add(t.firstBurst(p)); at.Before(v.Leave); {
		joined := v.Joined || login && !at.Before(v.LoginAt)
		// The place: at the door in the first and last 30 seconds, else inside.
		// A person that walks around changes the nearest router.
		position := inside
		if at.Sub(v.Enter) < 30*time.Second || v.Leave.Sub(at) < 30*time.Second {
			position, p.router = door, 0
		} else if p.dice.chance(0.15) {
			p.router = p.dice.IntN(s.Routers) // the person walks around
		}
		if joined {
			t.reports(s, p, position, at)
		} else {
			t.probes(s, p, position, at)
		}
		// A login comes with a burst: the person has the phone in hand.
		next := at.Add(t.pause(p, joined))
		if login && at.Before(v.LoginAt) && next.After(v.LoginAt) {
			next = v.LoginAt // not later than the login
		}
		at = next
	}
	t.passing(s, p, v.Leave.Add(p.dice.between(5*time.Second, 90*time.Second)))
}

// passing makes one transmission on the pavement in front of the door.
func (t *today) passing(s *shop, p *phone, at time.Time) {
	p.router = 0
	t.probes(s, p, street, at)
}

// firstBurst returns the time from entering to the first burst: mostly short,
// since people look at the phone on the way in, else a random part of a
// silence.
func (t *today) firstBurst(p *phone) time.Duration {
	if p.dice.chance(0.7) {
		return p.dice.between(0, 20*time.Second)
	}
	return p.dice.between(0, t.pause(p, false)+time.Second)
}

// pause returns the time to the next burst of a phone inside. A joined phone is
// reported by its router all the time.
func (t *today) pause(p *phone, joined bool) time.Duration {
	if joined { // well under the session gap of 15 minutes of an associated visit
		if p.dice.chance(0.07) {
			return p.dice.between(2*time.Minute, 6*time.Minute)
		}
		return p.dice.between(30*time.Second, 75*time.Second)
	}
	// Draw the kind of silence by its share, then its length.
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

// street makes the passers-by of one day at a business.
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

// busy returns the traffic of the street at an hour, relative to daytime.
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

// passerBy makes the transmissions of a person that passes by, waits in front
// of the window, or steps in and out again.
func (t *today) passerBy(s *shop, d dice, at time.Time) {
	phone := newDevice(d, t.plan.config.Key, s.ID, d.chance(t.plan.config.Phones.PasserByRandomised))
	p := t.phone(s, phone, at)
	p.router = 0
	position, length, pause := street, d.between(20*time.Second, 150*time.Second), time.Minute
	switch kind := d.Float64(); {
	case kind < t.plan.config.People.Loiterers:
		position, length, pause = window, d.between(5*time.Minute, 20*time.Minute), 2*time.Minute
	case kind < t.plan.config.People.Loiterers+t.plan.config.People.StepIns:
		position, length = inside, d.between(20*time.Second, minStay-5*time.Second)
	}
	// Outdoors phones probe more often than inside, since they are moving.
	end := at.Add(length)
	for ; at.Before(end); at = at.Add(d.between(pause/4, pause)) {
		t.probes(s, p, position, at)
	}
}

// always makes a device transmit every minute or two of the day.
func (t *today) always(s *shop, d device, position place) {
	p := t.phone(s, d, t.midnight)
	end := t.midnight.Add(day)
	for at := t.midnight.Add(p.dice.between(0, time.Minute)); at.Before(end); at = at.Add(p.dice.between(time.Minute, 2*time.Minute)) {
		t.probes(s, p, position, at)
	}
}
