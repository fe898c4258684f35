package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"footfall/events"
	"footfall/local"
	"footfall/shared/business"
)

// Lists hold pseudonyms alone: a MAC address in any spelling becomes a pseudonym, and
// a text that may be half of an address is an error that does not repeat the text.
func TestListsHoldNoAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(`{"1": "an example of a key with 36 bytes..."}`), 0o600); err != nil {
		t.Fatal(err)
	}
	with := keysFlag{PseudonymKeys: path}
	want, err := with.pseudonymise("cafe-1", []events.DeviceID{"00:1b:63:84:45:e6"})
	if err != nil || !strings.HasPrefix(string(want[0]), "1-") {
		t.Fatalf("%q, %v", want, err)
	}
	for _, c := range []struct {
		text string
		is   string // part of the error without keys; "" for a pseudonym
		bad  bool   // an error with keys too
	}{
		{"00:1B:63:84:45:E6", "is a MAC address", false},
		{" 00:1b:63:84:45:e6 ", "is a MAC address", false},
		{"00-1b-63-84-45-e6", "is a MAC address", false},
		{"00.1b.63.84.45.e6", "is a MAC address", false},
		{"001b.6384.45e6", "is a MAC address", false},
		{"001b638445e6", "is a MAC address", false},
		{"0:1b:63:84:45:e7", "is no pseudonym", true},
		{"00 1b 63 84 45 e6", "is no pseudonym", true},
		{"1b:63:84:45:e7", "is no pseudonym", true},
		{"00:1b:63:84:45:e6:00:01", "is no pseudonym", true},
		{"1-rS_JZ_s5lx6i9hBXljr4ZQ", "", false},
		{"1-till", "", false},
	} {
		got, err := keysFlag{}.pseudonymise("cafe-1", []events.DeviceID{events.DeviceID(c.text)})
		switch {
		case c.is == "" && (err != nil || string(got[0]) != c.text):
			t.Errorf("%s: got %q, %v, want it unchanged", c.text, got, err)
		case c.is != "" && (err == nil || !strings.Contains(err.Error(), c.is) || strings.Contains(err.Error(), c.text)):
			t.Errorf("%s: got error %v, want one with %q and without the text", c.text, err, c.is)
		}
		got, err = with.pseudonymise("cafe-1", []events.DeviceID{events.DeviceID(c.text)})
		if (err != nil) != c.bad || c.is != "" && !c.bad && got[0] != want[0] {
			t.Errorf("%s with keys: got %q, %v, want an error %v", c.text, got, err, c.bad)
		}
	}
}

// In a file that is imported before the start, addresses without keys are an error,
// before any table is read.
func TestImportedListsHoldNoAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "businesses.json")
	all := map[string]business.Document{"cafe-1": {Door: &business.Door{OptOut: []events.DeviceID{"00:1b:63:84:45:e6"}}}}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, []byte(`{"1": "an example of a key with 36 bytes..."}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no table answers
	client, err := tableFlags{TableEndpoint: "http://127.0.0.1:1"}.tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for file, fails := range map[string]bool{"": true, keys: false} {
		var o local.Options
		c := localCmd{PseudonymKeys: file, businessesFlags: businessesFlags{Businesses: path}}
		c.setDoor(&o)
		c.storeBefore(t.Output())(&o)
		err := o.Prepare(ctx, client)
		if is := err != nil && strings.Contains(err.Error(), "door.opt_out[0] is a MAC address"); is != fails {
			t.Errorf("with keys %q: got error %v, want one about the address: %v", file, err, fails)
		}
	}
}
