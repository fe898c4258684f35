package senders

import (
	"errors"
	"strings"
)

// meraki reads Cisco Meraki's Scanning API, versions 2 and 3
// (developer.cisco.com/meraki/scanning-api). The secret is in the body. A post is
// of Wi-Fi or of Bluetooth; Bluetooth is accepted and dropped. Fields that can
// identify a person are never read: userId, which may be an e-mail address or a
// phone number, IP addresses and positions.
type meraki struct{}

// merakiFloor is the level from which version 2 counts a signal: it reports dB
// above -95 dBm.
const merakiFloor = -95

type merakiPost struct {
	Version word `json:"version"`
	Type    word `json:"type"`
	Data    struct {
		AP           router              `json:"apMac"` // version 2
		Observations []merakiObservation `json:"observations"`
	} `json:"data"`
}

type merakiObservation struct {
	Client macField `json:"clientMac"`
	SSID   named    `json:"ssid"` // of the network that the client is associated with
	// Version 2.
	RSSI      number  `json:"rssi"`
	SeenEpoch instant `json:"seenEpoch"`
	SeenTime  instant `json:"seenTime"`
	// Version 3.
	Latest struct {
		Time instant `json:"time"`
		AP   router  `json:"nearestApMac"`
		RSSI number  `json:"nearestApRssi"`
	} `json:"latestRecord"`
	Locations []struct {
		Time    instant `json:"time"`
		Records []struct {
			AP   router `json:"apMac"`
			RSSI number `json:"rssi"`
		} `json:"rssiRecords"`
	} `json:"locations"`
}

// Verify compares the secrets with the field secret of the body. It reads the body
// once, up to the field, and parses nothing else.
func (meraki) Verify(_ func(string) string, body []byte, secrets []string) error {
	return verifySecret(body, secrets)
}

// Parse reads version 2 or 3, as the field version says.
func (meraki) Parse(body []byte, at Arrival) (Post, error) {
	var p merakiPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	observations := p.Data.Observations

	// Version and type decide how, and whether, the observations are read.
	observe := (*collector).observeMerakiV3
	switch {
	case strings.HasPrefix(string(p.Version), "2"):
		observe = (*collector).observeMerakiV2
	case !strings.HasPrefix(string(p.Version), "3"):
		return Post{}, reject(UnknownVersion, errors.New("field version is neither 2 nor 3"))
	}
	c := newCollector(len(observations))
	switch p.Type {
	case "Bluetooth", "BLE", "BluetoothDevicesSeen":
		c.leaveOut(Bluetooth, max(1, len(observations)))
		return c.post, nil
	case "WiFi", "DevicesSeen":
	default:
		return Post{}, unknownType("type")
	}

	if observations == nil {
		return Post{}, wrongShape("data.observations")
	}
	for i := range observations {
		observe(c, p.Data.AP, &observations[i])
	}
	return c.post, nil
}

// observeMerakiV2 adds an observation of version 2, in which a post comes from one
// router.
func (c *collector) observeMerakiV2(ap router, o *merakiObservation) {
	// seenTime is the same moment as text: it counts if seenEpoch is unusable.
	at := o.SeenEpoch
	if at.reason() != "" {
		at = o.SeenTime
	}
	signal := o.RSSI
	signal.value += merakiFloor
	c.observe(rawObservation{router: ap, device: o.Client, signal: signal, seenAt: at, associated: bool(o.SSID)})
}

// observeMerakiV3 adds the observations of one device in version 3: its latest
// record and its positions, each with the signal at every router that heard the
// device. Often there are no positions, since a position takes three routers on a
// floor plan. If there are both, the last position may repeat the latest record.
func (c *collector) observeMerakiV3(_ router, o *merakiObservation) {
	// A record with a bad address counts once, and not once per position.
	if why := o.Client.reason(); why != "" {
		c.leaveOut(why, 1)
		return
	}
	start := len(c.post.Observations)
	raw := rawObservation{device: o.Client, associated: bool(o.SSID)}
	positions := 0
	for _, l := range o.Locations {
		for _, r := range l.Records {
			raw.router, raw.signal, raw.seenAt = r.AP, r.RSSI, l.Time
			c.observe(raw)
			positions++
		}
	}
	// Without any position a missing latest record is counted as left out.
	if o.Latest.RSSI.given || o.Latest.Time.given || positions == 0 {
		raw.router, raw.signal, raw.seenAt = o.Latest.AP, o.Latest.RSSI, o.Latest.Time
		c.observe(raw)
	}
	c.dropRepeats(start)
}
