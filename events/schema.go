package events

import (
	"embed"
	"encoding/binary"
	"fmt"
	"io/fs"

	"github.com/twmb/avro"
)

// schemaFiles holds the schema that each record is written with
// (schemas/<record>.avsc) and every version that was ever published
// (schemas/published/<record>.v<n>.avsc). Records stay in Kafka for 90 days, on
// compacted topics for good, so a published version is never removed or changed.
//
//go:embed schemas/*.avsc schemas/published/*.avsc
var schemaFiles embed.FS

// recordType is one type of record with its schemas. The schemas are parsed once
// and shared, because the first decode through a new *avro.Schema compiles it.
type recordType struct {
	name     string       // of the schema file, and the "type" in JSON of CRM events
	current  *avro.Schema // the schema that records are written with
	versions map[uint64]*avro.Schema
}

// mustRecordType is loadRecordType for package variables. It panics if a schema
// does not parse or if the current schema cannot read a published version: the
// process ends at its start. The files are part of the binary, so a test run of
// this package ends in the same way.
func mustRecordType(files fs.FS, name string) *recordType {
	r, err := loadRecordType(files, name)
	if err != nil {
		panic("events: " + err.Error())
	}
	return r
}

// loadRecordType reads the schemas of a record. The map versions holds, by
// fingerprint, the schema that decodes bytes of that version into today's Go
// type: a field that the version lacks is filled from its default, a field that
// today's type lacks is skipped.
func loadRecordType(files fs.FS, name string) (*recordType, error) {
	current, err := parseSchema(files, "schemas/"+name+".avsc")
	if err != nil {
		return nil, err
	}
	r := &recordType{name: name, current: current, versions: map[uint64]*avro.Schema{}}
	paths, err := fs.Glob(files, "schemas/published/"+name+".v*.avsc")
	if err != nil {
		return nil, fmt.Errorf("finding the published versions of schema %s: %w", name, err)
	}
	// Resolve each published version against the current schema.
	for _, path := range paths {
		version, err := parseSchema(files, path)
		if err != nil {
			return nil, err
		}
		resolved, err := avro.Resolve(version, current)
		if err != nil {
			return nil, fmt.Errorf("schemas/%s.avsc cannot read %s: %w", name, path, err)
		}
		r.versions[fingerprint(version)] = resolved
	}
	// The current schema needs no resolution, and replaces its published copy.
	r.versions[fingerprint(current)] = current
	return r, nil
}

func parseSchema(files fs.FS, path string) (*avro.Schema, error) {
	text, err := fs.ReadFile(files, path)
	if err != nil {
		return nil, fmt.Errorf("reading schema: %w", err)
	}
	s, err := avro.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parsing schema %s: %w", path, err)
	}
	return s, nil
}

// fingerprint returns the CRC-64-AVRO of the schema's parsing canonical form
// (Avro specification, "Schema Fingerprints"). The library returns the bytes
// big-endian, like Go's hashes; on the wire they are little-endian.
func fingerprint(s *avro.Schema) uint64 {
	return binary.BigEndian.Uint64(s.Fingerprint(avro.NewRabin()))
}

// decoder decodes one version of one record type.
type decoder struct {
	record *recordType
	schema *avro.Schema
}

// decoders holds a decoder for every version of the record types of one topic,
// by fingerprint.
type decoders map[uint64]decoder

func newDecoders(types ...*recordType) decoders {
	ds := decoders{}
	for _, r := range types {
		for fp, s := range r.versions {
			ds[fp] = decoder{r, s}
		}
	}
	return ds
}

// headerBytes is the length of the header before the body in single-object
// encoding: C3 01 and the fingerprint (Avro specification, "Single-object
// encoding").
const headerBytes = 10

// find returns the decoder for value and the body behind the header. Its errors
// are *BadRecord.
func (ds decoders) find(value []byte) (decoder, []byte, error) {
	if len(value) < headerBytes || value[0] != 0xC3 || value[1] != 0x01 {
		start := value[:min(len(value), headerBytes)]
		return decoder{}, nil, Bad(Undecodable, "no single-object header in %d bytes that begin with %x", len(value), start)
	}
	// An unknown fingerprint is of another topic's record, or of a version that is
	// newer than this binary.
	fp := binary.LittleEndian.Uint64(value[2:headerBytes])
	d, ok := ds[fp]
	if !ok {
		return decoder{}, nil, Bad(UnknownSchema, "fingerprint %016x belongs to no record of this topic", fp)
	}
	return d, value[headerBytes:], nil
}
