package senders

// cloudTrax reads the Presence Reporting API of CloudTrax, which Datto and
// EnGenius have too (help.cloudtrax.com, "CloudTrax Presence Reporting API"). A
// record sums up a window: everything that a router heard of a device since the
// router's last post.
type cloudTrax struct{ signed }

type cloudTraxPost struct {
	Node     router             `json:"node_mac"`
	Requests []cloudTraxRequest `json:"probe_requests"`
}

type cloudTraxRequest struct {
	Client     macField `json:"mac"`
	LastSignal number   `json:"last_seen_signal"`
	AvgSignal  number   `json:"avg_signal"`
	FirstSeen  instant  `json:"first_seen"`
	LastSeen   instant  `json:"last_seen"`
	Associated boolean  `json:"associated"`
}

// Parse returns the end of each window, with the signal of that moment. If the
// window began at another second, Parse returns the beginning as well: otherwise
// a stay within one window would have no length.
//
// The API does not report the first signal. Parse takes the average, which errs
// least: the strongest signal would turn passers-by into candidates.
func (cloudTrax) Parse(body []byte, at Arrival) (Post, error) {
	var p cloudTraxPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	if p.Requests == nil {
		return Post{}, wrongShape("probe_requests")
	}
	c := newCollector(2 * len(p.Requests))
	for i := range p.Requests {
		// The end of the window.
		r := &p.Requests[i]
		o := rawObservation{router: p.Node, device: r.Client, signal: r.LastSignal, seenAt: r.LastSeen, associated: bool(r.Associated)}
		if !c.observe(o) || !r.FirstSeen.given || r.FirstSeen.value.Equal(r.LastSeen.value) {
			continue
		}
		// Its beginning.
		o.signal, o.seenAt = r.AvgSignal, r.FirstSeen
		c.observe(o)
	}
	return c.post, nil
}
