package recording

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"footfall/events"
)

// column is one of the columns that a CSV recording may have.
type column int

const (
	seenAtColumn column = iota
	sensorColumn
	macColumn
	deviceColumn
	rssiColumn
	businessColumn
	associatedColumn
	randomisedColumn
)

// columnNames holds the names in the header, by column.
var columnNames = [...]string{
	"seen_at_ms", "sensor", "mac", "device", "rssi_dbm", "business", "associated", "randomised",
}

// columnOf returns the column with a name.
func columnOf(name []byte) (column, bool) {
	for c, n := range columnNames {
		if string(name) == n {
			return column(c), true
		}
	}
	return 0, false
}

// csvDecoder reads sightings from rows, in the order of columns that the header
// declares. Optional columns may be empty in a row. It does not use
// encoding/csv for the whole file: after a quote that is left open,
// encoding/csv reads the rest of the file as one field and reports the last
// line instead of the wrong one.
type csvDecoder struct {
	*scope
	in      lines
	columns []column
	fields  [][]byte
}

// newCSV reads the header. A file without a header is an error even if its
// columns look right: without names, seconds cannot be distinguished from
// milliseconds, nor one order of columns from another.
func newCSV(s *scope, in *bufio.Reader) (*csvDecoder, error) {
	d := &csvDecoder{scope: s, in: lines{in: in, at: Position{File: s.name}}}
	line, err := d.in.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file has only empty lines", s.name)
	}
	if err != nil {
		return nil, err
	}
	if err := d.header(line); err != nil {
		return nil, d.in.wrap(err)
	}
	return d, nil
}

// header reads the columns from the header line. An unknown name is an error
// and not an ignored column: "associatd" would yield a recording in which no
// device ever joined the network.
func (d *csvDecoder) header(line []byte) error {
	if err := d.split(line); err != nil {
		return err
	}
	// Each name must be known, and appear once.
	var has [len(columnNames)]bool
	for _, name := range d.fields {
		c, ok := columnOf(name)
		switch {
		case !ok:
			return fmt.Errorf("header: unknown column %.40q; known columns are %q", name, columnNames)
		case has[c]:
			return fmt.Errorf("header: two columns are called %s", name)
		}
		has[c] = true
		d.columns = append(d.columns, c)
	}
	// Required columns, and exactly one of mac and device.
	for _, c := range []column{seenAtColumn, sensorColumn, rssiColumn} {
		if !has[c] {
			return fmt.Errorf("header: column %s is missing", columnNames[c])
		}
	}
	if has[macColumn] == has[deviceColumn] {
		return errors.New("header: want either column mac or column device, not both and not none")
	}
	return nil
}

func (d *csvDecoder) next(it *Item) error {
	for {
		line, err := d.in.next()
		if err != nil {
			return err
		}
		ok, err := d.row(line, it)
		if err != nil {
			return d.in.wrap(err)
		}
		if ok {
			it.Source = d.in.at
			return nil
		}
	}
}

// row parses a sighting; ok is false if the sighting is to be left out.
func (d *csvDecoder) row(line []byte, it *Item) (ok bool, err error) {
	if err := d.split(line); err != nil {
		return false, err
	}
	if len(d.fields) != len(d.columns) {
		return false, fmt.Errorf("%d columns, want %d as in the header", len(d.fields), len(d.columns))
	}
	*it = Item{Sighting: events.Sighting{Business: d.opts.Business}}
	// Set the columns one by one. The address waits for the business, which may
	// be a later column and is part of the pseudonym.
	var mac, randomised []byte
	for i, c := range d.columns {
		switch c {
		case macColumn:
			mac = d.fields[i]
		case randomisedColumn:
			randomised = d.fields[i]
		default:
			if err := d.set(&it.Sighting, c, d.fields[i]); err != nil {
				return false, fmt.Errorf("%s: %w", columnNames[c], err)
			}
		}
	}
	it.ArrivedAt = it.Sighting.SeenAt
	return d.complete(&it.Sighting, mac, randomised)
}

// complete sets the fields that depend on several columns, the device and
// whether its address is randomised. ok is false if the sighting is to be left
// out.
func (d *csvDecoder) complete(s *events.Sighting, mac, randomised []byte) (ok bool, err error) {
	if mac != nil {
		if ok, err := d.identify(s, mac); !ok || err != nil {
			return false, err
		}
	}
	if len(randomised) > 0 {
		// The column has precedence over the address: a digest need not keep the
		// address's bits.
		if s.Randomised, err = boolean(randomised); err != nil {
			return false, fmt.Errorf("randomised: %w", err)
		}
	}
	return true, plain(s.Validate())
}

// set parses one field. Ranges are checked by Validate, once all fields are
// set.
func (d *csvDecoder) set(s *events.Sighting, c column, f []byte) (err error) {
	switch c {
	case seenAtColumn:
		s.SeenAt, err = millis(f)
	case sensorColumn:
		s.Sensor = events.SensorID(d.intern.get(f))
	case deviceColumn:
		s.Device = events.DeviceID(d.intern.get(f))
	case rssiColumn:
		s.RSSI, err = rssi(f)
	case businessColumn:
		if len(f) > 0 {
			s.Business = events.BusinessID(d.intern.get(f))
		}
	case associatedColumn:
		s.Associated, err = boolean(f)
	case macColumn, randomisedColumn: // set in complete
	}
	return err
}

// split splits a line into fields at the commas. Only a line with quotes needs
// encoding/csv.
func (d *csvDecoder) split(line []byte) error {
	d.fields = d.fields[:0]
	if bytes.IndexByte(line, '"') >= 0 {
		row, err := csv.NewReader(bytes.NewReader(line)).Read()
		if at := new(csv.ParseError); errors.As(err, &at) {
			return fmt.Errorf("column %d: %w", at.Column, at.Err) // the line number in at is always 1
		}
		for _, f := range row {
			d.fields = append(d.fields, []byte(f))
		}
		return err
	}
	for {
		f, rest, more := bytes.Cut(line, []byte{','})
		d.fields = append(d.fields, f)
		if !more {
			return nil
		}
		line = rest
	}
}

// millis parses milliseconds since 1970.
func millis(f []byte) (time.Time, error) {
	ms, err := strconv.ParseInt(string(f), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a whole number of milliseconds", f)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// rssi parses a signal strength in dBm.
func rssi(f []byte) (events.RSSI, error) {
	v, err := strconv.ParseInt(string(f), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a whole number of dBm", f)
	}
	return events.RSSI(v), nil
}

// boolean parses true, false, 1 and 0; an empty field is false.
func boolean(f []byte) (bool, error) {
	if len(f) == 0 {
		return false, nil
	}
	v, err := strconv.ParseBool(string(f))
	if err != nil {
		return false, fmt.Errorf("%.40q is neither true nor false", f)
	}
	return v, nil
}
