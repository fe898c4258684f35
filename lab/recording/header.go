package recording

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	sessionColumn
	frameColumn

	passedOver column = -1 // a column that is not needed
)

// columns holds the names of each column: those of Footfall, those of the posts
// that the HTTP door takes, and those of the fields of tshark.
var columns = [...][]string{
	seenAtColumn:     {"seen_at_ms", "seen_at", "frame.time_epoch", "frame.time_utc", "frame.time"},
	sensorColumn:     {"sensor", "router"},
	macColumn:        {"mac", "wlan.ta", "wlan.sa"},
	deviceColumn:     {"device"},
	rssiColumn:       {"rssi_dbm", "radiotap.dbm_antsignal", "wlan_radio.signal_dbm"},
	businessColumn:   {"business"},
	associatedColumn: {"associated"},
	randomisedColumn: {"randomised", "randomized"},
	sessionColumn:    {"session"},
	frameColumn:      {"wlan.fc.type_subtype"},
}

// columnOf returns the column with a name, and the place of the name among the
// names of the column.
func columnOf(name string) (c column, rank int, ok bool) {
	for c, names := range columns {
		for rank, n := range names {
			if strings.EqualFold(name, n) {
				return column(c), rank, true
			}
		}
	}
	return passedOver, 0, false
}

// separators are the characters that may separate the columns. A file has the
// one that leaves most known names in its header.
const separators = ",;\t|"

// header reads the columns from the header line.
func (d *csvDecoder) header(line []byte) error {
	names, err := d.headerNames(line)
	if err != nil {
		return err
	}
	// Of several names of a column the first in the list of names counts.
	var has [len(columns)]string
	for i, name := range names {
		c, rank, ok := columnOf(name)
		d.columns = append(d.columns, c)
		if !ok {
			continue
		}
		if other := has[c]; other != "" {
			_, best, _ := columnOf(other)
			if best == rank {
				return fmt.Errorf("header: two columns are called %s", name)
			}
			if best < rank {
				d.columns[i] = passedOver
				continue
			}
			d.columns[slices.Index(d.columns, c)] = passedOver
			d.columns[i] = c
		}
		has[c] = name
	}
	d.names = has
	return d.complete(names)
}

// complete checks that the header has what a recording needs, and notes the
// columns that are passed over. A name that looks like a misspelt one is an
// error: "associatd" would yield a recording in which no device ever joined the
// network.
func (d *csvDecoder) complete(names []string) error {
	has := &d.names
	var over []string
	for i, name := range names {
		if d.columns[i] != passedOver {
			continue
		}
		if c, known := resembles(name); c != passedOver && !given(c, func(c column) bool { return has[c] != "" }) {
			return fmt.Errorf("header: column %.40q looks like %s: rename it if it is, or else remove it", name, known)
		}
		if name == "" {
			name = fmt.Sprintf("number %d, which has no name", i+1)
		}
		over = append(over, name)
	}
	// Required columns, and exactly one of mac and device.
	for _, c := range []column{seenAtColumn, rssiColumn} {
		if has[c] == "" {
			return fmt.Errorf("header: no column is called %s; the first line must name the columns, with tshark by -E header=y; got %.200q",
				strings.Join(columns[c], ", "), names)
		}
	}
	if (has[macColumn] == "") == (has[deviceColumn] == "") {
		return errors.New("header: want either column mac or column device, not both and not none")
	}
	// tshark writes one signal strength for each antenna.
	d.antennas = passedOver
	if strings.HasPrefix(has[rssiColumn], "radiotap.") {
		d.antennas = column(slices.Index(d.columns, rssiColumn))
	}
	if has[sensorColumn] == "" {
		d.sensor = []byte(baseName(d.name))
		d.note("%s: no column is called sensor; the sensor is %q, from the name of the file", d.in.at, d.sensor)
	}
	if len(over) > 0 {
		d.note("%s: columns that are not needed: %s", d.in.at, strings.Join(over, ", "))
	}
	return nil
}

// headerNames splits the header with the separator that leaves most known names, and
// keeps that separator for the rows.
func (d *csvDecoder) headerNames(line []byte) (names []string, err error) {
	best, chosen := -1, byte(',')
	for _, separator := range []byte(separators) {
		d.separator = separator
		splitErr := d.split(line)
		found, fields := 0, make([]string, 0, len(d.fields))
		for _, f := range d.fields {
			name := string(bytes.TrimSpace(f))
			fields = append(fields, name)
			if _, _, ok := columnOf(name); ok {
				found++
			}
		}
		if found > best {
			best, names, err = found, fields, splitErr
			chosen = separator
		}
	}
	d.separator = chosen
	return names, err
}

// resembles returns the column whose name a text is a misspelling of, and that
// name; passedOver if there is none.
func resembles(name string) (column, string) {
	plainName := squeeze(name)
	for c, names := range columns {
		for _, known := range names {
			if plainKnown := squeeze(known); plainName == plainKnown || distance(plainName, plainKnown) <= len(plainKnown)/4 {
				return column(c), known
			}
		}
	}
	return passedOver, ""
}

// given reports whether a record has the value of a column, by has, or the one
// that stands in its place: a device may have an address or a name.
func given(c column, has func(column) bool) bool {
	return has(c) || c == macColumn && has(deviceColumn) || c == deviceColumn && has(macColumn)
}

// squeeze returns a name in lower case, without separators of words and without
// a leading "is".
func squeeze(name string) string {
	name = strings.TrimPrefix(strings.ToLower(name), "is_")
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(name)
}

// distance returns the number of letters that must be inserted, removed,
// replaced or swapped with their neighbour to turn a into b (optimal string
// alignment). Names of very different length are not compared.
func distance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return max(len(a), len(b))
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
