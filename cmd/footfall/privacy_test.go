package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local"
	"footfall/shared/ingest/senders"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// Personal data in the posts of this test, and the business's routers.
var (
	personalMACs = [][6]byte{
		{0x00, 0x00, 0x5e, 0xa7, 0xd1, 0xc3}, // a phone
		{0x02, 0x00, 0x5e, 0xb8, 0xe2, 0xd4}, // one with a randomised address
		{0x00, 0x00, 0x5e, 0xc9, 0xf3, 0xe5}, // a router
	}
	personalTexts = map[string]string{
		"e-mail": "marked.person@example.com", "phone": "+441632960199", "host": "marked-persons-phone",
		"IPv4": "203.0.113.177", "IPv6": "2001:db8::77:1a:b2", "router": "marked-ap-door",
	}
)

// journal records all output and answers, from any goroutine.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) bytes() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.text.Bytes())
}

// secretive is a shop whose every output is searched.
type secretive struct {
	*shop
	log, answers journal
	patterns     []pattern
}

// No MAC address of a device or a router, e-mail address, phone number, host name or
// IP address in a post, in any field and however damaged the post is, gets further
// than the memory of ingest.
func TestNothingPersonalIsWritten(t *testing.T) {
	s := &secretive{}
	s.shop = openShop(t, func(o *local.Options) {
		o.DataDir = filepath.Join(t.TempDir(), "data")
		o.FunctionLogs, o.LogLevel, o.Schedule = &s.log, slog.LevelDebug, true
		o.Log = slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for _, mac := range personalMACs {
		s.patterns = append(s.patterns, macPatterns(mac)...)
	}
	for name, text := range personalTexts {
		s.patterns = append(s.patterns, textPatterns(name, text)...)
	}
	s.postAll(t)
	s.poison(t)
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	places := s.places(t)
	for _, leak := range leaks(s.patterns, places) {
		t.Error(leak)
	}
	s.wantPseudonyms(t, places)
	s.plant(t)
}

// postAll posts everything in every form.
func (s *secretive) postAll(t *testing.T) {
	t.Helper()
	taken := 0
	for i := range 12 { // over minutes, so that there are walk-ins
		at := time.Now().UTC().Add(time.Duration(i-12) * 40 * time.Second)
		for kind, body := range personalBodies(i, at) {
			a, err := s.post(t.Context(), kind, []byte(body))
			s.note(t, a, err)
			if a.status == http.StatusOK {
				taken++
			}
		}
	}
	if want := 12 * len(senders.Kinds()); taken != want {
		t.Errorf("%d posts were taken, want %d:\n%s", taken, want, s.answers.bytes())
	}
	for kind, body := range personalBodies(0, time.Now().UTC()) {
		s.damaged(t, kind, body)
	}
	s.elsewhere(t)
}

func (s *secretive) note(t *testing.T, a answer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&s.answers, "%d %s\n", a.status, a.body)
}

// personalBodies returns bodies with the personal texts in all fields of the formats,
// and in some unknown fields. The spelling of addresses rotates.
func personalBodies(round int, at time.Time) map[string]string {
	turn := []string{"colons", "dashes", "bare", "three dots"}
	spelt := func(i int) string {
		text := spellings(personalMACs[i])[turn[round%len(turn)]]
		if round%2 == 1 {
			return strings.ToUpper(text)
		}
		return text
	}
	phone, random, router := spelt(0), spelt(1), spelt(2)
	stamp, epoch := at.Format(time.RFC3339), at.Unix()
	m := personalTexts
	person := fmt.Sprintf(`"userId":%q,"user_id":%[1]q,"email":%[1]q,"username":%[1]q,"phone":%q,"name":%q,"hostname":%[3]q,"dhcpHostname":%[3]q,`+
		`"ipv4":"/%s","ip":%[4]q,"ipv6":%q,"os":%[3]q,"manufacturer":%[3]q,"ssid":%[3]q,%q:1,"nested":{%[3]q:[%[1]q]}`,
		m["e-mail"], m["phone"], m["host"], m["IPv4"], m["IPv6"], phone)
	mac := spellings(personalMACs[0])["colons"]
	return map[string]string{
		senders.Meraki: fmt.Sprintf(`{"version":"3.0","secret":"","type":"WiFi",%s,"data":{"networkId":%q,"observations":[
			{"clientMac":%q,%[1]s,"locations":[{"time":%[5]q,"rssiRecords":[{"apMac":%[4]q,"rssi":-50}]}],"latestRecord":{"time":%[5]q,"nearestApMac":%[4]q,"nearestApRssi":-50}},
			{"clientMac":%[6]q,%[1]s,"latestRecord":{"time":%[5]q,"nearestApMac":%[4]q,"nearestApRssi":%[3]q}},
			{"clientMac":%[2]q,%[1]s}]}}`, person, m["host"], phone, router, stamp, random),
		senders.CloudTrax: fmt.Sprintf(`{"network_id":%q,"node_mac":%q,"version":1,%s,"probe_requests":[
			{"mac":%q,"last_seen_signal":-50,"last_seen":%d,%[3]s},{"mac":%[6]q,"last_seen_signal":-50,"last_seen":%[5]d},{"mac":%[1]q,"last_seen":%[4]q}]}`,
			m["e-mail"], router, person, phone, epoch, random),
		senders.Mist: fmt.Sprintf(`{"topic":"wifi-conn-raw",%s,"events":[{"ap_id":%q,"client_id":%q,"packets":[{"rssi":-50,%[1]s}],%[1]s},
			{"ap_id":%[2]q,"client_id":%[4]q,"packets":[{"rssi":%[3]q}]},{"client_id":%[3]q}],"round":%[5]d}`, person, router, phone, random, round),
		senders.Hostapd: fmt.Sprintf("%s %s hostapd: wlan0: AP-STA-CONNECTED %s\n%[1]s %[2]s hostapd: wlan0: RX-PROBE-REQUEST sa=%[4]s signal=-50\n"+
			"%[1]s %[2]s hostapd: wlan0: STA %[3]s IEEE 802.1X: authenticated %[5]s\n%[1]s %[2]s dnsmasq-dhcp[1]: DHCPACK(br-lan) %[6]s %[3]s %[7]s\n"+
			"%[1]s %[2]s hostapd: wlan0: AP-STA-CONNECTED %[5]s\nrouter: %[8]s\n%[1]s %[3]s hostapd: wlan0: AP-STA-DISCONNECTED %[3]s\n",
			stamp, m["router"], mac, spellings(personalMACs[1])["colons"], m["e-mail"], m["IPv4"], m["host"], router),
		senders.Footfall: fmt.Sprintf(`{%s,"sightings":[{"router":%q,"mac":%q,"rssi_dbm":-50,"seen_at":%q,%[1]s},{"router":%[5]q,"mac":%[6]q,"rssi_dbm":-50,"seen_at":%[4]q,"associated":true},
			{"router":%[2]q,"mac":%[3]q,"rssi_dbm":%[3]q,"seen_at":%[3]q}],"logins":[{"mac":%[6]q,"contact":"c-%[7]d","at":%[4]q,%[1]s},{"mac":%[3]q,"contact":"","at":%[4]q}]}`,
			person, router, phone, stamp, m["router"], random, round),
	}
}

// damaged posts a body in forms that must be rejected, or give nothing.
func (s *secretive) damaged(t *testing.T, kind, body string) {
	t.Helper()
	send := func(secret, body string, change func(http.Header)) {
		b, header := signedPost(kind, secret, []byte(body))
		change(header)
		a, err := s.send(t.Context(), http.MethodPost, "/v1/"+string(cafe)+"/"+kind, header, b)
		s.note(t, a, err)
	}
	as := func(http.Header) {}
	send("not the secret of the routers", body, as)
	for cut := 1; cut < 12; cut++ { // each time in another field
		send(cafeSecret, body[:len(body)*cut/12], as)
	}
	mac, mail := spellings(personalMACs[0])["colons"], personalTexts["e-mail"]
	for _, b := range []string{
		mac, mail, fmt.Sprintf("%q", mac), fmt.Sprintf("[%q,%q]", mac, mail), fmt.Sprintf(`{%q:%q}`, mac, mail),
		strings.ReplaceAll(body, ":", mac), strings.ReplaceAll(body, ",", mail+","), body + mac, "\xff" + mac + "\x00" + mail,
		strings.ReplaceAll(body, `"version":"3.0"`, `"version":"`+mac+`"`), strings.ReplaceAll(body, `"type":"WiFi"`, `"type":"`+mail+`"`),
		strings.ReplaceAll(body, `"topic":"wifi-conn-raw"`, `"topic":"`+mac+`"`), strings.ReplaceAll(body, "T", mac),
		`{"secret":"","sightings":` + strings.Repeat("["+fmt.Sprintf("%q,", mac), 100),
	} {
		send(cafeSecret, b, as)
	}
	for _, header := range []string{"Content-Type", "Content-Encoding", "User-Agent", "X-Forwarded-For", "Cookie", "Referer", "X-" + strings.ReplaceAll(mac, ":", "-")} {
		send(cafeSecret, body+" ", func(h http.Header) { h.Set(header, mac+" "+mail) })
	}
	if name, ok := signatures[kind]; ok {
		send(cafeSecret, body, func(h http.Header) { h.Set(name, mac+mail) })
	}
	send(cafeSecret, string(packed(t, []byte(body)))[:100], func(h http.Header) {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Type", "application/octet-stream")
	})
}

// elsewhere puts personal texts into paths, queries and methods.
func (s *secretive) elsewhere(t *testing.T) {
	t.Helper()
	mac, bare := spellings(personalMACs[0])["colons"], spellings(personalMACs[0])["bare"]
	for _, path := range []string{
		"/" + mac, "/v1/" + mac + "/meraki", "/v1/cafe-1/" + mac, "/v1/" + personalTexts["e-mail"] + "/" + bare, "/v1/cafe-1/meraki/" + mac,
		"/v1/cafe-1/footfall?mac=" + mac + "&mail=" + personalTexts["e-mail"], "/v1/cafe-1/meraki?validator=" + mac, "/v1/" + bare + "%00/mist",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, "X-" + bare} {
			body, header := signedPost(senders.Footfall, cafeSecret, []byte(mac))
			a, err := s.send(t.Context(), method, path, header, body)
			s.note(t, a, err)
		}
	}
}

// poison produces records that the later stages cannot process, about the posted
// devices, so that they write dead letters and log the reason.
func (s *secretive) poison(t *testing.T) {
	t.Helper()
	deps, err := openDeps(t.Context(), s.Stack)
	if err != nil {
		t.Fatal(err)
	}
	defer deps.Close()
	device := s.key.Device(personalMACs[0])
	var records []stage.Record
	for topic, key := range map[string][]byte{
		events.Sightings: events.DeviceKey(cafe, device), events.CRMEvents: events.BusinessKey(cafe), events.WalkIns: events.DeviceKey(cafe, device),
		events.VisitsEnded: events.DeviceKey(cafe, device), events.EnrichedWalkIns: events.ContactKey(cafe, "c-1"),
	} {
		records = append(records, stage.Record{Topic: topic, Partition: stage.AnyPartition, Key: key, Value: []byte("poison")})
	}
	if err := deps.Out.Produce(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// places returns everything that the stack has written, by place.
func (s *secretive) places(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"log": s.log.bytes(), "answers": s.answers.bytes()}
	err := fs.WalkDir(os.DirFS(s.DataDir()), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all["file "+path], err = os.ReadFile(filepath.Join(s.DataDir(), path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range events.Topics() {
		var b bytes.Buffer
		for _, r := range readTopic(t, s.Stack, topic.Name) {
			fmt.Fprintf(&b, "%s\n%s\n", r.Key, r.Value)
			for _, h := range r.Headers {
				fmt.Fprintf(&b, "%s: %s\n", h.Key, h.Value)
			}
		}
		all["topic "+topic.Name] = b.Bytes()
	}
	all["tables"] = []byte(strings.Join(s.items(t), "\n"))
	return all
}

// wantPseudonyms checks that the posted devices reached topics, tables, counts and
// dead letters, as pseudonyms.
func (s *secretive) wantPseudonyms(t *testing.T, places map[string][]byte) {
	t.Helper()
	device := []byte(s.key.Device(personalMACs[0]))
	for _, place := range []string{"topic sightings", "topic walk-ins", "topic sightings-dead-letters", "topic walk-ins-dead-letters", "tables"} {
		if !bytes.Contains(places[place], device) {
			t.Errorf("the pseudonym of the posted phone is not in %s", place)
		}
	}
	for place, want := range map[string]string{
		"topic crm-events": "c-1", "topic walk-in-counts": "c-", "topic crm-events-dead-letters": "poison", "topic enriched-walk-ins-dead-letters": "poison",
		"log": `"level":"DEBUG"`, "answers": `"code":"bad-json"`,
	} {
		if !bytes.Contains(places[place], []byte(want)) {
			t.Errorf("there is no %s in %s", want, place)
		}
	}
}

// plant leaks each text once in every way, and checks that each leak is found in its
// place.
func (s *secretive) plant(t *testing.T) {
	t.Helper()
	mac := spellings(personalMACs[0])["dashes"]
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.plantRecord(t, client, &kgo.Record{Topic: "device-contacts", Key: []byte(mac)})
	s.plantRecord(t, client, &kgo.Record{Topic: "visits-ended-dead-letters", Value: personalMACs[0][:]})
	s.plantRecord(t, client, &kgo.Record{Topic: "crm-events-backfill-dead-letters", Headers: []kgo.RecordHeader{{Key: "why", Value: []byte(mac)}}})
	_, err = s.TableClient().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(pipeline.IdentitiesTable), Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "x"}, "b": &types.AttributeValueMemberB{Value: personalMACs[0][:]},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.DataDir(), "planted"), []byte(strings.ToUpper(mac)), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&s.log, "%v", personalMACs[0])
	fmt.Fprint(&s.answers, "marked.person%40example.com")
	found := strings.Join(leaks(s.patterns, s.places(t)), "\n")
	for _, place := range []string{
		"topic device-contacts", "topic visits-ended-dead-letters", "topic crm-events-backfill-dead-letters", "tables", "file planted", "log", "answers",
	} {
		if !strings.Contains(found, place+": ") {
			t.Errorf("what is planted in %s is not found:\n%s", place, found)
		}
	}
}

func (s *secretive) plantRecord(t *testing.T, client *kgo.Client, r *kgo.Record) {
	t.Helper()
	if err := client.ProduceSync(context.WithoutCancel(t.Context()), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
