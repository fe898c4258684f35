package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"footfall/events"
	"footfall/lab/score"
	"footfall/lab/town"
	"footfall/shared/pseudonym"
)

// readTruth reads the true visits of a file; with an empty path Truth is nil. A file
// of simulate holds the visits of all devices and names the employees. People write
// down only their own visits: of other devices, CSV says nothing.
func readTruth(path string, business events.BusinessID, device pseudonym.Maker) (k score.Reference, err error) {
	err = fromFile(path, func(r io.Reader) error {
		if filepath.Ext(path) == ".ndjson" {
			all, err := town.ReadTruth(r, path)
			k = town.Reference(all)
			return err
		}
		visits, err := score.ReadTruthCSV(r, path, business, device)
		k = score.Reference{Truth: slices.Concat([]score.Visit{}, visits), Named: named(visits)}
		return err
	})
	if err != nil {
		return k, fmt.Errorf("true visits: %w", err)
	}
	return k, nil
}

// named returns a predicate that reports whether there are true visits of a device.
func named(truth []score.Visit) func(events.BusinessID, events.DeviceID) bool {
	all := map[events.DeviceID]bool{}
	for _, v := range truth {
		all[v.Device] = true
	}
	return func(_ events.BusinessID, d events.DeviceID) bool { return all[d] }
}
