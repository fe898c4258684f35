package senders

// cloudTrax reads the Presence Reporting API of CloudTrax, which Datto and
// EnGenius have too (help.cloudtrax.com, "CloudTrax Presence Reporting API").
// One record sums up what a router heard of a device since its last post.
type cloudTrax struct{ signed }

type cloudTraxPost struct {
	Node     router             `json:"node_mac"`
	Requests []cloudTraxRequest `json:"probe_requests"`
}

type cloudTraxRequest struct {
	Client     address `json:"mac"`
	LastSignal number  `json:"last_seen_signal"`
	AvgSignal  number  `json:"avg_signal"`
	FirstSeen  instant `json:"first_seen"`
	LastSeen   instant `json:"last_seen"`
	Associated boolean `json:"associated"`
}

// Parse gives each window's end, with the signal of that moment. Where the
// window began at another second it gives that too, or a stay within one window
// would seem to have no length. Nobody says how strong the first signal was: the
// average errs least, while the strongest would call in passers-by.
func (cloudTrax) Parse(body []byte, at Arrival) (Post, error) {
	var p cloudTraxPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	if p.Requests == nil {
		return Post{}, wrongShape("probe_requests")
	}
	c := collect(2 * len(p.Requests))
	for i := range p.Requests {
		r := &p.Requests[i]
		h := hearing{router: p.Node, device: r.Client, signal: r.LastSignal, at: r.LastSeen, associated: bool(r.Associated)}
		if !c.hear(h) || !r.FirstSeen.given || r.FirstSeen.at.Equal(r.LastSeen.at) {
			continue
		}
		h.signal, h.at = r.AvgSignal, r.FirstSeen
		c.hear(h)
	}
	return c.post, nil
}
