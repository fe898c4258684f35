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

// Door is what ingest goes by for one business.
type Door struct {
	// Senders by kind, one of Kinds.
	Senders map[string]Sender `json:"senders,omitempty"`
	// OptOut are devices that are never written, by their stable pseudonym.
	OptOut []events.DeviceID `json:"opt_out,omitempty"`
	// Key is the id of the pseudonym key; "" is the first, "1".
	Key string `json:"key,omitempty"`
}

// Sender is one make of router, or its cloud, that posts for the business.
type Sender struct {
	Secrets   []string `json:"secrets"`             // one, or two while they are changed
	Validator string   `json:"validator,omitempty"` // what Meraki's GET is answered with
	// Routers maps what a router calls itself (MAC in any spelling, name) to the
	// sensor; none lets all in.
	Routers        map[string]events.SensorID `json:"routers,omitempty"`
	PostsPerMinute int                        `json:"posts_per_minute,omitempty"` // 0 is the default
}

// Entrance is a Door with what ingest needs of the rules in force.
type Entrance struct {
	Door
	Zone *time.Location // of the business
	Hold events.RSSI    // weakest signal that prolongs a visit, below what opens one
}

// NewEntrance is a door with what it needs of the rules in force. Where a business
// holds by the very threshold that it lets in by, Hold is 1 dB below: what ingest
// tells at it must open no visit.
func NewEntrance(d Door, r *presence.Rules) Entrance {
	zone := r.Location
	if zone == nil {
		zone = time.UTC
	}
	return Entrance{Door: d, Zone: zone, Hold: events.RSSI(max(-127, min(r.Hold, r.Entry-1)))}
}

// Kinds are the makes of senders that ingest takes.
func Kinds() []string { return []string{"cloudtrax", "footfall", "hostapd", "meraki", "mist"} }

const (
	// minSecret is the least length of a secret, in bytes: what is shorter can be
	// guessed.
	minSecret = 16
	maxSecret = 256
	// maxPostsPerMinute is more than what a chain's cloud sends for one store.
	maxPostsPerMinute = 60_000
)

// Validate reports everything that is wrong with the door. Its errors never hold
// a secret.
func (d Door) Validate() error {
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(d.Senders)) {
		if !slices.Contains(Kinds(), kind) {
			errs = append(errs, fmt.Errorf("senders.%.64s: there is no such kind; there are %q", kind, Kinds()))
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

func (s Sender) mistakes() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if n := len(s.Secrets); n < 1 || n > 2 {
		bad("secrets: there are %d; one is needed, and two while they are changed", n)
	}
	for i, secret := range s.Secrets {
		if n := len(secret); secret == masked {
			bad("secrets[%d]: %s", i, isMasked)
		} else if n < minSecret || n > maxSecret {
			bad("secrets[%d]: it is of %d bytes, not %d to %d", i, n, minSecret, maxSecret)
		}
	}
	if s.Validator == masked {
		bad("validator: %s", isMasked)
	}
	if len(s.Validator) > maxSecret {
		bad("validator: it is of %d bytes, %d are allowed", len(s.Validator), maxSecret)
	}
	spellings := map[string]string{}
	for _, router := range slices.Sorted(maps.Keys(s.Routers)) {
		name := senders.RouterName(router)
		if other, again := spellings[name]; again {
			bad("routers.%.64s: it is the same as %.64q, spelt differently", router, other)
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

// Masked gives the door with its secrets and validators made unreadable, to be
// shown.
func (d Door) Masked() Door {
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

// masked stands for a secret. It is none itself, so that a document that was shown
// is not stored again by mistake.
const (
	masked   = "********"
	isMasked = "it is masked; footfall business get --secrets has what is set"
)
