package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
	"footfall/shared/pseudonym"
)

// keysFlag lets a command take MAC addresses where it needs devices.
type keysFlag struct {
	PseudonymKeys string `type:"existingfile" placeholder:"FILE" help:"The keys that pseudonyms are made with, to find devices by their MAC addresses."`
}

// keys reads the file.
func (f keysFlag) keys() (pseudonym.Keys, error) {
	document, err := os.ReadFile(f.PseudonymKeys)
	if err != nil {
		return pseudonym.Keys{}, fmt.Errorf("--pseudonym-keys: %w", err)
	}
	keys, err := pseudonym.ParseKeys(document)
	if err != nil {
		return pseudonym.Keys{}, fmt.Errorf("--pseudonym-keys: %w", err)
	}
	return keys, nil
}

// maker makes what ingest makes under the key of that id, or without a file what
// Device makes under the text.
func (f keysFlag) maker(id, text string) (pseudonym.Maker, error) {
	if f.PseudonymKeys == "" {
		return pseudonym.Under([]byte(text)), nil
	}
	keys, err := f.keys()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(keys.IDs(), id) {
		return nil, fmt.Errorf("--pseudonym-keys: no key %q, of %v", id, keys.IDs())
	}
	known := map[events.BusinessID]*pseudonym.Key{}
	return func(b events.BusinessID, mac net.HardwareAddr) events.DeviceID {
		if known[b] == nil {
			known[b], _ = keys.Business(id, b) // there is one of that id
		}
		return known[b].Device([6]byte(mac))
	}, nil
}

// parseMAC reads a MAC address in any spelling that ingest takes; ok is false
// for what is none.
func parseMAC(text string) (mac [6]byte, ok bool) {
	b, err := net.ParseMAC(senders.RouterName(text))
	if err != nil || len(b) != len(mac) {
		return mac, false
	}
	return [6]byte(b), true
}

// devicePseudonyms gives the pseudonyms of an address at a business under every key: it
// may have changed its key since the device first came.
func devicePseudonyms(keys pseudonym.Keys, b events.BusinessID, mac [6]byte) ([]events.DeviceID, error) {
	var found []events.DeviceID
	for _, id := range keys.IDs() {
		key, err := keys.Business(id, b)
		if err != nil {
			return nil, err
		}
		found = append(found, key.Device(mac))
	}
	return found, nil
}

// noPseudonym is what no pseudonym holds, but a MAC address that is misspelt.
const noPseudonym = ":. \t"

// pseudonymise puts pseudonyms in the place of the MAC addresses in a list. What
// may have been meant for an address is an error: stored as it is, it would name a
// device and meet none. Its error does not repeat the address.
func (f keysFlag) pseudonymise(b events.BusinessID, list []events.DeviceID) ([]events.DeviceID, error) {
	var out []events.DeviceID
	var keys pseudonym.Keys
	for i, device := range list {
		mac, ok := parseMAC(string(device))
		switch {
		case !ok && strings.ContainsAny(string(device), noPseudonym):
			return nil, fmt.Errorf("[%d] is no pseudonym, and %w", i, errNotMAC)
		case !ok:
			out = append(out, device)
			continue
		case f.PseudonymKeys == "":
			return nil, fmt.Errorf("[%d] is a MAC address, and without --pseudonym-keys devices are listed by their pseudonyms", i)
		}
		var err error
		if len(keys.IDs()) == 0 { // the file has one at least
			if keys, err = f.keys(); err != nil {
				return nil, err
			}
		}
		devices, err := devicePseudonyms(keys, b, mac)
		if err != nil {
			return nil, err
		}
		out = append(out, devices...)
	}
	return out, nil
}

// pseudonymiseAll puts pseudonyms in the place of the MAC addresses in the lists of
// documents. The tables hold pseudonyms alone.
func (f keysFlag) pseudonymiseAll(all map[events.BusinessID]business.Document) error {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		err := all[id].ReplaceDevices(func(list []events.DeviceID) ([]events.DeviceID, error) { return f.pseudonymise(id, list) })
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// errNotMAC does not repeat what was given: it may be half of an address.
var errNotMAC = errors.New("not an address like 00:1b:63:84:45:e6")
