package events

import (
	"cmp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxShown bounds how many characters of a foreign value an error repeats:
// errors go into logs and dead-letter headers.
const maxShown = 64

// Bounds of RSSI in dBm.
const (
	minRSSI RSSI = -127
	maxRSSI RSSI = 0
)

// Times outside of [firstTime, endTime) are clocks that were never set and
// seconds or microseconds taken for milliseconds.
var (
	firstTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	endTime   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Validate checks every field against its range and gives a *BadRecord with
// InvalidField that names the first one outside of it, and its value. The
// decoders call it; a producer of foreign data does before Encode.
func (r *Sighting) Validate() error {
	if r.RSSI < minRSSI || r.RSSI > maxRSSI {
		return Bad(InvalidField, "rssi_dbm: %d is not within [%d, %d]", r.RSSI, minRSSI, maxRSSI)
	}
	return cmp.Or(
		validBusiness(r.Business),
		validID("sensor", string(r.Sensor)),
		validID("device", string(r.Device)),
		validTime("seen_at", r.SeenAt),
	)
}

// Validate checks every field, see [Sighting.Validate].
func (r *Tick) Validate() error { return validTime("at", r.At) }

// Validate checks every field, see [Sighting.Validate].
func (r *PortalLogin) Validate() error {
	return cmp.Or(
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validID("contact", string(r.Contact)),
		validTime("at", r.At),
	)
}

// Validate checks every field, see [Sighting.Validate]. MergedInto may be "".
func (r *ContactChanged) Validate() error {
	if r.MergedInto != "" {
		if err := validID("merged_into", string(r.MergedInto)); err != nil {
			return err
		}
	}
	return cmp.Or(
		validBusiness(r.Business),
		validID("contact", string(r.Contact)),
		validTime("at", r.At),
	)
}

// Validate checks every field, see [Sighting.Validate].
func (r *ContactDeleted) Validate() error {
	return cmp.Or(
		validBusiness(r.Business),
		validID("contact", string(r.Contact)),
		validTime("at", r.At),
	)
}

// Validate checks every field, see [Sighting.Validate].
func (r *DeviceContact) Validate() error {
	return cmp.Or(
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validID("contact", string(r.Contact)),
		validTime("bound_at", r.BoundAt),
	)
}

// Validate checks every field, see [Sighting.Validate].
func (r *WalkIn) Validate() error {
	return cmp.Or(
		validID("id", string(r.ID)),
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validTime("started_at", r.StartedAt),
		validTime("confirmed_at", r.ConfirmedAt),
	)
}

// Validate checks every field, see [Sighting.Validate].
func (r *VisitEnded) Validate() error {
	return cmp.Or(
		validID("id", string(r.ID)),
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validTime("started_at", r.StartedAt),
		validTime("last_seen_at", r.LastSeenAt),
		validCount("dwell_ms", r.DwellMillis),
	)
}

// Validate checks every field, see [Sighting.Validate].
func (r *EnrichedWalkIn) Validate() error {
	return cmp.Or(
		validID("id", string(r.ID)),
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validID("contact", string(r.Contact)),
		validTime("started_at", r.StartedAt),
		validTime("bound_at", r.BoundAt),
		validCount("dwell_ms", r.DwellMillis),
	)
}

// Validate checks every field, see [Sighting.Validate].
func (r *WalkInCount) Validate() error {
	err := cmp.Or(
		validBusiness(r.Business),
		validID("contact", string(r.Contact)),
		validCount("month_total", r.MonthTotal),
		validCount("total", r.Total),
		validCount("base", r.Base),
		validCount("version", r.Version),
	)
	if r.WalkIn == "" && r.Month == "" && r.MonthTotal == 0 && r.WalkInAt.Equal(NoWalkIn) {
		return err
	}
	return cmp.Or(err,
		validID("walk_in", string(r.WalkIn)),
		validTime("walk_in_at", r.WalkInAt),
		validMonth("month", r.Month),
	)
}

// validBusiness is validID and no '/', since that ends the business in a key.
func validBusiness(b BusinessID) error {
	if strings.IndexByte(string(b), '/') >= 0 {
		return Bad(InvalidField, "business: %.*q holds a '/'", maxShown, b)
	}
	return validID("business", string(b))
}

func validID(field, id string) error {
	switch {
	case id == "":
		return Bad(InvalidField, "%s: %q is empty", field, id)
	case len(id) > MaxIDBytes:
		return Bad(InvalidField, "%s: %.*q is of %d bytes, %d are allowed", field, maxShown, id, len(id), MaxIDBytes)
	case isPlainASCII(id):
		return nil
	case !utf8.ValidString(id):
		return Bad(InvalidField, "%s: %.*q is not UTF-8", field, maxShown, id)
	case strings.ContainsFunc(id, unicode.IsControl):
		return Bad(InvalidField, "%s: %.*q holds a control character", field, maxShown, id)
	default:
		return nil
	}
}

// isPlainASCII spares nearly every id the decoding of its runes.
func isPlainASCII(id string) bool {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

func validTime(field string, t time.Time) error {
	if t.Before(firstTime) || !t.Before(endTime) {
		return Bad(InvalidField, "%s: %d ms since 1970 is not within the years 2000 to 2099", field, t.UnixMilli())
	}
	return nil
}

func validMonth(field, month string) error {
	if _, err := time.Parse("2006-01", month); err != nil {
		return Bad(InvalidField, "%s: %.*q is no month like 2026-11", field, maxShown, month)
	}
	return nil
}

func validCount(field string, n int64) error {
	if n < 0 {
		return Bad(InvalidField, "%s: %d is below 0", field, n)
	}
	return nil
}
