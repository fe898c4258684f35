package recording

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// csvDecoder reads sightings from rows, in the order of columns that the header
// declares. Optional columns may be empty in a row. It does not use
// encoding/csv for the whole file: after a quote that is left open,
// encoding/csv reads the rest of the file as one field and reports the last
// line instead of the wrong one.
type csvDecoder struct {
	*scope
	in        lines
	separator byte
	first     string // the header line
	columns   []column
	names     [len(columns)]string // by column, "" for one that is not there
	antennas  column               // index of a column of several values, or passedOver
	sensor    []byte               // of all rows, if there is no column
	fields    [][]byte
	record    record
}

// newCSV reads the header. A file without a header is an error even if its
// columns look right: without names, one order of columns cannot be
// distinguished from another.
func newCSV(s *scope, in *bufio.Reader) (*csvDecoder, error) {
	d := &csvDecoder{scope: s, in: lines{in: in, at: Position{File: s.name}}}
	line, err := d.in.next()
	// Excel reads, and some tools write, a first line that names the separator.
	if err == nil && len(line) == len("sep=;") && bytes.HasPrefix(bytes.ToLower(line), []byte("sep=")) {
		line, err = d.in.next()
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: the file has only empty lines", s.name)
	case errors.Is(err, errCut):
		return nil, d.in.wrap(err)
	case err != nil:
		return nil, err
	}
	if !utf8.Valid(line) {
		return nil, d.in.wrap(errUTF8)
	}
	d.first = string(line)
	if err = d.header(line); err != nil {
		return nil, d.in.wrap(err)
	}
	return d, nil
}

// next returns the sighting of the next row that is not left out.
func (d *csvDecoder) next(it *Item) error {
	for {
		line, err := d.in.next()
		switch {
		case errors.Is(err, errCut):
			return d.cut(d.in.at, err.Error())
		case err != nil:
			return err
		case string(line) == d.first: // the header of a file that was appended
			continue
		}
		why, err := d.row(line, it)
		if d.in.open {
			// The last line has no end. If it cannot be used, the file was cut
			// in it. If it can, its last value may be the beginning of another.
			if err != nil || why.mayBeCut() {
				return d.cut(d.in.at, "the file ends inside this line")
			}
			if d.opts.Strict {
				return d.cut(d.in.at, "this last line has no line end, so the file may be cut in it")
			}
			d.note("%s: this last line has no line end: if the file was cut in it, its last value is wrong", d.in.at)
		}
		switch {
		case err != nil:
			return d.in.wrap(err)
		case why == used:
			it.Source = d.in.at
			return nil
		case why != empty:
			d.leaveOut(why, d.in.at)
		}
	}
}

// empty is the result for a row of nothing but separators, as spreadsheets
// write below a table.
const empty = reasons

// row parses a sighting, or returns the reason why the row is left out.
func (d *csvDecoder) row(line []byte, it *Item) (Reason, error) {
	if !utf8.Valid(line) {
		return used, errUTF8
	}
	if err := d.split(line); err != nil {
		return used, err
	}
	// A list of antennas that is separated as the columns are.
	if extra := len(d.fields) - len(d.columns); extra > 0 && d.antennas != passedOver {
		from := int(d.antennas)
		list := bytes.Join(d.fields[from:from+extra+1], []byte{'|'})
		d.fields = append(append(d.fields[:from:from], list), d.fields[from+extra+1:]...)
	}
	if len(d.fields) != len(d.columns) {
		return used, fmt.Errorf("%d columns, want %d as in the header", len(d.fields), len(d.columns))
	}
	// Assign the values by column.
	r := &d.record
	*r = record{at: d.in.at, decimalComma: d.separator != ',', names: &d.names, sensor: d.sensor}
	blank := true
	for i, c := range d.columns {
		f := bytes.TrimSpace(d.fields[i])
		blank = blank && len(f) == 0
		if c != passedOver {
			*r.value(c) = f
		}
	}
	if blank {
		return empty, nil
	}
	*it = Item{}
	why, err := d.sighting(r, &it.Sighting)
	it.ArrivedAt = it.Sighting.SeenAt
	return why, err
}

// value returns the place for the value of a column.
func (r *record) value(c column) *[]byte {
	switch c {
	case seenAtColumn:
		return &r.seenAt
	case sensorColumn:
		return &r.sensor
	case macColumn:
		return &r.mac
	case deviceColumn:
		return &r.device
	case rssiColumn:
		return &r.rssi
	case businessColumn:
		return &r.business
	case associatedColumn:
		return &r.associated
	case randomisedColumn:
		return &r.randomised
	case sessionColumn:
		return &r.session
	default:
		return &r.frame
	}
}

// split splits a line into fields at the separator. Only a line with quotes
// needs encoding/csv.
func (d *csvDecoder) split(line []byte) error {
	d.fields = d.fields[:0]
	if bytes.IndexByte(line, '"') >= 0 {
		rows := csv.NewReader(bytes.NewReader(line))
		rows.Comma = rune(d.separator)
		row, err := rows.Read()
		if at := new(csv.ParseError); errors.As(err, &at) {
			return fmt.Errorf("column %d: %w", at.Column, at.Err) // the line number in at is always 1
		}
		for _, f := range row {
			d.fields = append(d.fields, []byte(f))
		}
		return err
	}
	for {
		f, rest, more := bytes.Cut(line, []byte{d.separator})
		d.fields = append(d.fields, f)
		if !more {
			return nil
		}
		line = rest
	}
}

// errUTF8 is the error for a line in another encoding.
var errUTF8 = errors.New("not valid UTF-8: convert the file, from the encoding of Excel by iconv -f CP1252 -t UTF-8 IN > OUT")
