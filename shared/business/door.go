package business

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/ingest/senders"
	"footfall/shared/presence"
)

// Door holds the settings of a business that ingest uses: the senders that may post
// for the business, and the key that makes pseudonyms of its devices.
type Door struct {
	// Senders holds the senders by kind, which is one of Kinds.
	Senders map[string]Sender `json:"senders,omitempty"`
	// OptOut lists devices whose sightings are never written, by stable pseudonym, not
	// by a pseudonym of the day.
	OptOut []events.DeviceID `json:"opt_out,omitempty"`
	// Key is the id of the pseudonym key; "" stands for the first one, "1".
	Key string `json:"key,omitempty"`
}

// Sender is a make of router, or the cloud of one, that posts for the business.
type Sender struct {
	Secrets   []string `json:"secrets"`             // 1, or 2 while a secret is being replaced
	Validator string   `json:"validator,omitempty"` // the answer to Meraki's GET
	// Routers maps the name that a router posts (a MAC address in any spelling, or a
	// text) to the sensor. All routers may post if Routers is empty.
	Routers        map[string]events.SensorID `json:"routers,omitempty"`
	PostsPerMinute int                        `json:"posts_per_minute,omitempty"` // 0 stands for the default of ingest
}

// Entrance is a Door with the settings in force that ingest needs.
type Entrance struct {
	Door
	Zone *time.Location // of the business
	Hold events.RSSI    // dBm: the weakest signal that extends a visit, below the entry threshold
}

// NewEntrance returns a door with the settings of r, the rules in force, that ingest
// needs. A router that reports no signal strength (hostapd) gets Hold in its place,
// which must extend a visit and open no candidate. Therefore Hold is 1 dB below the
// entry threshold if both thresholds are the same.
func NewEntrance(d Door, r *presence.Rules) Entrance {
	zone := r.Location // nil in rules that no settings made
	if zone == nil {
		zone = time.UTC
	}
	return Entrance{Door: d, Zone: zone, Hold: events.RSSI(max(-127, min(r.Hold, r.Entry-1)))}
}

// Kinds returns the kinds of senders that ingest accepts, in order.
func Kinds() []string { return []string{"cloudtrax", "footfall", "hostapd", "meraki", "mist"} }

const (
	// minSecret and maxSecret bound the length of a secret, in bytes. A shorter secret
	// can be guessed.
	minSecret = 16
	maxSecret = 256
	// maxPostsPerMinute is more than the cloud of a chain sends for one store.
	maxPostsPerMinute = 60_000
)

// Validate returns one error that joins all mistakes in the door, nil for none. The
// error never holds a secret.
func (d Door) Validate() error {
	// Errors cut names from the document to 64 characters.
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(d.Senders)) {
		if !slices.Contains(Kinds(), kind) {
			errs = append(errs, fmt.Errorf("senders.%.64s: there is no such kind of sender, only %q", kind, Kinds()))
		}
		for _, err := range d.Senders[kind].mistakes() {
			errs = append(errs, fmt.Errorf("senders.%.64s.%w", kind, err))
		}
	}
	errs = append(errs, checkIDs("opt_out", d.OptOut))
	if d.Key != "" {
		if err := validID(d.Key); err != nil {
			errs = append(errs, fmt.Errorf("key: %w", err))
		}
	}
	return errors.Join(errs...)
}

// mistakes returns the mistakes in the sender. No error holds a secret.
func (s Sender) mistakes() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	// Secrets and the validator, which are masked in a document that was shown.
	if n := len(s.Secrets); n < 1 || n > 2 {
		bad("secrets: there are %d; list one, or two while a secret is being replaced", n)
	}
	for i, secret := range s.Secrets {
		if n := len(secret); secret == masked {
			bad("secrets[%d]: %s", i, isMasked)
		} else if n < minSecret || n > maxSecret {
			bad("secrets[%d]: it has %d bytes, not %d to %d", i, n, minSecret, maxSecret)
		}
	}
	if s.Validator == masked {
		bad("validator: %s", isMasked)
	}
	if len(s.Validator) > maxSecret {
		bad("validator: it has %d bytes, at most %d are allowed", len(s.Validator), maxSecret)
	}
	// Routers. Two spellings of one MAC address are one router.
	spellings := map[string]string{}
	for _, router := range slices.Sorted(maps.Keys(s.Routers)) {
		name := senders.RouterName(router)
		if other, again := spellings[name]; again {
			bad("routers.%.64s: it is the same as %.64q in another spelling; keep one of them", router, other)
		}
		spellings[name] = router
		if err := errors.Join(validID(router), validID(string(s.Routers[router]))); err != nil {
			bad("routers.%.64s: %w", router, err)
		}
	}
	if n := s.PostsPerMinute; n < 0 || n > maxPostsPerMinute {
		bad("posts_per_minute: %d is not within [0, %d]", n, maxPostsPerMinute)
	}
	return errs
}

// Masked returns the door with its secrets and validators replaced by asterisks, to
// be shown. d is not changed.
func (d Door) Masked() Door {
	// Copy all maps and slices that are written to.
	senders := maps.Clone(d.Senders)
	for kind, s := range senders {
		s.Secrets = slices.Clone(s.Secrets)
		for i := range s.Secrets {
			s.Secrets[i] = masked
		}
		if s.Validator != "" {
			s.Validator = masked
		}
		senders[kind] = s
	}
	d.Senders = senders
	return d
}

// masked is shown in place of a secret. Validate rejects masked as a secret, so that a
// document that was shown is not stored again by mistake.
const (
	masked   = "********"
	isMasked = "it is masked; footfall business get --secrets prints the value that is set"
)
