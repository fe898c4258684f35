package town

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"footfall/lab/score"
)

// FuzzReadTruth holds that a file is read or refused with the line that is wrong,
// and the visits read are equal after writing and reading again.
func FuzzReadTruth(f *testing.F) {
	var seed bytes.Buffer
	if err := WriteTruth(&seed, []Visit{{
		Visit:   score.Visit{Business: "shop", Device: "phone", Enter: time.UnixMilli(1).UTC(), Leave: time.UnixMilli(2).UTC()},
		Contact: "anna", LoginAt: time.UnixMilli(2).UTC(),
	}, {Companion: true}}); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Add([]byte(`{"contact":1}`))
	f.Add([]byte(`{} [`))
	f.Fuzz(func(t *testing.T, content []byte) {
		visits, err := ReadTruth(bytes.NewReader(content), "truth")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "truth:") {
				t.Fatalf("error does not say where: %v", err)
			}
			return
		}
		var first, second bytes.Buffer
		if err := WriteTruth(&first, visits); err != nil {
			t.Fatalf("read, but not written: %v", err)
		}
		again, err := ReadTruth(bytes.NewReader(first.Bytes()), "truth")
		if err != nil {
			t.Fatalf("written, but not read: %v", err)
		}
		if err := WriteTruth(&second, again); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("%v: %s then %s", err, &first, &second)
		}
	})
}
