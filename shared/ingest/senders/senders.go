package senders

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"footfall/events"
)

// Observation is one device heard by one router at one moment. It becomes a
// sighting once package ingest has replaced the MAC address by a pseudonym.
type Observation struct {
	Router string // the router's own name, in the spelling of RouterName
	MAC    [6]byte
	// RSSI is the signal strength in dBm. 0 with Associated stands for a signal
	// that was not measured, as in the sighting made of a portal login.
	RSSI       events.RSSI
	SeenAt     time.Time // UTC, whole milliseconds, within the years 2000 to 2099
	Associated bool      // joined to the store's network
	// Session is set by formats that report associations and disassociations instead
	// of samples.
	Session events.Session
}

// Login is a login of a contact at the portal, with a device.
type Login struct {
	MAC     [6]byte
	Contact events.ContactID
	At      time.Time // as Observation.SeenAt
}

// Post is the content of one request. An unusable record is left out and counted in
// LeftOut, and does not affect the others.
type Post struct {
	Observations []Observation
	Logins       []Login // Footfall's own format only
	LeftOut      map[Reason]int
}

// Reason is the reason why a record was left out.
type Reason string

// The reasons. The last three are for whole posts that are accepted without any
// use, see Dropped. UnknownLine is for syslog only, UnknownTopic for Mist only.
const (
	NoMAC        Reason = "no-mac"
	BadMAC       Reason = "bad-mac"       // not 12 hexadecimal digits, or all zero
	GroupAddress Reason = "group-address" // no station may send from a group address
	NoSignal     Reason = "no-signal"
	BadRSSI      Reason = "bad-rssi" // not a number within [-127, 0] dBm
	NoTime       Reason = "no-time"
	BadTime      Reason = "bad-time"    // not a time, or not within the years 2000 to 2099
	BadRouter    Reason = "bad-router"  // missing, or no id by the rules of package events
	BadSession   Reason = "bad-session" // not joined, alive or left
	BadContact   Reason = "bad-contact" // missing, an e-mail address, phone number or MAC address, or no id by the rules of package events
	UnknownLine  Reason = "unknown-line"
	Bluetooth    Reason = "bluetooth"
	NotPresence  Reason = "not-presence"
	UnknownTopic Reason = "unknown-topic"
)

// Dropped reports whether the records of a post were left out because the post
// carries no presence data. Any other reason is a mistake in the record.
func (r Reason) Dropped() bool {
	return r == Bluetooth || r == NotPresence || r == UnknownTopic
}

// Reasons returns all reasons. The slice is the caller's.
func Reasons() []Reason {
	return []Reason{
		NoMAC, BadMAC, GroupAddress, NoSignal, BadRSSI, NoTime, BadTime, BadRouter, BadSession, BadContact,
		UnknownLine, Bluetooth, NotPresence, UnknownTopic,
	}
}

// Arrival is the context in which a body is parsed.
type Arrival struct {
	At     time.Time      // arrival of the request
	Zone   *time.Location // time zone of the business; nil is UTC
	Hold   events.RSSI    // hold threshold of the business: the weakest signal that extends a visit
	Limits Limits
}

// Limits bound the memory and time that one post may cost. They are checked
// before anything is built from the body. The zero Limits rejects every body.
type Limits struct {
	// Records is the maximum number of elements in all arrays of a JSON body
	// together, of whatever type (an empty array counts as one), or of lines in a
	// body of lines.
	Records int
	// Depth is the maximum nesting of arrays and objects, at most 64.
	Depth int
}

// DefaultLimits are far above real posts: 6 MB of observations have about 20,000
// elements, and the deepest of the formats has 8 levels.
var DefaultLimits = Limits{Records: 50_000, Depth: 16}

// Format is the way in which one make of router posts. Its methods are safe for
// concurrent use.
type Format interface {
	// Verify checks that the sender of the body knows one of secrets; an empty
	// secret never counts. header returns a request header by name, or "" if the
	// request lacks the header. Verify runs before Parse. It MUST build nothing
	// from the body, and compare secrets in constant time. If it returns an error,
	// the error is a *Rejection.
	Verify(header func(string) string, body []byte, secrets []string) error
	// Parse returns the content of the body. It MUST NOT keep or change body. If it
	// returns an error, the error is a *Rejection and the Post is zero.
	Parse(body []byte, at Arrival) (Post, error)
}

// Codes of a Rejection.
const (
	NoSignature    = "no-signature"
	BadSignature   = "bad-signature"
	NoSecret       = "no-secret"
	BadSecret      = "bad-secret"
	BadJSON        = "bad-json"
	WrongShape     = "wrong-shape"
	TooDeep        = "too-deep"
	TooManyRecords = "too-many-records"
	UnknownVersion = "unknown-version"
	UnknownType    = "unknown-type"
)

// statuses is the HTTP status of each code. An unknown type or version has
// another status than a damaged body, since such a body is well formed.
var statuses = map[string]int{
	NoSignature:    http.StatusUnauthorized,
	BadSignature:   http.StatusUnauthorized,
	NoSecret:       http.StatusUnauthorized,
	BadSecret:      http.StatusUnauthorized,
	BadJSON:        http.StatusBadRequest,
	WrongShape:     http.StatusBadRequest,
	TooDeep:        http.StatusBadRequest,
	TooManyRecords: http.StatusRequestEntityTooLarge,
	UnknownVersion: http.StatusUnprocessableEntity,
	UnknownType:    http.StatusUnprocessableEntity,
}

// Codes returns every code of a Rejection with its HTTP status. The map is the
// caller's.
func Codes() map[string]int { return maps.Clone(statuses) }

// Rejection is the error of a request that is rejected as a whole. Err names the
// position in the body, the field or the limit, and never quotes the body.
type Rejection struct {
	Code   string
	Status int // of the HTTP response
	Err    error
}

// Error returns the code and the text of Err.
func (r *Rejection) Error() string { return r.Code + ": " + r.Err.Error() }

// Unwrap returns Err.
func (r *Rejection) Unwrap() error { return r.Err }

// reject returns the Rejection with a code.
func reject(code string, err error) error {
	return &Rejection{Code: code, Status: statuses[code], Err: err}
}

// The kinds of senders, in the spelling of paths and settings.
const (
	Meraki    = "meraki"
	CloudTrax = "cloudtrax"
	Mist      = "mist"
	Hostapd   = "hostapd"
	Footfall  = "footfall"
)

// byKind is the format of each kind.
var byKind = map[string]Format{
	Meraki:    meraki{},
	CloudTrax: cloudTrax{"Signature"},
	Mist:      mist{"X-Mist-Signature-v2"},
	Hostapd:   hostapd{SignatureHeader},
	Footfall:  footfall{SignatureHeader},
}

// ByKind returns the format of a kind; ok is false if the kind is unknown.
func ByKind(kind string) (f Format, ok bool) {
	f, ok = byKind[kind]
	return f, ok
}

// Kinds returns all kinds in alphabetical order.
func Kinds() []string { return slices.Sorted(maps.Keys(byKind)) }

// RouterName returns the one spelling of a router's name: a MAC address in lower
// case with colons, and any other name without white space around it. It returns
// "" for a name that is no id by the rules of package events. Names of routers in
// settings pass through RouterName too, and so match Observation.Router in any
// spelling.
func RouterName(name string) string { return routerName([]byte(name)) }
