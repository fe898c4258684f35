package score

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// truthHeader holds the required columns, in any order. A file without one of
// the columns is most likely the recording itself, passed by mistake.
var truthHeader = []string{"mac", "enter_ms", "exit_ms"}

// ReadTruthCSV reads the true visits at one business from CSV with the columns
// mac, enter_ms and exit_ms (milliseconds since 1970, UTC), in any order and
// among other columns. It returns the visits in order of Enter, with the
// pseudonyms that device makes of the addresses. Errors name the line:
// "visits.csv:3: exit_ms: ...", with name as the file.
func ReadTruthCSV(r io.Reader, name string, business events.BusinessID, device pseudonym.Maker) ([]Visit, error) {
	var visits []Visit
	err := eachRow(r, name, truthHeader, func(row []string) error {
		v, err := truthRow(row, business, device)
		visits = append(visits, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	Sort(visits)
	return slices.Compact(visits), nil // a repeated line is one visit
}

// eachRow calls take for each row of a CSV file, with the wanted columns in the
// order of wanted. Errors name file and line.
func eachRow(r io.Reader, name string, wanted []string, take func(row []string) error) error {
	in := bufio.NewReader(r)
	rows := csv.NewReader(in)
	// Spreadsheets of many countries separate columns by semicolons.
	if start, _ := in.Peek(in.Size()); bytes.ContainsRune(firstLine(start), ';') {
		rows.Comma = ';'
	}
	rows.ReuseRecord, rows.TrimLeadingSpace = true, true
	// Find the wanted columns in the header.
	header, err := rows.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return truthError(name, err)
	}
	if len(header) > 0 {
		header[0] = strings.TrimPrefix(header[0], "\ufeff") // byte order mark, written by spreadsheets
	}
	at := make([]int, len(wanted))
	for i, column := range wanted {
		if at[i] = slices.Index(header, column); at[i] < 0 {
			return fmt.Errorf("%s:1: header is %q, want %q", name, header, wanted)
		}
	}
	// Read the rows. picked is reused for each of them.
	picked := make([]string, len(wanted))
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return truthError(name, err)
		}
		for i, column := range at {
			picked[i] = strings.TrimSpace(row[column])
		}
		if err := take(picked); err != nil {
			line, _ := rows.FieldPos(0)
			return fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
}

// firstLine returns a text up to its first line end.
func firstLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	return line
}

// truthError formats an error of package csv like the other errors of a file.
func truthError(name string, err error) error {
	if at := new(csv.ParseError); errors.As(err, &at) {
		return fmt.Errorf("%s:%d: %w", name, at.Line, at.Err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// truthRow parses one visit; its errors begin with the column.
func truthRow(row []string, business events.BusinessID, device pseudonym.Maker) (Visit, error) {
	mac, err := net.ParseMAC(row[0])
	switch {
	case err == nil && len(mac) != 6:
		err = fmt.Errorf("%d bytes, want 6", len(mac))
	case err == nil && ([6]byte(mac) == [6]byte{} || pseudonym.Group(mac)):
		err = fmt.Errorf("%s is no address of a device", mac)
	}
	if err != nil {
		return Visit{}, fmt.Errorf("mac: %w", err)
	}
	// The times, the second not before the first.
	v := Visit{Business: business, Device: device(business, mac)}
	if v.Enter, err = millis(row[1]); err != nil {
		return Visit{}, fmt.Errorf("enter_ms: %w", err)
	}
	if v.Leave, err = millis(row[2]); err != nil {
		return Visit{}, fmt.Errorf("exit_ms: %w", err)
	}
	if v.Leave.Before(v.Enter) {
		return Visit{}, fmt.Errorf("exit_ms: %v is before enter_ms %v", v.Leave, v.Enter)
	}
	return v, nil
}

// wholeNumber parses a whole number, also as "3.0": pandas writes the numbers of a
// column with a missing value like that.
func wholeNumber(s string) (int64, error) {
	return strconv.ParseInt(strings.TrimSuffix(s, ".0"), 10, 64)
}

// millis parses milliseconds since 1970.
func millis(s string) (time.Time, error) {
	ms, err := wholeNumber(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a whole number of milliseconds since 1970", s)
	}
	return time.UnixMilli(ms).UTC(), nil
}
