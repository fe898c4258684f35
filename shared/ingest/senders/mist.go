package senders

// mist reads the webhooks of Juniper Mist that carry raw signals of Wi-Fi
// clients (juniper.net, "Webhook Topics" and "Webhook Messages"). A webhook of
// another topic that Mist documents is accepted and dropped, so that one set up
// for more than presence is not reported as broken; any other is refused.
type mist struct{ signed }

type mistPost struct {
	Topic  word        `json:"topic"`
	Events []mistEvent `json:"events"`
}

type mistEvent struct {
	AP      router  `json:"ap_id"`
	Client  address `json:"client_id"`
	Packets []struct {
		RSSI number `json:"rssi"`
	} `json:"packets"`
}

// mistIgnored are the topics of which nothing is taken. Those of positions tell
// where a client is in a plan and not which router hears it how strongly.
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

// Parse gives each event the time of its arrival, for it has none of its own,
// and the strongest of its packets: they came within a moment, on several
// bands, and the weaker ones say nothing of how near the device is.
func (mist) Parse(body []byte, at Arrival) (Post, error) {
	var p mistPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	c := collect(len(p.Events))
	if why, ok := mistIgnored[p.Topic]; ok {
		c.leave(why, max(1, len(p.Events)))
		return c.post, nil
	}
	if p.Topic != "wifi-unconn-raw" && p.Topic != "wifi-conn-raw" {
		return Post{}, unknownType("topic")
	}
	if p.Events == nil {
		return Post{}, wrongShape("events")
	}
	for i := range p.Events {
		e := &p.Events[i]
		c.hear(hearing{
			router: e.AP, device: e.Client, signal: e.strongest(), at: moment(at.At),
			associated: p.Topic == "wifi-conn-raw",
		})
	}
	return c.post, nil
}

// strongest gives the packet of the strongest signal there can be, or else one
// that says what is wrong.
func (e *mistEvent) strongest() (best number) {
	for _, p := range e.Packets {
		_, why := p.RSSI.dBm()
		_, bestWhy := best.dBm()
		if bestWhy != "" && p.RSSI.given || why == "" && p.RSSI.value > best.value {
			best = p.RSSI
		}
	}
	return best
}
