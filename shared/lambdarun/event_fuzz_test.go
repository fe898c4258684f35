package lambdarun

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecodeEvent checks that DecodeEvent never panics, allocates no more than a
// small multiple of its input, and agrees with encoding/json on every payload of
// the documented shape.
func FuzzDecodeEvent(f *testing.F) {
	for _, fields := range []string{
		``, `"key":null,"value":""`, `"value":"QUJD","timestamp":1700000000123`, `"headers":[{"h":[1,-1]},{"é":"QQ=="}]`,
		`"value":"!"`, `"x":[{},[1e9,"\\\""]],"key":"\u0051Q=="`, `"headers":[{"h":"!"}]`,
	} {
		f.Add([]byte(oneRecord(fields)))
	}
	f.Add([]byte(`{"records":{"a-0":[{"topic":"a","partition":0,"offset":0}],"b-1":[{"topic":"b","partition":1,"offset":0}]}}`))
	f.Add([]byte(oneRecord("\"headers\":[{\"\xff\":\"\"}]")))
	f.Add([]byte(`{` + strings.Repeat(`"\n":0,`, 200) + `"records":{}}`))
	files, _ := filepath.Glob("../../events/testdata/*.json")
	for _, file := range files {
		if payload, err := os.ReadFile(file); err == nil && len(payload) < 100<<10 {
			f.Add(payload)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := DecodeEvent(payload)
		runtime.ReadMemStats(&after)
		// The worst known payload has tiny escaped names or headers, and takes about
		// 30 times its length.
		if spent := after.TotalAlloc - before.TotalAlloc; spent > uint64(48*len(payload)+64<<10) {
			t.Errorf("%d bytes allocated for a payload of %d", spent, len(payload))
		}
		// JSON is UTF-8. In a payload that is not, encoding/json puts U+FFFD into
		// names, and DecodeEvent keeps the bytes of plain names.
		want, documented := reference(payload)
		if !documented || !utf8.Valid(payload) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	})
}
