package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"footfall/events"
	"footfall/lab/offline"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/pseudonym"
)

// traceFlags select a recording and the reference data for it: true visits,
// head-counts, static devices.
type traceFlags struct {
	Files    []string          `arg:"" name:"trace" help:"CSV, NDJSON or capture of probe requests (pcap, pcapng), gzipped or not; - for stdin."`
	Business events.BusinessID `default:"store" help:"The store of rows without a business."`
	Strict   bool              `help:"Refuse a recording that is cut off at its end, instead of reading what is there."`
	Only     events.BusinessID `help:"Only this store of the recording." placeholder:"ID"`
	Key      string            `default:"footfall-replay" help:"Key for the pseudonyms of MAC addresses, if there is no --pseudonym-keys."`
	keysFlag
	KeyID     string `default:"1" needs:"pseudonym-keys" help:"The id of the key in the file of --pseudonym-keys."`
	Truth     string `help:"The true visits: CSV (mac,enter_ms,exit_ms), or *.ndjson as simulate writes it." placeholder:"FILE"`
	Occupancy string `help:"Head-counts of the people in the store: CSV (from_ms,sensor,people)." placeholder:"FILE"`
	// The settings of the stores, as evaluate decides by them and calibrate begins with.
	Businesses string            `help:"Settings of the stores, as business get prints them and replay takes them." placeholder:"FILE"`
	Static     string            `help:"Devices that belong to no customer: MAC addresses or pseudonyms, one a line." placeholder:"FILE"`
	Closed     []string          `default:"sat,sun" enum:"sun,mon,tue,wed,thu,fri,sat,none" needs:"occupancy" help:"Days on which the store is closed: a head-count of 0 all day counts as empty."`
	Sensors    []events.SensorID `help:"The sensors in the store; by default those of --businesses, or all." placeholder:"ID"`
	TimeZone   string            `help:"Time zone of the store, such as Europe/Berlin; by default that of --businesses, or UTC." placeholder:"ZONE"`
}

// input is a loaded recording with its reference data.
type input struct {
	trace  *offline.Trace
	known  score.Reference // what the file of true visits states; Truth is nil without a file
	counts []score.HeadCount
	device pseudonym.Maker
	static map[events.DeviceID]bool
	zone   *time.Location
	closed []time.Weekday
}

// read loads the recording and its reference data. Days begin at midnight in zone;
// inside reports whether a sensor is in its store.
func (f *traceFlags) read(s streams, zone string, inside func(events.BusinessID, events.SensorID) bool) (*input, error) {
	m := &input{static: map[events.DeviceID]bool{}}
	var err error
	if m.zone, err = time.LoadLocation(zone); err != nil {
		return nil, fmt.Errorf("time zone: %w", err)
	}
	if m.device, err = f.maker(f.KeyID, f.Key); err != nil {
		return nil, err
	}
	// Weekdays without customers.
	for i, name := range []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} {
		if slices.Contains(f.Closed, name) {
			m.closed = append(m.closed, time.Weekday(i))
		}
	}
	// Truth, head-counts and static devices come first: mistakes in small files
	// show at once.
	if m.known, err = readTruth(f.Truth, f.Business, m.device); err != nil {
		return nil, err
	}
	if f.Only != "" {
		m.known.Truth = slices.DeleteFunc(m.known.Truth, func(v score.Visit) bool { return v.Business != f.Only })
	}
	if err := fromFile(f.Occupancy, func(r io.Reader) (err error) {
		m.counts, err = score.ReadOccupancyCSV(r, f.Occupancy)
		return err
	}); err != nil {
		return nil, fmt.Errorf("head-counts: %w", err)
	}
	if err := fromFile(f.Static, func(r io.Reader) error { return f.readStatic(r, m.device, m.static) }); err != nil {
		return nil, fmt.Errorf("static devices: %w", err)
	}
	m.trace, err = f.load(s, m.device, inside)
	return m, err
}

// load reads the recording. It is an error if the recording holds no sightings of the
// store and the sensors.
func (f *traceFlags) load(s streams, device pseudonym.Maker, inside func(events.BusinessID, events.SensorID) bool) (*offline.Trace, error) {
	src, err := openRecording(f.Files, s, recording.Options{Business: f.Business, Device: device, Strict: f.Strict})
	if err != nil {
		return nil, err
	}
	p := newProgress(s.err, "reading", -1)
	// Load only the sightings of the store and the sensors, with progress.
	trace, err := offline.Load(src, offline.Options{Business: f.Only, Inside: inside, Loaded: func() {
		done, total := src.Progress()
		p.update(done, total, fmt.Sprintf("%d %%", 100*done/max(total, 1)))
	}})
	p.finish()
	if err == nil && trace.Sightings == 0 {
		err = errors.New("the recording holds no sightings of this store and these sensors")
	}
	return trace, errors.Join(err, src.Close())
}

// openRecording opens the files of a recording, and prints to stderr what of
// them was left out and what else a person should know of them.
func openRecording(files []string, s streams, o recording.Options) (*recording.Reader, error) {
	src, err := recording.Open(files, s.in, o)
	if err != nil {
		return nil, err
	}
	for _, note := range src.Notes() {
		fmt.Fprintln(s.err, note)
	}
	left := src.LeftOut()
	if len(left) == 0 {
		return src, nil
	}
	fmt.Fprintln(s.err, "left out of the recording:")
	for _, l := range left {
		fmt.Fprintf(s.err, "%8d  %v\n          first at %v\n", l.Records, l.Reason, l.First)
	}
	return src, nil
}

// readStatic reads one device a line, as a MAC address or a pseudonym, and adds its
// pseudonym to the set. Lines that begin with # are comments.
func (f *traceFlags) readStatic(r io.Reader, device pseudonym.Maker, into map[events.DeviceID]bool) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// A MAC address becomes a pseudonym; other text is a pseudonym already.
		listed := events.DeviceID(line)
		if mac, err := net.ParseMAC(line); err == nil && len(mac) == 6 {
			if [6]byte(mac) == [6]byte{} || pseudonym.Group(mac) {
				return fmt.Errorf("%s:%d: %s is no address of a device", f.Static, n, mac)
			}
			listed = device(f.Business, mac)
		}
		into[listed] = true
	}
	return lines.Err()
}

// fromFile calls read with a file; with an empty path it does nothing.
func fromFile(path string, read func(io.Reader) error) error {
	if path == "" {
		return nil
	}
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(read(r), r.Close())
}

// part returns the recording between two moments, a zero moment being no bound,
// without the devices for which omit, if not nil, returns true.
func (m *input) part(from, to time.Time, omit func(events.BusinessID, events.DeviceID) bool) (*offline.Trace, score.Reference) {
	cut := m.trace.Cut(from, to)
	in := func(t time.Time) bool { return !t.Before(from) && (to.IsZero() || t.Before(to)) }
	// Cut the reference data to the same range of time.
	k := m.known
	if k.Truth != nil {
		// A visit that lies in the range in part is set apart.
		all := k.Truth
		k.Truth = slices.DeleteFunc(slices.Clone(all), func(v score.Visit) bool { return !in(v.Enter) || !in(v.Leave) })
		k.Cut = slices.DeleteFunc(slices.Clone(all), func(v score.Visit) bool {
			return in(v.Enter) && in(v.Leave) || v.Leave.Before(from) || !to.IsZero() && !v.Enter.Before(to)
		})
	}
	if m.counts != nil {
		k.Empty = score.Empty(m.counts, cut.Recorded(time.Hour), score.Calendar{Closed: m.closed, Location: m.zone})
		if k.Empty == nil {
			k.Empty = []score.Span{}
		}
	}
	if len(m.static) > 0 {
		k.Static = func(_ events.BusinessID, d events.DeviceID) bool { return m.static[d] }
	}
	if omit == nil {
		return cut, k
	}
	// Leave out devices, as if they had never been heard.
	return cut.Without(func(d offline.Device) bool { return omit(d.Business, d.ID) }), k
}
