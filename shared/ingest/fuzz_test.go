package ingest

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/ingest/senders"
	"footfall/shared/stage"
)

// FuzzHandler posts any bytes, signed by their sender, in any of the encodings. It
// checks that every reply has a known status and code, that none is a failure of
// ingest, and that the produced records are valid and as many as accepted.
func FuzzHandler(f *testing.F) {
	all := fixtures(f)
	for i, kind := range senders.Kinds() {
		for _, name := range slices.Sorted(maps.Keys(all[kind])) {
			f.Add(uint8(i), false, false, "", all[kind][name])
			f.Add(uint8(i), true, true, "gzip", gzipped(all[kind][name]))
		}
	}
	f.Add(uint8(200), true, false, "br", []byte("!"))
	h := &harness{businesses: newFakeBusinesses(), now: fixtureNow}
	var produced []stage.Record
	h.Handler = New(Deps{
		Businesses: h.businesses, Keys: testKeys(f), Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return h.now },
		Out: producerFunc(func(_ context.Context, records []stage.Record) error {
			produced = append(produced, records...)
			return nil
		}),
	})
	h.allowFixtures()
	outcomes := rejectionsInSource(f)
	for code, status := range senders.Codes() {
		outcomes[outcome{status, code}] = true
	}
	outcomes[outcome{http.StatusOK, ""}] = true
	f.Fuzz(func(t *testing.T, kind uint8, isBase64, packedBody bool, encoding string, text []byte) {
		h.log, produced = &lines{}, nil
		h.Log = slog.New(slog.NewJSONHandler(h.log, nil))
		h.now = h.now.Add(time.Microsecond)
		name := senders.Kinds()[int(kind)%len(senders.Kinds())]
		plain := text
		if packedBody {
			if body, rejected := unpack(text); rejected == nil {
				plain = body
			}
		}
		r := newRequest(http.MethodPost, pathTo(cafe, name), withHeader(signed(name, secret, plain), "Content-Encoding", encoding), text)
		if isBase64 {
			r = inBase64(r)
		}
		a := h.invokeUnchecked(t.Context(), t, r)
		if a.status >= 500 || !outcomes[outcome{a.status, a.code}] {
			t.Errorf("got %d %s: %s", a.status, a.body, h.log)
		}
		if len(produced) != a.accepted {
			t.Errorf("got %d accepted and %d produced, want the same", a.accepted, len(produced))
		}
		for i := range produced {
			checkRecord(t, &produced[i])
		}
		if line := h.log.last(t); !json.Valid([]byte(h.log.String())) || line["code"] == "" {
			t.Errorf("logged %s", h.log)
		}
	})
}

// checkRecord fails the test if the reader of a topic would not accept a record.
func checkRecord(t *testing.T, r *stage.Record) {
	t.Helper()
	var err error
	switch r.Topic {
	case events.Sightings:
		var s events.SightingsRecord
		err = events.DecodeSightings(r.Key, r.Value, &s)
	case events.CRMEvents:
		_, err = events.DecodeCRM(r.Key, r.Value)
	default:
		t.Errorf("got a record for topic %s", r.Topic)
	}
	if err != nil {
		t.Errorf("%s: %v", r.Topic, err)
	}
}
