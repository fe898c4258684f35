// Package senders reads what routers and their clouds post: one file per make.
// A sender is asked first whether a request comes from who it says, and then
// what devices it heard. Addresses of devices leave the package in Heard and
// Login alone: no error and no count holds any of them, nor any other piece of
// a body.
package senders

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"footfall/events"
)

// Observation is one device heard by one router at one moment, before pseudonyms.
type Observation struct {
	Router string // what the router calls itself, as RouterName spells it
	MAC    [6]byte
	// RSSI in dBm. 0 with Associated is a signal that nobody measured, as in the
	// sighting that a portal login makes.
	RSSI       events.RSSI
	SeenAt     time.Time // UTC, whole milliseconds, within the years 2000 to 2099
	Associated bool      // joined to the store's network
}

// Login says that a contact logged in at the portal with a device.
type Login struct {
	MAC     [6]byte
	Contact events.ContactID
	At      time.Time // as Heard.SeenAt
}

// Post is what one request says. A record that cannot be used costs no other
// one: it is left out and counted.
type Post struct {
	Observations []Observation
	Logins       []Login // Footfall's own format only
	LeftOut      map[Reason]int
}

// Reason says why a record was left out.
type Reason string

// The reasons. NotPresence and Bluetooth are of whole posts that are accepted
// though nothing is taken, UnknownLine is of syslog only.
const (
	NoMAC        Reason = "no-mac"
	BadMAC       Reason = "bad-mac"       // not 12 hexadecimal digits, or all zero
	GroupAddress Reason = "group-address" // no station may send from one
	NoSignal     Reason = "no-signal"
	BadRSSI      Reason = "bad-rssi" // not a number within [-127, 0] dBm
	NoTime       Reason = "no-time"
	BadTime      Reason = "bad-time"    // not a time, or not within the years 2000 to 2099
	BadRouter    Reason = "bad-router"  // none, or not an id as events has them
	BadContact   Reason = "bad-contact" // none, an e-mail address, phone number or MAC address, or not an id as events has them
	UnknownLine  Reason = "unknown-line"
	Bluetooth    Reason = "bluetooth"
	NotPresence  Reason = "not-presence"
)

// Reasons lists the reasons. The slice is the caller's.
func Reasons() []Reason {
	return []Reason{
		NoMAC, BadMAC, GroupAddress, NoSignal, BadRSSI, NoTime, BadTime, BadRouter, BadContact,
		UnknownLine, Bluetooth, NotPresence,
	}
}

// Arrival is what a parser has to know besides the body.
type Arrival struct {
	At     time.Time      // when the request came in
	Zone   *time.Location // of the business; nil is UTC
	Hold   events.RSSI    // weakest signal that prolongs a visit of the business
	Limits Limits
}

// Limits bound what one post may make of memory and time. They are held before
// anything is built from the body. The zero Limits lets nothing in.
type Limits struct {
	// Records is how many elements all arrays of a JSON body may have together,
	// of whatever type (an empty array counts as one), or how many lines a body of
	// lines.
	Records int
	// Depth is how deep arrays and objects may lie within each other, at most 64.
	Depth int
}

// DefaultLimits are far over what senders post: 6 MB of observations are about
// 20,000 elements, the deepest of the formats has 8 levels.
var DefaultLimits = Limits{Records: 50_000, Depth: 16}

// Format reads the posts of one make. Its methods may run at once.
type Format interface {
	// Verify says whether the body comes from somebody who knows one of secrets,
	// of which "" never counts. header gives a request header by its name, ""
	// where it is missing. It runs before Parse, builds nothing from the body, and
	// compares in a time that tells nothing of the secrets. Its errors are
	// *Refusal.
	Verify(header func(string) string, body []byte, secrets []string) error
	// Parse gives what the body says. It does not keep or change body. Its errors
	// are *Refusal, and then there is no Post.
	Parse(body []byte, at Arrival) (Post, error)
}

// Codes of a Refusal.
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

// statuses has the answer to each of them. A type or version that nobody knows is
// well formed, so that it has another one than a damaged body.
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

// Codes gives every code a Refusal can have, with its status. The map is the
// caller's.
func Codes() map[string]int { return maps.Clone(statuses) }

// Rejection is why a request is refused as a whole. Its texts name the position
// in the body, the field and the limit, and never what stands there.
type Rejection struct {
	Code   string
	Status int // of the HTTP answer
	Err    error
}

// Error gives the code and what is wrong.
func (r *Rejection) Error() string { return r.Code + ": " + r.Err.Error() }

// Unwrap gives what is wrong without the code.
func (r *Rejection) Unwrap() error { return r.Err }

// The kinds of senders, as in paths and settings.
const (
	Meraki    = "meraki"
	CloudTrax = "cloudtrax"
	Mist      = "mist"
	Hostapd   = "hostapd"
	Footfall  = "footfall"
)

var byKind = map[string]Format{
	Meraki:    meraki{},
	CloudTrax: cloudTrax{"Signature"},
	Mist:      mist{"X-Mist-Signature-v2"},
	Hostapd:   hostapd{SignatureHeader},
	Footfall:  own{SignatureHeader},
}

// ByKind gives the sender of a kind; ok is false where there is none.
func ByKind(kind string) (s Format, ok bool) {
	s, ok = byKind[kind]
	return s, ok
}

// Kinds lists the kinds in alphabetical order.
func Kinds() []string { return slices.Sorted(maps.Keys(byKind)) }

// RouterName is the one spelling of what a router calls itself: a MAC address
// in any spelling becomes lower case with colons, another name loses the white
// space around it. Settings that name routers are read with it too, so that
// they meet Heard.Router however people write them.
func RouterName(name string) string { return routerName([]byte(name)) }
