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

// FuzzHandler posts any bytes, signed by their sender, in any of the encodings.
// Every answer is one that there is, none is a failure of ours, and what is
// produced is valid and as much as is said to be accepted.
func FuzzHandler(f *testing.F) {
	all := fixtures(f)
	for i, kind := range senders.Kinds() {
		for _, name := range slices.Sorted(maps.Keys(all[kind])) {
			f.Add(uint8(i), false, false, "", all[kind][name])
			f.Add(uint8(i), true, true, "gzip", packed(all[kind][name]))
		}
	}
	f.Add(uint8(200), true, false, "br", []byte("!"))
	d := &door{town: newTown(), now: fixtureNow}
	var produced []stage.Record
	d.Handler = New(Deps{
		Businesses: d.town, Keys: testKeys(f), Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return d.now },
		Out: producerFunc(func(_ context.Context, records []stage.Record) error {
			produced = append(produced, records...)
			return nil
		}),
	})
	d.allowFixtures()
	outcomes := refusalsInSource(f)
	for code, status := range senders.Codes() {
		outcomes[outcome{status, code}] = true
	}
	outcomes[outcome{http.StatusOK, ""}] = true
	f.Fuzz(func(t *testing.T, kind uint8, isBase64, packedBody bool, encoding string, text []byte) {
		d.log, produced = &lines{}, nil
		d.Log = slog.New(slog.NewJSONHandler(d.log, nil))
		d.now = d.now.Add(time.Microsecond)
		name := senders.Kinds()[int(kind)%len(senders.Kinds())]
		plain := text
		if packedBody {
			if body, refusal := unpack(text); refusal == nil {
				plain = body
			}
		}
		r := ask(http.MethodPost, pathOf(cafe, name), with(signed(name, secret, plain), "Content-Encoding", encoding), text)
		if isBase64 {
			r = inBase64(r)
		}
		a := d.answer(t.Context(), t, r)
		if a.status >= 500 || !outcomes[outcome{a.status, a.code}] {
			t.Errorf("answered %d %s: %s", a.status, a.body, d.log)
		}
		if len(produced) != a.accepted {
			t.Errorf("accepted %d, produced %d", a.accepted, len(produced))
		}
		for i := range produced {
			checkRecord(t, &produced[i])
		}
		if line := d.log.last(t); !json.Valid([]byte(d.log.String())) || line["code"] == "" {
			t.Errorf("logged %s", d.log)
		}
	})
}

// checkRecord wants a record that its readers take.
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
		t.Errorf("a record for %s", r.Topic)
	}
	if err != nil {
		t.Errorf("%s: %v", r.Topic, err)
	}
}
