package score

import (
	"bytes"
	"strings"
	"testing"

	"footfall/shared/pseudonym"
)

// FuzzReadTruthCSV checks that a file is either read as a whole, with visits that
// end after they begin, or rejected with an error that names the line.
func FuzzReadTruthCSV(f *testing.F) {
	const header = "mac,enter_ms,exit_ms\n"
	for _, rows := range []string{
		"", "02:00:00:00:00:02,1793620800000,1793621400000\n02:00:00:00:00:01,1793617200000,1793618100000\n",
		"\"02:00:00:00:00:01\",1,2", "02:00:00:00:00:01,2,1\n", "0200.0000.0001,-1,9223372036854775807\n",
	} {
		f.Add([]byte(header + rows))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		visits, err := ReadTruthCSV(bytes.NewReader(content), "visits.csv", "shop", pseudonym.NewMaker(testKey))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "visits.csv:") {
				t.Fatalf("error does not say where: %v", err)
			}
			return
		}
		for i, v := range visits {
			if v.Leave.Before(v.Enter) || i > 0 && v.Enter.Before(visits[i-1].Enter) {
				t.Fatalf("visit %d: %+v", i, v)
			}
		}
	})
}
