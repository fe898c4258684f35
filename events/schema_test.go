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

// allRecordTypes lists every record type of the package.
var allRecordTypes = []*recordType{
	sightingType, tickType, portalLoginType, contactChangedType, contactDeletedType,
	deviceContactType, walkInType, visitEndedType, enrichedWalkInType, walkInCountType,
}

func currentPath(name string) string { return "schemas/" + name + ".avsc" }

func publishedPath(name string, version int) string {
	return fmt.Sprintf("schemas/published/%s.v%d.avsc", name, version)
}

// latestVersion returns the number of the newest published version. Versions are
// numbered from 1 without gaps.
func latestVersion(t *testing.T, name string) int {
	t.Helper()
	all, err := filepath.Glob("schemas/published/" + name + ".v*.avsc")
	if err != nil {
		t.Fatal(err)
	}
	for v := 1; v <= len(all); v++ {
		if _, err := os.Stat(publishedPath(name, v)); err != nil {
			t.Fatalf("%d versions of %s are published, but %s is missing", len(all), name, publishedPath(name, v))
		}
	}
	return len(all)
}

// TestSchemasReadAllVersions: the current schema reads the records of every
// published version.
func TestSchemasReadAllVersions(t *testing.T) {
	for _, r := range allRecordTypes {
		for v := 1; v <= latestVersion(t, r.name); v++ {
			published, err := parseSchema(schemaFiles, publishedPath(r.name, v))
			if err != nil {
				t.Fatal(err)
			}
			if err := avro.CheckCompatibility(published, r.current); err != nil {
				t.Errorf("%s cannot read version %d: %v", currentPath(r.name), v, err)
			}
			if _, err := avro.Resolve(published, r.current); err != nil {
				t.Errorf("%s does not resolve version %d: %v", currentPath(r.name), v, err)
			}
			if r.versions[fingerprint(published)] == nil {
				t.Errorf("%s: no decoder for version %d", r.name, v)
			}
		}
	}
}

// TestSchemaChangesArePublished: the current schema equals the newest published
// version byte for byte, so a changed schema is published as a new version. A
// change of the published file itself fails TestWireFormat.
func TestSchemaChangesArePublished(t *testing.T) {
	for _, r := range allRecordTypes {
		latest := latestVersion(t, r.name)
		current, err := fs.ReadFile(schemaFiles, currentPath(r.name))
		if err != nil {
			t.Fatal(err)
		}
		published, err := fs.ReadFile(schemaFiles, publishedPath(r.name, latest))
		if err != nil {
			t.Fatalf("%s was never published: copy it to %s", currentPath(r.name), publishedPath(r.name, 1))
		}
		if !bytes.Equal(current, published) {
			t.Errorf("%s differs from published version %d: copy it to %s", currentPath(r.name), latest, publishedPath(r.name, latest+1))
		}
	}
}

// TestSchemaFilesHaveRecords: every schema file belongs to a record type, so the
// other tests cover it.
func TestSchemaFilesHaveRecords(t *testing.T) {
	known := map[string]bool{}
	for _, r := range allRecordTypes {
		known[r.name] = true
	}
	for _, dir := range []string{"schemas", "schemas/published"} {
		paths, err := filepath.Glob(dir + "/*.avsc")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, _, _ := strings.Cut(filepath.Base(path), ".")
			if !known[name] {
				t.Errorf("%s belongs to no record type", path)
			}
		}
	}
}

// TestSchemasAreDocumented: every record and field has a doc text, since other
// teams read the schema files and not this package.
func TestSchemasAreDocumented(t *testing.T) {
	for _, r := range allRecordTypes {
		root := r.current.Root()
		if root.Namespace != "footfall" || root.Doc == "" {
			t.Errorf("%s: got namespace %q and doc %q, want namespace footfall and a doc", r.name, root.Namespace, root.Doc)
		}
		for _, f := range root.Fields {
			if f.Doc == "" {
				t.Errorf("%s.%s has no doc", r.name, f.Name)
			}
			if f.Type.Type == "long" && strings.HasSuffix(f.Name, "at") && f.Type.LogicalType != "timestamp-millis" {
				t.Errorf("%s.%s is not a timestamp-millis", r.name, f.Name)
			}
		}
	}
}

// TestSchemasMatchTypes: the Go type has the fields of the schema, in the same
// order and with the same names in Avro and JSON. A field that the schema lacks
// would silently not be sent; another JSON name would be another contract.
func TestSchemasMatchTypes(t *testing.T) {
	types := map[string]any{"tick": &Tick{}}
	for _, s := range samples() {
		types[s.name] = s.event
	}
	for _, r := range allRecordTypes {
		typ := reflect.TypeOf(types[r.name]).Elem()
		fields := r.current.Root().Fields
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

// TestFieldsWithDefaultAreOptionalInJSON: JSON may lack a field if and only if
// the schema has a default for the field.
func TestFieldsWithDefaultAreOptionalInJSON(t *testing.T) {
	for _, s := range samples() {
		topic, _ := TopicByName(s.topic)
		if !topic.JSON {
			continue
		}
		root := s.event.(encodable).recordType().current.Root()
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

// testFiles returns the schema files of the sighting, with files added or
// replaced.
func testFiles(t *testing.T, files map[string]string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	for _, name := range []string{currentPath("sighting"), publishedPath("sighting", 1)} {
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

// sightingBefore is the schema of an invented older release: it has no flags,
// another order of the fields, a field that today's schema lacks, and times
// without a logical type.
const sightingBefore = `{"type": "record", "name": "Sighting", "namespace": "footfall", "fields": [
	{"name": "seen_at", "type": "long"},
	{"name": "channel", "type": "int"},
	{"name": "rssi_dbm", "type": "int"},
	{"name": "device", "type": "string"},
	{"name": "sensor", "type": "string"},
	{"name": "business", "type": "string"}
]}`

// TestOldVersionsDecode: a record of an old version, found by its fingerprint,
// decodes into today's type, with defaults for the fields that it lacks. A
// version that was never published does not decode.
func TestOldVersionsDecode(t *testing.T) {
	r, err := loadRecordType(testFiles(t, map[string]string{publishedPath("sighting", 0): sightingBefore}), "sighting")
	if err != nil {
		t.Fatal(err)
	}
	old, err := avro.Parse(sightingBefore)
	if err != nil {
		t.Fatal(err)
	}
	// A record as that release would have written it.
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
	if err := newDecoders(r).decodeInto(&got, value); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// Without the old schema among the published ones.
	if err := newDecoders(sightingType).decodeInto(&got, value); err == nil {
		t.Error("a version that was never published was decoded")
	}
}

// TestLoadRecordTypeFails: loading fails if the files would make records
// unreadable, so the process does not start.
func TestLoadRecordTypeFails(t *testing.T) {
	withBand := strings.Replace(sightingBefore, `"channel"`, `"band"`, 1)
	cases := []struct {
		name, file, text, want string
	}{
		{"a new field without default", currentPath("sighting"), withBand, "cannot read"},
		{"a published file that is not a schema", publishedPath("sighting", 2), `{"type": "record"}`, "v2"},
		{"a current file that is not a schema", currentPath("sighting"), `{`, "parsing"},
	}
	for _, c := range cases {
		_, err := loadRecordType(testFiles(t, map[string]string{c.file: c.text}), "sighting")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := loadRecordType(fstest.MapFS{}, "sighting"); err == nil {
		t.Error("no schema at all: got no error")
	}
}

// TestWireFormat: the bytes of each published version still decode, and the
// newest version still encodes to them. Such records lie in Kafka, so -update
// writes a file of testdata/wire once and never again.
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
			// Older versions decode with defaults; only the newest is encoded.
			if v == latest && (!reflect.DeepEqual(got, e) || !bytes.Equal(mustEncode(t, e), value)) {
				t.Errorf("%s: %x decodes to %+v, want %+v, which encodes to %x", path, value, got, e, mustEncode(t, e))
			}
		}
	}
}

// wireFile returns the bytes of the file at path. If the file is missing, mayCreate
// is true and -update is set, it writes the file first.
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
