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

// keysFlag lets a command accept MAC addresses in place of pseudonyms of devices.
type keysFlag struct {
	PseudonymKeys string `type:"existingfile" voids:"key" placeholder:"FILE" help:"File with the keys of pseudonyms. With it, devices can be named by their MAC addresses."`
}

// keys reads the file of keys.
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

// maker returns the function that makes pseudonyms of MAC addresses. With a file of
// keys, pseudonyms are those of ingest under the key id; without a file, text is the
// key.
func (f keysFlag) maker(id, text string) (pseudonym.Maker, error) {
	if f.PseudonymKeys == "" {
		return pseudonym.NewMaker([]byte(text)), nil
	}
	keys, err := f.keys()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(keys.IDs(), id) {
		return nil, fmt.Errorf("--pseudonym-keys: no key %q, of %v", id, keys.IDs())
	}
	// A business has a key of its own, which is derived once.
	known := map[events.BusinessID]*pseudonym.Key{}
	return func(b events.BusinessID, mac net.HardwareAddr) events.DeviceID {
		if known[b] == nil {
			known[b], _ = keys.Business(id, b) // fails only for an unknown id
		}
		return known[b].Device([6]byte(mac))
	}, nil
}

// parseMAC returns the MAC address in a text, in any spelling that ingest accepts; ok
// is false if the text is none.
func parseMAC(text string) (mac [6]byte, ok bool) {
	b, err := net.ParseMAC(senders.RouterName(text))
	if err != nil || len(b) != len(mac) {
		return mac, false
	}
	return [6]byte(b), true
}

// devicePseudonyms returns the pseudonyms of a MAC address at a business under every
// key: the business may have changed its key since the device was first heard.
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

// notInPseudonym holds characters that no pseudonym has. A MAC address with a typing
// error may have them.
const notInPseudonym = ":. \t"

// pseudonymise returns a list with pseudonyms in place of MAC addresses. It fails on a
// text that may be a MAC address with a typing error: stored unchanged, such a text
// would never match a device. Errors do not repeat the text.
func (f keysFlag) pseudonymise(b events.BusinessID, list []events.DeviceID) ([]events.DeviceID, error) {
	var out []events.DeviceID
	var keys pseudonym.Keys
	for i, device := range list {
		// A pseudonym stays; a text that is neither a pseudonym nor an address fails.
		mac, ok := parseMAC(string(device))
		switch {
		case !ok && strings.ContainsAny(string(device), notInPseudonym):
			return nil, fmt.Errorf("[%d] is no pseudonym, and %w", i, errNotMAC)
		case !ok:
			out = append(out, device)
			continue
		case f.PseudonymKeys == "":
			return nil, fmt.Errorf("[%d] is a MAC address: give --pseudonym-keys, or list the device by its pseudonym", i)
		}
		// Read the keys at the first address. A file of keys has at least one.
		var err error
		if len(keys.IDs()) == 0 {
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

// pseudonymiseAll replaces the MAC addresses in the lists of documents by pseudonyms.
// Every command that stores a document calls it, so that tables hold pseudonyms alone.
func (f keysFlag) pseudonymiseAll(all map[events.BusinessID]business.Document) error {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		err := all[id].ReplaceDevices(func(list []events.DeviceID) ([]events.DeviceID, error) { return f.pseudonymise(id, list) })
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// errNotMAC does not repeat the text, which may be half of an address.
var errNotMAC = errors.New("not an address like 00:1b:63:84:45:e6")
