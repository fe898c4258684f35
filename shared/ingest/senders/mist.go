package senders

// mist reads the webhooks of Juniper Mist that carry raw signals of Wi-Fi clients
// (juniper.net, "Webhook Topics" and "Webhook Messages"). A webhook of any other
// topic is accepted and dropped: a webhook set up for more than presence must not
// look broken at Mist. Mist adds topics, so a topic that is not known here is
// dropped too, under a reason of its own.
type mist struct{ signed }

type mistPost struct {
	Topic  word        `json:"topic"`
	Events []mistEvent `json:"events"`
}

type mistEvent struct {
	AP      router   `json:"ap_id"`
	Client  macField `json:"client_id"`
	Packets []struct {
		RSSI number `json:"rssi"`
	} `json:"packets"`
}

// mistIgnored are the known topics that are accepted and dropped. The topics of
// positions hold a client's place in a plan, and not the routers that hear it with
// their signals.
var mistIgnored = map[word]Reason{
	"asset-raw": Bluetooth, "asset-raw-rssi": Bluetooth, "discovered-raw-rssi": Bluetooth,
	"location-asset": Bluetooth, "location-sdk": Bluetooth, "vbeacon": Bluetooth,

	"alarms": NotPresence, "audits": NotPresence, "client-info": NotPresence, "client-join": NotPresence,
	"client-latency": NotPresence, "client-sessions": NotPresence, "device-events": NotPresence,
	"device-updowns": NotPresence, "guest-authorizations": NotPresence, "location": NotPresence,
	"location-centrak": NotPresence, "location-client": NotPresence, "location-unclient": NotPresence,
	"mxedge-events": NotPresence, "nac-accounting": NotPresence, "nac-events": NotPresence,
	"occupancy-alerts": NotPresence, "ping": NotPresence, "rssizone": NotPresence,
	"sdkclient-scan-data": NotPresence, "site-sle": NotPresence, "zone": NotPresence,
}

// Parse returns one observation per event. Its time is the arrival of the post,
// since an event has no time of its own. Its signal is the strongest of the
// event's packets: the packets came within a moment, on several bands, and the
// weaker ones hold no information on how near the device is.
func (mist) Parse(body []byte, at Arrival) (Post, error) {
	var p mistPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	c := newCollector(len(p.Events))

	// The topic decides whether the events are read.
	switch why, ignored := mistIgnored[p.Topic]; {
	case p.Topic == "":
		return Post{}, unknownType("topic")
	case p.Topic == "wifi-unconn-raw" || p.Topic == "wifi-conn-raw":
	case ignored:
		c.leaveOut(why, max(1, len(p.Events)))
		return c.post, nil
	default:
		c.leaveOut(UnknownTopic, max(1, len(p.Events)))
		return c.post, nil
	}
	if p.Events == nil {
		return Post{}, wrongShape("events")
	}
	for i := range p.Events {
		e := &p.Events[i]
		c.observe(rawObservation{
			router: e.AP, device: e.Client, signal: e.strongest(), seenAt: newInstant(at.At),
			associated: p.Topic == "wifi-conn-raw",
		})
	}
	return c.post, nil
}

// strongest returns the strongest valid signal of the packets. If no packet has a
// valid signal, it returns an invalid or missing signal, of which dBm returns the
// reason.
func (e *mistEvent) strongest() (best number) {
	for _, p := range e.Packets {
		// A valid signal replaces a weaker or an unusable one. An unusable signal
		// replaces another unusable one only.
		_, why := p.RSSI.dBm()
		_, bestWhy := best.dBm()
		if bestWhy != "" && p.RSSI.given || why == "" && p.RSSI.value > best.value {
			best = p.RSSI
		}
	}
	return best
}
