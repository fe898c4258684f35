package senders

import (
	"bytes"
	"slices"
	"time"
)

// This file reads what precedes the message in a line of syslog. The forms, with
// brackets around what may be missing:
//
//	[<PRI>] TIME [HOST] [MODEL,ADDRESS,VERSION: [:]] [FACILITY.LEVEL] TAG MESSAGE
//	<PRI>1 TIME HOST PROGRAM PROCID MSGID DATA MESSAGE
//	SECONDS: MESSAGE
//
// The first is RFC 3164 as rsyslog, syslog-ng, BusyBox, journalctl and OpenWrt's
// logread write it, and UniFi with the part between the commas. logread has no
// host. The second is RFC 5424. The third is the standard output of hostapd -t.
//
// TAG is the program, with or without the number of the process: "hostapd[812]:".

// syslogHead is what precedes the message.
type syslogHead struct {
	seenAt  instant
	router  []byte // empty if the line names none
	message []byte
}

// byteOrderMark is U+FEFF in UTF-8. Some programs put it before a text, and RFC
// 5424 puts it before a message.
const byteOrderMark = "\ufeff"

// head reads what precedes the message; ok is false if the line is not of hostapd.
// If the time has none of the forms, seenAt is a bad time.
func (r *syslogReader) head(line []byte) (h syslogHead, ok bool) {
	line, hasPriority := cutPriority(cutLength(line))
	if rest, ok := bytes.CutPrefix(line, []byte("1 ")); ok && hasPriority {
		return r.headRFC5424(rest)
	}

	// A time of fixed length begins with a month or a day of the week.
	var rest []byte
	var logread bool
	if h.seenAt, rest, logread = r.clock(line); !h.seenAt.given {
		// Any other time is a word, or two.
		word, afterWord := cutWord(line)
		if seconds, ok := bytes.CutSuffix(word, []byte(":")); ok {
			h.seenAt, h.message = parseEpoch(seconds), afterWord
			return h, !h.seenAt.bad
		}
		h.seenAt, rest = r.stamp(word, afterWord)
	}

	// The host is the first word that is no other part: no host ends with a colon.
	word, rest := cutWord(rest)
	_, isUniFi := cutUniFi(word)
	if !isUniFi && !bytes.HasSuffix(word, []byte(":")) && !(logread && isLevel(word)) {
		h.router = word
		word, rest = cutWord(rest)
	}
	if address, ok := cutUniFi(word); ok {
		h.router = address
		if word, rest = cutWord(rest); string(word) == ":" {
			word, rest = cutWord(rest)
		}
	}
	if isLevel(word) {
		word, rest = cutWord(rest)
	}
	h.message = rest
	return h, isTag(word)
}

// headRFC5424 reads what follows the version in RFC 5424, section 6.
func (r *syslogReader) headRFC5424(rest []byte) (h syslogHead, ok bool) {
	word, rest := cutWord(rest)
	h.seenAt, rest = r.stamp(word, rest)
	h.router, rest = cutWord(rest)
	program, rest := cutWord(rest)
	_, rest = cutWord(rest) // PROCID
	_, rest = cutWord(rest) // MSGID
	if rest, ok = cutStructuredData(rest); !ok {
		return h, false
	}
	h.message = bytes.TrimPrefix(bytes.TrimLeft(rest, space), []byte(byteOrderMark))
	switch address, ok := cutUniFi(h.router); {
	case ok:
		h.router = address
	case string(h.router) == "-":
		h.router = nil
	}
	// A line without a program may name it in the message.
	if string(program) == "-" {
		program, _ = cutWord(h.message)
		return h, isTag(program)
	}
	return h, isProgram(program)
}

// cutLength returns a line without the length of RFC 6587, section 3.4.1, which
// precedes the priority if the line came over TCP.
func cutLength(line []byte) []byte {
	const maxDigits = 9
	if space := bytes.IndexByte(line[:min(len(line), maxDigits+1)], ' '); space > 0 && bytes.HasPrefix(line[space:], []byte(" <")) {
		if len(bytes.TrimLeft(line[:space], "0123456789")) == 0 {
			return line[space+1:]
		}
	}
	return line
}

// cutPriority returns a text without the number in angle brackets before it, the
// priority of syslog or the level of hostapd's control socket.
func cutPriority(text []byte) (rest []byte, ok bool) {
	if rest, ok = bytes.CutPrefix(text, []byte("<")); !ok {
		return text, false
	}
	digits := len(rest) - len(bytes.TrimLeft(rest, "0123456789"))
	if digits == 0 || digits > 3 || digits == len(rest) || rest[digits] != '>' {
		return text, false
	}
	return rest[digits+1:], true
}

// cutStructuredData returns what follows the structured data of RFC 5424: a dash,
// or elements such as [meta sequenceId="27"]. In the values a backslash precedes a
// quote and a bracket. ok is false if text does not begin with structured data.
func cutStructuredData(text []byte) (rest []byte, ok bool) {
	text = bytes.TrimLeft(text, space)
	if rest, ok = bytes.CutPrefix(text, []byte("-")); ok {
		return rest, true
	}
	for len(text) > 0 && text[0] == '[' {
		end := 1
		for quoted := false; end < len(text) && (quoted || text[end] != ']'); end++ {
			switch text[end] {
			case '\\':
				end++
			case '"':
				quoted = !quoted
			}
		}
		if end >= len(text) {
			return nil, false
		}
		text, ok = text[end+1:], true
	}
	return text, ok
}

// cutUniFi returns the address of the access point in the part that UniFi puts
// before the tag, and between or instead of which model and version stand:
// U6LR,00005e0053f1,v6.6.55: and 00005e0053f1,U7-Pro-8.6.11+18870: and
// ("U6LR,00005e0053f1,v4.0.1"). The address names the access point. The model does
// not, since a store may have several of a model. ok is false for any other word.
func cutUniFi(word []byte) (address []byte, ok bool) {
	if bytes.IndexByte(word, ',') < 0 {
		return nil, false
	}
	for part := range bytes.SplitSeq(bytes.Trim(word, `(":)`), []byte(",")) {
		if mac, ok := parseMAC(part); ok && mac != [6]byte{} {
			return part, true
		}
	}
	return nil, false
}

// The names of syslog(3), as they stand between the time and the tag: daemon.notice.
var (
	syslogFacilities = []string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
	syslogLevels = []string{"emerg", "alert", "crit", "err", "warn", "warning", "notice", "info", "debug"}
)

// isLevel reports whether a word is a facility and a level.
func isLevel(word []byte) bool {
	facility, level, ok := bytes.Cut(word, []byte("."))
	return ok && slices.Contains(syslogFacilities, string(facility)) && slices.Contains(syslogLevels, string(level))
}

// isTag reports whether a word is the tag of hostapd.
func isTag(word []byte) bool {
	program, ok := bytes.CutSuffix(word, []byte(":"))
	return ok && isProgram(program)
}

// isProgram reports whether a word, possibly with the number of a process, is a
// program that hostapd runs as. wpad is OpenWrt's name for hostapd and
// wpa_supplicant in one file.
func isProgram(word []byte) bool {
	return bytes.HasPrefix(word, []byte("hostapd")) || string(word) == "wpad" || bytes.HasPrefix(word, []byte("wpad["))
}

// stamp reads a time that is a word, or that word and the next if the word is a
// date: RFC 3339 with or without a zone, or seconds since 1970. after is what follows
// the word, and rest what follows the time.
func (r *syslogReader) stamp(word, after []byte) (at instant, rest []byte) {
	rest = after
	const date = "2006-01-02"
	if len(word) == len(date) && word[4] == '-' {
		var clock []byte
		clock, rest = cutWord(after)
		word = slices.Concat(word, []byte("T"), clock)
	}
	if len(word) < 5 || word[4] != '-' && !bytes.ContainsAny(word, "Tt") {
		return parseEpoch(word), rest
	}
	t, hasZone, ok := parseDateTime(word)
	if ok && !hasZone {
		t = r.nearest(t, t.Year(), t.Year())
	}
	if !ok {
		return instant{given: true, bad: true}, rest
	}
	return newInstant(t), rest
}

// The times of fixed length: that of RFC 3164, and that of logread.
const (
	logreadTime = "Mon Jan _2 15:04:05 2006"
	rfc3164Time = time.Stamp
)

// clock reads a time of fixed length without a zone, and possibly without a year,
// at the start of a line. at is missing if the line begins with no such time.
// logread is true if the time has the form of logread.
func (r *syslogReader) clock(line []byte) (at instant, rest []byte, logread bool) {
	if t, rest, ok := cutClock(line, logreadTime); ok {
		// logread -t adds the seconds since 1970, which need no zone.
		word, after := cutWord(rest)
		if seconds, ok := bytes.CutPrefix(word, []byte("[")); ok && bytes.HasSuffix(seconds, []byte("]")) {
			return parseEpoch(seconds[:len(seconds)-1]), after, true
		}
		return newInstant(r.nearest(t, t.Year(), t.Year())), rest, true
	}
	if t, rest, ok := cutClock(line, rfc3164Time); ok {
		// Any year around the arrival may be meant.
		year := r.arrival.At.Year()
		return newInstant(r.nearest(t, year-1, year+1)), rest, false
	}
	return instant{}, nil, false
}

// cutClock reads a time in layout, possibly with a fraction of a second behind it,
// at the start of a line. A word must end there.
func cutClock(line []byte, layout string) (t time.Time, rest []byte, ok bool) {
	if len(line) < len(layout) || line[0] < 'A' {
		return t, nil, false
	}
	t, err := time.Parse(layout, string(line[:len(layout)]))
	if err != nil {
		return t, nil, false
	}
	// A fraction of a second, which time.Parse reads though the layout has none.
	end := len(layout)
	if end < len(line) && line[end] != ' ' {
		word, _ := cutWord(line[end:])
		end += len(word)
		t, err = time.Parse(layout, string(line[:end]))
	}
	return t, line[end:], err == nil
}

// nearest returns the moment, nearest to the arrival of the post, at which a clock
// in the business's zone shows t in a year from first to last.
//
// The year is not always the arrival's own: on new year's eve a line of the old
// year arrives in the new one. In the hour that the end of summer time repeats, a
// clock shows t at two moments, and nearest returns the nearer of them. If a clock
// never shows t (29 February of a common year, the hour that the beginning of
// summer time leaves out), nearest returns the zero time.
func (r *syslogReader) nearest(t time.Time, first, last int) (best time.Time) {
	zone := r.arrival.Zone
	if zone == nil {
		zone = time.UTC
	}
	nearer := func(a, b time.Time) bool {
		return b.IsZero() || a.Sub(r.arrival.At).Abs() < b.Sub(r.arrival.At).Abs()
	}
	// The nearest year.
	var guess time.Time
	for year := first; year <= last; year++ {
		g := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
		if nearer(g, guess) {
			guess = g
		}
	}
	// In that year time.Date has moved a time that the clock never shows, or chosen
	// one of two moments. Look an hour to either side for moments that show t.
	for _, shift := range []time.Duration{-time.Hour, 0, time.Hour} {
		c := guess.Add(shift)
		if c.Day() == t.Day() && c.Hour() == t.Hour() && c.Minute() == t.Minute() && nearer(c, best) {
			best = c
		}
	}
	return best
}

// cutWord returns the first word of a line and the rest behind it. A line has up to
// ten words, and bytes.IndexAny would prepare its set of bytes for each of them.
func cutWord(line []byte) (word, rest []byte) {
	start := 0
	for start < len(line) && isBlank(line[start]) {
		start++
	}
	end := start
	for end < len(line) && !isBlank(line[end]) {
		end++
	}
	return line[start:end], line[end:]
}

// isBlank reports whether c separates words.
func isBlank(c byte) bool { return c == ' ' || c == '\t' }
