package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
)

// pattern is one form of a personal text, as it would show in a file, a record or a log.
type pattern struct {
	name string // of the text and of the form
	form []byte
}

// spellings returns a MAC address in the spellings of routers and of people.
func spellings(mac [6]byte) map[string]string {
	bare := hex.EncodeToString(mac[:])
	pairs := make([]string, len(mac))
	for i, b := range mac {
		pairs[i] = fmt.Sprintf("%02x", b)
	}
	return map[string]string{
		"colons": strings.Join(pairs, ":"), "dashes": strings.Join(pairs, "-"), "dots": strings.Join(pairs, "."),
		"three dots": bare[:4] + "." + bare[4:8] + "." + bare[8:], "bare": bare,
		"numbers": strings.Trim(fmt.Sprint(mac), "[]"), "JSON numbers": strings.Trim(strings.ReplaceAll(fmt.Sprint(mac), " ", ","), "[]"),
		"link-local": linkLocal(mac),
	}
}

// linkLocal returns the interface identifier that IPv6 derives from a MAC address (RFC
// 4291, appendix A), without the prefix.
func linkLocal(mac [6]byte) string {
	ip := net.IP{0xfe, 0x80, 15: 0}
	copy(ip[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return strings.TrimPrefix(ip.String(), "fe80::")
}

// macPatterns returns all spellings of a MAC address, its six bytes, and these within
// base64.
func macPatterns(mac [6]byte) (all []pattern) {
	for name, text := range spellings(mac) {
		all = append(all, textPatterns(text+", "+name, text)...)
	}
	return append(all, inBase64(fmt.Sprintf("%x, raw", mac), mac[:], pattern{fmt.Sprintf("%x, raw", mac), mac[:]})...)
}

// textPatterns returns a text in both cases, escaped for URLs, and within base64.
func textPatterns(name, text string) (all []pattern) {
	for _, form := range []string{text, strings.ToLower(text), strings.ToUpper(text)} {
		all = append(all, inBase64(name, []byte(form), pattern{name, []byte(form)}, pattern{name + ", escaped", []byte(url.QueryEscape(form))})...)
	}
	return all
}

// inBase64 adds the base64 forms of a text at any offset, as far as they do not
// depend on the surrounding bytes.
func inBase64(name string, form []byte, all ...pattern) []pattern {
	for before := range 3 {
		padded := append(make([]byte, before), form...)
		first, end := (before*8+5)/6, len(padded)*8/6
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			all = append(all, pattern{fmt.Sprintf("%s, base64 from byte %d", name, before), []byte(encoding.EncodeToString(padded)[first:end])})
		}
	}
	return all
}

// leaks returns the patterns that are in any of the texts, each with its place.
func leaks(patterns []pattern, places map[string][]byte) (found []string) {
	for place, text := range places {
		for _, p := range patterns {
			if i := bytes.Index(text, p.form); i >= 0 {
				found = append(found, fmt.Sprintf("%s: %s: ...%q...", place, p.name, text[max(0, i-60):min(len(text), i+60)]))
			}
		}
	}
	return found
}

// A leak is found in every form, so that finding none means that there is none.
func TestLeaksAreFound(t *testing.T) {
	mac := [6]byte{0x00, 0x00, 0x5e, 0xa7, 0xd1, 0xc3}
	patterns := append(macPatterns(mac), textPatterns("e-mail", "marked.person@example.com")...)
	around := func(s string) string { return "x\n" + s + "\x00y" }
	for name, text := range map[string]string{
		"colons": "00:00:5e:a7:d1:c3", "capitals": "00:00:5E:A7:D1:C3", "dashes": "00-00-5e-a7-d1-c3",
		"dots": "0000.5ea7.d1c3", "bare": "00005EA7D1C3", "raw": string(mac[:]), "Go": fmt.Sprint(mac), "JSON": "[0,0,94,167,209,195]",
		"escaped": "00%3A00%3A5e%3Aa7%3Ad1%3Ac3", "link-local": "fe80::200:5eff:fea7:d1c3",
		"base64 of bytes": base64.StdEncoding.EncodeToString(mac[:]), "base64 for URLs": base64.RawURLEncoding.EncodeToString(mac[:]),
		"within base64, 0": base64.StdEncoding.EncodeToString([]byte("012" + string(mac[:]) + "tail")),
		"within base64, 1": base64.StdEncoding.EncodeToString([]byte("0" + string(mac[:]) + "tail")),
		"within base64, 2": base64.StdEncoding.EncodeToString([]byte("01" + string(mac[:]) + "tail")),
		"text in base64":   base64.StdEncoding.EncodeToString([]byte(`{"mac":"00:00:5E:A7:D1:C3"}`)),
		"e-mail":           "Marked.Person@example.com"[1:] + " marked.person@example.com", "e-mail, escaped": "marked.person%40example.com",
		"e-mail in base64": base64.StdEncoding.EncodeToString([]byte("to marked.person@example.com.")),
	} {
		if len(leaks(patterns, map[string][]byte{"here": []byte(around(text))})) == 0 {
			t.Errorf("%s: %q is not found", name, text)
		}
	}
	for _, text := range []string{"", "00:00:5e:a7:d1:c4", "example.com", "1-hf3nS9C1mYxk2uVw7aRg0Q", fmt.Sprint([]byte("0005ea7d1"))} {
		if found := leaks(patterns, map[string][]byte{"here": []byte(around(text))}); len(found) > 0 {
			t.Errorf("%q: %q", text, found)
		}
	}
}
