package pseudonym

import (
	"encoding/hex"

	"footfall/events"
)

// routerBytes of the HMAC name a router: a business has few.
const routerBytes = 4

// Router gives the name of a router that the settings of the business do not
// name, whose own name may be its MAC address: "r-" and 8 hexadecimal
// characters of the HMAC of that name.
func (k *Key) Router(name string) events.SensorID {
	return events.SensorID("r-" + hex.EncodeToString(derive(k.secret, "router", name)[:routerBytes]))
}
