package events

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/twmb/avro"
)

// allRecords is every record of the package.
var allRecords = []*record{
	sightingRecord, tickRecord, portalLoginRecord, contactChangedRecord, contactDeletedRecord,
	deviceContactRecord, walkInRecord, visitEndedRecord, enrichedWalkInRecord, walkInCountRecord,
}

func publishedPath(name string, version int) string {
	return fmt.Sprintf("testdata/schemas/%s.v%d.avsc", name, version)
}

// latestVersion is the number of the newest published version; they are
// numbered from 1 without holes.
func latestVersion(t *testing.T, name string) int {
	t.Helper()
	all, err := filepath.Glob("testdata/schemas/" + name + ".v*.avsc")
	if err != nil {
		t.Fatal(err)
	}
	for v := 1; v <= len(all); v++ {
		if _, err := os.Stat(publishedPath(name, v)); err != nil {
			t.Fatalf("%d versions of %s, but no %s", len(all), name, publishedPath(name, v))
		}
	}
	return len(all)
}

// TestSchemasReadAllVersions: every record that any version ever wrote is
// still readable.
func TestSchemasReadAllVersions(t *testing.T) {
	for _, r := range allRecords {
		for v := 1; v <= latestVersion(t, r.name); v++ {
			published, err := parseSchema(schemaFiles, publishedPath(r.name, v))
			if err != nil {
				t.Fatal(err)
			}
			if err := avro.CheckCompatibility(published, r.schema); err != nil {
				t.Errorf("%s.avsc cannot read version %d: %v", r.name, v, err)
			}
			if _, err := avro.Resolve(published, r.schema); err != nil {
				t.Errorf("%s.avsc does not resolve version %d: %v", r.name, v, err)
			}
			if r.versions[fingerprint(published)] == nil {
				t.Errorf("%s: the decoder does not know version %d", r.name, v)
			}
		}
	}
}

// TestSchemaChangesArePublished: a schema that changes becomes a new version.
// Editing the published file instead fails TestWireFormat.
func TestSchemaChangesArePublished(t *testing.T) {
	for _, r := range allRecords {
		latest := latestVersion(t, r.name)
		current, err := fs.ReadFile(schemaFiles, r.name+".avsc")
		if err != nil {
			t.Fatal(err)
		}
		published, err := fs.ReadFile(schemaFiles, publishedPath(r.name, latest))
		if err != nil {
			t.Fatalf("%s was never published: copy it to %s", r.name, publishedPath(r.name, 1))
		}
		if !bytes.Equal(current, published) {
			t.Errorf("%s.avsc is not version %d any more: copy it to %s", r.name, latest, publishedPath(r.name, latest+1))
		}
	}
}

// TestSchemaFilesHaveRecords: a schema that no record uses is one that nobody
// tests.
func TestSchemaFilesHaveRecords(t *testing.T) {
	known := map[string]bool{}
	for _, r := range allRecords {
		known[r.name] = true
	}
	for _, dir := range []string{".", "testdata/schemas"} {
		paths, err := filepath.Glob(dir + "/*.avsc")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, _, _ := strings.Cut(filepath.Base(path), ".")
			if !known[name] {
				t.Errorf("%s belongs to no record", path)
			}
		}
	}
}

// TestSchemasAreDocumented: the files are what other teams read.
func TestSchemasAreDocumented(t *testing.T) {
	for _, r := range allRecords {
		root := r.schema.Root()
		if root.Namespace != "footfall" || root.Doc == "" {
			t.Errorf("%s: namespace %q, doc %q", r.name, root.Namespace, root.Doc)
		}
		for _, f := range root.Fields {
			if f.Doc == "" {
				t.Errorf("%s.%s has no doc", r.name, f.Name)
			}
			if f.Type.Type == "long" && strings.HasSuffix(f.Name, "at") && f.Type.LogicalType != "timestamp-millis" {
				t.Errorf("%s.%s is no timestamp-millis", r.name, f.Name)
			}
		}
	}
}

// TestSchemasMatchTypes: a field of the Go type that the schema lacks would
// silently not be sent, and a JSON name that differs would be another contract.
func TestSchemasMatchTypes(t *testing.T) {
	types := map[string]any{"tick": &Tick{}}
	for _, s := range samples() {
		types[s.name] = s.event
	}
	for _, r := range allRecords {
		typ := reflect.TypeOf(types[r.name]).Elem()
		fields := r.schema.Root().Fields
		if typ.NumField() != len(fields) {
			t.Errorf("%s: %d fields in Go, %d in the schema", r.name, typ.NumField(), len(fields))
			continue
		}
		for i, f := range fields {
			tag := typ.Field(i).Tag
			if tag.Get("avro") != f.Name || tag.Get("json") != f.Name {
				t.Errorf("%s: field %d is %s in the schema, %s in Go", r.name, i, f.Name, tag)
			}
		}
	}
}

// TestJSONMayLackWhatHasADefault: the fields that JSON may lack are those that
// an older Avro version may lack.
func TestJSONMayLackWhatHasADefault(t *testing.T) {
	for _, s := range samples() {
		topic, _ := TopicByName(s.topic)
		if !topic.JSON {
			continue
		}
		root := recordOf(s.event).schema.Root()
		for _, f := range root.Fields {
			value := withoutField(t, s, f.Name)
			_, err := decodeAs(s.topic, s.key, value)
			if f.HasDefault && err != nil {
				t.Errorf("%s without %s: %v", s.name, f.Name, err)
			}
			if !f.HasDefault {
				wantReason(t, err, InvalidField)
			}
		}
	}
}

// testFiles are the schema files with some more, or others, in their place.
func testFiles(t *testing.T, files map[string]string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	for _, name := range []string{"sighting.avsc", "testdata/schemas/sighting.v1.avsc"} {
		data, err := fs.ReadFile(schemaFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: data}
	}
	for name, text := range files {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

// sightingBefore is a sighting as a first release might have had it: no flags,
// the fields in another order, one that is gone since, times without a logical
// type.
const sightingBefore = `{"type": "record", "name": "Sighting", "namespace": "footfall", "fields": [
	{"name": "seen_at", "type": "long"},
	{"name": "channel", "type": "int"},
	{"name": "rssi_dbm", "type": "int"},
	{"name": "device", "type": "string"},
	{"name": "sensor", "type": "string"},
	{"name": "business", "type": "string"}
]}`

// TestOldVersionsDecode: a record of an old version, found by its fingerprint,
// comes as today's type, with defaults for what it lacks.
func TestOldVersionsDecode(t *testing.T) {
	r, err := loadRecord(testFiles(t, map[string]string{"testdata/schemas/sighting.v0.avsc": sightingBefore}), "sighting")
	if err != nil {
		t.Fatal(err)
	}
	old, err := avro.Parse(sightingBefore)
	if err != nil {
		t.Fatal(err)
	}
	want := goodSighting()
	value, err := old.AppendSingleObject(nil, map[string]any{
		"business": string(want.Business), "sensor": string(want.Sensor), "device": string(want.Device),
		"rssi_dbm": int32(want.RSSI), "seen_at": want.SeenAt.UnixMilli(), "channel": int32(11),
	})
	if err != nil {
		t.Fatal(err)
	}
	want.Associated = false
	got := Sighting{Associated: true, Randomised: true}
	if err := newReaders(r).read(value, &got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := newReaders(sightingRecord).read(value, &got); err == nil {
		t.Error("a version that was never published was decoded")
	}
}

// TestLoadRecordRefuses: what would make records unreadable does not start.
func TestLoadRecordRefuses(t *testing.T) {
	withChannel := strings.Replace(sightingBefore, `"channel"`, `"band"`, 1)
	cases := []struct {
		name, file, text, says string
	}{
		{"a new field without default", "sighting.avsc", withChannel, "cannot read"},
		{"a version that is no schema", "testdata/schemas/sighting.v2.avsc", `{"type": "record"}`, "v2"},
		{"a current one that is no schema", "sighting.avsc", `{`, "parsing"},
	}
	for _, c := range cases {
		_, err := loadRecord(testFiles(t, map[string]string{c.file: c.text}), "sighting")
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.says)
		}
	}
	if _, err := loadRecord(fstest.MapFS{}, "sighting"); err == nil {
		t.Error("no schema at all: no error")
	}
}

// TestWireFormat holds the bytes of each published version. Records like them
// lie in Kafka, so a file here is written once (with -update) and never again.
func TestWireFormat(t *testing.T) {
	all := append(samples(), sample{name: "tick", topic: Sightings})
	for _, s := range all {
		e := any(s.event)
		if s.name == "tick" {
			e = &Tick{At: start}
		}
		latest := latestVersion(t, s.name)
		for v := 1; v <= latest; v++ {
			path := fmt.Sprintf("testdata/wire/%s.v%d.hex", s.name, v)
			value := wireFile(t, path, e, v == latest)
			got, err := decodeAs(s.topic, s.key, value)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if v == latest && (!reflect.DeepEqual(got, e) || !bytes.Equal(mustEncode(t, e), value)) {
				t.Errorf("%s: %x decodes to %+v; %+v encodes to %x", path, value, got, e, mustEncode(t, e))
			}
		}
	}
}

// wireFile gives the bytes in path, after making it where it is allowed to.
func wireFile(t *testing.T, path string, e any, mayCreate bool) []byte {
	t.Helper()
	if _, err := os.Stat(path); os.IsNotExist(err) && *update && mayCreate {
		writeGolden(t, path, []byte(hex.EncodeToString(mustEncode(t, e))+"\n"))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update after publishing a version)", err)
	}
	value, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func writeGolden(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
