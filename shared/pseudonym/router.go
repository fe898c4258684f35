package pseudonym

import (
	"encoding/hex"

	"footfall/events"
)

// routerBytes is the length of the part of the HMAC that names a router. Four
// bytes are enough, since a business has few routers.
const routerBytes = 4

// Router returns a sensor id for a router that the settings of the business do
// not list. The name that such a router sends may be its MAC address, so the
// sensor id is "r-" and 8 hexadecimal characters of the HMAC of the name.
func (k *Key) Router(name string) events.SensorID {
	return events.SensorID("r-" + hex.EncodeToString(derive(k.secret, "router", name)[:routerBytes]))
}
