package recording

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/ingest/senders"
)

// The functions of this file parse values in the forms that the HTTP door takes
// and that pandas, tshark, R and spreadsheets write.

// missingTexts are the forms of a value that is missing.
var missingTexts = []string{"nan", "na", "n/a", "<na>", "nat", "null", "none", "-"}

// isMissing reports whether a text stands for no value.
func isMissing(f []byte) bool {
	switch {
	case len(f) == 0:
		return true
	case len(f) > 4 || f[0] >= '0' && f[0] <= '9':
		return false
	}
	return slices.ContainsFunc(missingTexts, func(m string) bool { return strings.EqualFold(m, string(f)) })
}

// maxEpochMillis is beyond every time that a record may have, in milliseconds since
// 1970, and small enough to convert.
const maxEpochMillis = 1e14

// zoned and local are the layouts of times with and without a time zone, once
// parseTime has replaced the spaces. time.Parse accepts a fraction of the
// seconds without its being named.
var (
	zoned = []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
		"2006-01-02T15:04Z07:00", "20060102T150405Z0700", "Jan _2, 2006 15:04:05Z07:00",
	}
	local = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "20060102T150405"}
)

// parseTime parses a time and truncates it to milliseconds, as the records of
// the pipeline do. A time without a zone is taken as UTC, and zoneless is true.
// decimalComma is true if a comma may separate the fraction of a number.
func parseTime(f []byte, decimalComma bool) (t time.Time, zoneless bool, err error) {
	if t, ok, err := parseEpoch(f, decimalComma); ok || err != nil {
		return t, false, err
	}
	s := normalised(string(f))
	for _, layout := range zoned {
		if t, err := time.Parse(layout, s); err == nil {
			return cut(t), false, nil
		}
	}
	for _, layout := range local {
		if t, err := time.Parse(layout, s); err == nil {
			return cut(t), true, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("%.40q is no time: want seconds or milliseconds since 1970, or a time such as 2026-11-21T10:00:00Z", f)
}

// normalised returns a time without the spaces that RFC 3339 does not have:
// "2026-11-21 10:00:00 +0000" and "2026-11-21 10:00:00 UTC" have two.
func normalised(s string) string {
	for _, zone := range []string{" UTC", " GMT"} {
		if date, ok := strings.CutSuffix(s, zone); ok {
			s = date + "Z"
		}
	}
	if len(s) > 10 && s[4] == '-' && (s[10] == ' ' || s[10] == 't') {
		s = s[:10] + "T" + s[11:]
	}
	if i := strings.LastIndexByte(s, ' '); i > 0 && i+1 < len(s) && strings.IndexByte("+-Z", s[i+1]) >= 0 {
		s = s[:i] + s[i+1:]
	}
	return s
}

// maxDecimals is the greatest number of decimals of a number that is a time.
const maxDecimals = 18

// parseEpoch parses a number of seconds, milli-, micro- or nanoseconds since
// 1970. ok is false if the text is no number. Decimals are read as such: as a
// floating-point number 1795255205.123 would be 1795255205122 ms.
func parseEpoch(f []byte, decimalComma bool) (t time.Time, ok bool, err error) {
	whole, fraction, _ := bytes.Cut(f, []byte{'.'})
	if i := bytes.IndexByte(f, ','); decimalComma && i >= 0 {
		whole, fraction = f[:i], f[i+1:]
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || !digits(fraction) || len(fraction) > maxDecimals {
		return scientific(f, decimalComma)
	}
	// Find the unit, then the nanoseconds within it. Decimals of a
	// millisecond and of smaller units are truncated.
	switch senders.EpochUnit(float64(n)) {
	case time.Millisecond:
		return time.UnixMilli(n).UTC(), true, nil
	case time.Microsecond:
		return cut(time.UnixMicro(n)), true, nil
	case time.Nanosecond:
		return cut(time.Unix(0, n)), true, nil
	default: // seconds, whose decimals count
	}
	ms, _ := strconv.Atoi(string(append(append(make([]byte, 0, 3+len(fraction)), fraction...), "000"...)[:3]))
	if len(f) > 0 && f[0] == '-' {
		ms = -ms
	}
	return time.UnixMilli(n*1000 + int64(ms)).UTC(), true, nil
}

// digits reports whether f holds nothing but decimal digits.
func digits(f []byte) bool {
	return !bytes.ContainsFunc(f, func(r rune) bool { return r < '0' || r > '9' })
}

// scientific parses a time that is a number with an exponent.
func scientific(f []byte, decimalComma bool) (t time.Time, ok bool, err error) {
	v, err := parseFloat(f, decimalComma)
	e := bytes.IndexAny(f, "eE")
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || e < 0 {
		return time.Time{}, false, nil //nolint:nilerr // the text is no number, but may be a time in words
	}
	// A spreadsheet shows six digits of a long number, with an E, and saves
	// what it shows: the time is lost.
	if f[e] == 'E' && len(bytes.Trim(f[:e], "-")) <= len("1.79526") {
		return time.Time{}, false, fmt.Errorf("%.40q was rounded by a spreadsheet: format the column as a number without decimals and save again", f)
	}
	if v = senders.EpochMillis(v); math.Abs(v) > maxEpochMillis {
		return time.UnixMilli(maxEpochMillis).UTC(), true, nil
	}
	return time.UnixMilli(int64(math.Round(v))).UTC(), true, nil
}

// parseFloat parses a number whose fraction is separated by a point or, if
// decimalComma, by a comma.
func parseFloat(f []byte, decimalComma bool) (float64, error) {
	if decimalComma {
		f = bytes.Replace(f, []byte{','}, []byte{'.'}, 1)
	}
	return strconv.ParseFloat(string(f), 64)
}

// parseSignal parses a signal strength in dBm, rounded to whole dBm. Of several
// values, one for each antenna, it takes the strongest. The reason is NoSignal
// or BadSignal if the text is no possible signal strength.
func parseSignal(f []byte, decimalComma bool) (events.RSSI, Reason, error) {
	if v, err := strconv.ParseInt(string(f), 10, 32); err == nil {
		return signal(float64(v))
	}
	f = bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSuffix(f, []byte("dBm")), []byte("dbm")))
	// A list has a sign behind each separator; "-60,5" is a number.
	parts := [][]byte{f}
	if i := bytes.IndexAny(f, ",;|"); i >= 0 && (!decimalComma || bytes.Count(f, []byte{'-'}) > 1) {
		parts = bytes.FieldsFunc(f, func(r rune) bool { return strings.ContainsRune(",;|", r) })
	}
	// An impossible value does not hide a possible one.
	best, why := events.RSSI(0), NoSignal
	for _, part := range parts {
		if part = bytes.TrimSpace(part); isMissing(part) {
			continue
		}
		v, err := parseFloat(part, decimalComma)
		if err != nil {
			return 0, used, fmt.Errorf("%.40q is no number of dBm", f)
		}
		switch rssi, bad, _ := signal(v); {
		case bad == used && (why != used || rssi > best):
			best, why = rssi, used
		case why == NoSignal:
			why = bad
		}
	}
	return best, why, nil
}

// signal rounds a signal strength and checks its range.
func signal(v float64) (events.RSSI, Reason, error) {
	switch v = math.Round(v); {
	case math.IsNaN(v):
		return 0, NoSignal, nil
	case v < -127 || v > 0:
		return 0, BadSignal, nil
	}
	return events.RSSI(v), used, nil
}

// boolean parses true, false, 1 and 0, also as 1.0 and 0.0; a missing value is
// false.
func boolean(f []byte) (bool, error) {
	if isMissing(f) {
		return false, nil
	}
	v, err := strconv.ParseBool(strings.ToLower(strings.TrimSuffix(string(f), ".0")))
	if err != nil {
		return false, fmt.Errorf("%.40q is neither true nor false", f)
	}
	return v, nil
}

// parseMAC parses an address of six bytes: in pairs of hexadecimal digits
// separated by colons, dashes or dots, where a leading 0 may be missing, in
// groups of four, or without separators.
func parseMAC(f []byte) (mac [6]byte, err error) {
	// Bring groups of one or two digits to two, and remove the separators.
	text := string(f)
	for _, separator := range []string{":", "-", "."} {
		if groups := strings.Split(text, separator); len(groups) == len(mac) {
			for i, g := range groups {
				if len(g) == 1 {
					groups[i] = "0" + g
				} else if len(g) != 2 {
					return mac, badMAC(f)
				}
			}
			text = strings.Join(groups, "")
		} else if len(groups) == 3 && len(text) == 14 && text[4] == text[9] {
			text = strings.Join(groups, "")
		}
	}
	if len(text) == 16 || strings.Count(text, ":") == 7 || strings.Count(text, "-") == 7 {
		return mac, errors.New("8 bytes, want 6")
	}
	v, err := strconv.ParseUint(text, 16, 48)
	if err != nil || len(text) != 12 {
		return mac, badMAC(f)
	}
	for i := range mac {
		mac[i] = byte(v >> (8 * (5 - i)))
	}
	return mac, nil
}

// badMAC returns the error for a text that is no address.
func badMAC(f []byte) error {
	return fmt.Errorf("%.40q is no MAC address, such as 00:00:5e:00:53:01", f)
}
