package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/presence"
)

// settingsByBusiness holds the settings by which the stores of a recording decide.
type settingsByBusiness struct {
	others business.Settings // of stores that are not in byID
	byID   map[events.BusinessID]business.Settings

	rules       map[events.BusinessID]*presence.Rules // of byID
	othersRules *presence.Rules
}

// settings returns the settings of the file of --businesses, and others for every
// other store, each changed by change. The error names every mistake in the file.
func (f *traceFlags) settings(others business.Settings, change func(*business.Settings)) (*settingsByBusiness, error) {
	s := &settingsByBusiness{others: others, byID: map[events.BusinessID]business.Settings{}, rules: map[events.BusinessID]*presence.Rules{}}
	// A store without rules in the file decides by the defaults.
	documents, err := f.documents()
	if err != nil {
		return nil, fmt.Errorf("businesses in %s: %w", f.Businesses, err)
	}
	for id, d := range documents {
		if d.Rules != nil {
			s.byID[id] = *d.Rules
		}
	}
	// Apply the change, then turn settings into rules.
	compile := func(set *business.Settings) (*presence.Rules, error) {
		change(set)
		rules, err := set.Rules()
		return &rules, err
	}
	if s.othersRules, err = compile(&s.others); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
		set := s.byID[id]
		if s.rules[id], err = compile(&set); err != nil {
			return nil, fmt.Errorf("settings of %s: %w", id, err)
		}
		s.byID[id] = set
	}
	return s, nil
}

// documents reads the rules of the file of --businesses; without a file it returns
// none. Doors are left alone: `business get` masks their secrets.
func (f *traceFlags) documents() (map[events.BusinessID]business.Document, error) {
	var all map[events.BusinessID]business.Document
	err := fromFile(f.Businesses, func(r io.Reader) error {
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		var raw map[events.BusinessID]map[string]json.RawMessage
		if err := json.Unmarshal(data, &raw); err != nil {
			return err
		}
		for _, d := range raw {
			if _, hasRules := d["rules"]; !hasRules {
				d["rules"] = json.RawMessage("{}")
			}
			delete(d, "door")
		}
		if data, err = json.Marshal(raw); err == nil {
			all, err = business.ReadDocuments(data)
		}
		return err
	})
	if err == nil {
		err = f.pseudonymiseAll(all)
	}
	return all, err
}

// of returns the rules of a store.
func (s *settingsByBusiness) of(id events.BusinessID) *presence.Rules {
	if r, ok := s.rules[id]; ok {
		return r
	}
	return s.othersRules
}

// dwell returns the required dwell of a store.
func (s *settingsByBusiness) dwell(id events.BusinessID) time.Duration { return s.of(id).MinSpan }

// inside reports whether a sensor is in its store.
func (s *settingsByBusiness) inside(id events.BusinessID, sensor events.SensorID) bool {
	sensors := s.of(id).Sensors
	_, ok := sensors[string(sensor)]
	return ok || len(sensors) == 0
}

// isExcluded reports whether a device is listed in the settings of its store.
func (s *settingsByBusiness) isExcluded(id events.BusinessID, device events.DeviceID) bool {
	_, ok := s.of(id).Excluded[string(device)]
	return ok
}

// zone returns the time zone of a store or, without a store, of all stores in the
// file if they share one; else of the other stores.
func (s *settingsByBusiness) zone(only events.BusinessID) string {
	if set, ok := s.byID[only]; ok {
		return set.TimeZone
	}
	zones := map[string]bool{}
	for _, set := range s.byID {
		zones[set.TimeZone] = true
	}
	if only == "" && len(zones) == 1 {
		for zone := range zones {
			return zone
		}
	}
	return s.others.TimeZone
}
