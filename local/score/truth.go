package score

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// truthHeader is asked for in full: a file with other columns is most likely
// the recording itself, given by mistake.
var truthHeader = []string{"mac", "enter_ms", "exit_ms"}

// ReadTruthCSV reads true visits at one business, written down as CSV with the
// header mac,enter_ms,exit_ms (times in milliseconds since 1970, UTC). It gives
// them in order of Enter, with the pseudonyms that device makes of the addresses.
// Errors name the line: "visits.csv:3: exit_ms: ...", with name as the file.
func ReadTruthCSV(r io.Reader, name string, business events.BusinessID, device pseudonym.Maker) ([]Visit, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, truthError(name, err)
	}
	if !slices.Equal(header, truthHeader) {
		return nil, fmt.Errorf("%s:1: header is %q, want %q", name, header, truthHeader)
	}
	var visits []Visit
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			Sort(visits)
			return visits, nil
		}
		if err != nil {
			return nil, truthError(name, err)
		}
		v, err := truthRow(row, business, device)
		if err != nil {
			line, _ := rows.FieldPos(0)
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		visits = append(visits, v)
	}
}

// truthError says csv's own errors in the way of the others.
func truthError(name string, err error) error {
	if at := new(csv.ParseError); errors.As(err, &at) {
		return fmt.Errorf("%s:%d: %w", name, at.Line, at.Err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// truthRow reads one visit; its errors begin with the column.
func truthRow(row []string, business events.BusinessID, device pseudonym.Maker) (Visit, error) {
	mac, err := net.ParseMAC(row[0])
	if err == nil && len(mac) != 6 {
		err = fmt.Errorf("%d bytes, want 6", len(mac))
	}
	if err != nil {
		return Visit{}, fmt.Errorf("mac: %w", err)
	}
	v := Visit{Business: business, Device: device(business, mac)}
	if v.Enter, err = millis(row[1]); err != nil {
		return Visit{}, fmt.Errorf("enter_ms: %w", err)
	}
	if v.Leave, err = millis(row[2]); err != nil {
		return Visit{}, fmt.Errorf("exit_ms: %w", err)
	}
	if v.Leave.Before(v.Enter) {
		return Visit{}, fmt.Errorf("exit_ms: left at %v, before coming at %v", v.Leave, v.Enter)
	}
	return v, nil
}

func millis(s string) (time.Time, error) {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).UTC(), nil
}
