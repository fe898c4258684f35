package events

import (
	"embed"
	"encoding/binary"
	"fmt"
	"io/fs"

	"github.com/twmb/avro"
)

// schemaFiles holds the schema that each record is written with (<record>.avsc)
// and every version that was ever published (<record>.v<n>.avsc). Records of 90
// days and of compacted topics stay in Kafka, so no published version is ever
// taken away or changed.
//
//go:embed *.avsc testdata/schemas/*.avsc
var schemaFiles embed.FS

// record is one record type. A Schema is parsed once and shared: decoding
// through one that is new compiles it again.
type record struct {
	name     string       // of its file, and its "type" where it is accepted as JSON
	schema   *avro.Schema // it is written with
	versions map[uint64]*avro.Schema
}

// The records. A schema that does not parse, or a published version that the
// current one cannot read, ends the process at its start: the files are part
// of the binary, so the tests have the same end.
var (
	sightingRecord       = mustRecord(schemaFiles, "sighting")
	tickRecord           = mustRecord(schemaFiles, "tick")
	portalLoginRecord    = mustRecord(schemaFiles, "portal-login")
	contactChangedRecord = mustRecord(schemaFiles, "contact-changed")
	contactDeletedRecord = mustRecord(schemaFiles, "contact-deleted")
	deviceContactRecord  = mustRecord(schemaFiles, "device-contact")
	walkInRecord         = mustRecord(schemaFiles, "walk-in")
	visitEndedRecord     = mustRecord(schemaFiles, "visit-ended")
	enrichedWalkInRecord = mustRecord(schemaFiles, "enriched-walk-in")
	walkInCountRecord    = mustRecord(schemaFiles, "walk-in-count")
)

func mustRecord(files fs.FS, name string) *record {
	r, err := loadRecord(files, name)
	if err != nil {
		panic("events: " + err.Error())
	}
	return r
}

// loadRecord reads the current schema of a record and makes, for it and for
// each published version, the schema that decodes such bytes into today's Go
// type: what the version lacks is filled from defaults, what it has too much
// is skipped.
func loadRecord(files fs.FS, name string) (*record, error) {
	current, err := parseSchema(files, name+".avsc")
	if err != nil {
		return nil, err
	}
	r := &record{name: name, schema: current, versions: map[uint64]*avro.Schema{}}
	paths, err := fs.Glob(files, "testdata/schemas/"+name+".v*.avsc")
	if err != nil {
		return nil, fmt.Errorf("finding the versions of %s: %w", name, err)
	}
	for _, path := range paths {
		version, err := parseSchema(files, path)
		if err != nil {
			return nil, err
		}
		resolved, err := avro.Resolve(version, current)
		if err != nil {
			return nil, fmt.Errorf("%s.avsc cannot read %s: %w", name, path, err)
		}
		r.versions[fingerprint(version)] = resolved
	}
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

// fingerprint is CRC-64-AVRO of the schema's parsing canonical form (Avro
// specification, "Schema Fingerprints"). The library gives it big-endian, as
// Go's hashes do; on the wire it is little-endian.
func fingerprint(s *avro.Schema) uint64 {
	return binary.BigEndian.Uint64(s.Fingerprint(avro.NewRabin()))
}

// reader decodes one version of one record.
type reader struct {
	record *record
	schema *avro.Schema
}

// readers are the versions of the records of one topic, by fingerprint.
type readers map[uint64]reader

func newReaders(records ...*record) readers {
	rs := readers{}
	for _, r := range records {
		for fp, s := range r.versions {
			rs[fp] = reader{r, s}
		}
	}
	return rs
}

// headerBytes is the length of what single-object encoding puts before the
// body: C3 01 and the fingerprint (Avro specification, "Single-object
// encoding").
const headerBytes = 10

// find gives the reader for value and what follows the header. Its errors are
// *BadRecord.
func (rs readers) find(value []byte) (reader, []byte, error) {
	if len(value) < headerBytes || value[0] != 0xC3 || value[1] != 0x01 {
		start := value[:min(len(value), headerBytes)]
		return reader{}, nil, Bad(Undecodable, "no single-object header in %d bytes that begin with %x", len(value), start)
	}
	fp := binary.LittleEndian.Uint64(value[2:headerBytes])
	r, ok := rs[fp]
	if !ok {
		return reader{}, nil, Bad(UnknownSchema, "fingerprint %016x is no record of this topic", fp)
	}
	return r, value[headerBytes:], nil
}
