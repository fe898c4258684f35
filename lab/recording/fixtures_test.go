package recording

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"footfall/shared/pseudonym"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

var options = Options{Business: "shop", Device: pseudonym.NewMaker([]byte("a key for tests"))}

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// at returns a moment by its seconds after noon.
func at(seconds float64) time.Time {
	return noon.Add(time.Duration(seconds * float64(time.Second))).Truncate(time.Microsecond)
}

// frame is a packet to be put into a capture.
type frame struct {
	at     float64 // seconds after noon
	mac    string  // of the transmitter
	kind   layers.Dot11Type
	signal int8 // dBm; 0 leaves the field out
	flags  layers.RadioTapFlags
	harm   func([]byte) []byte // a change of the bytes on their way
}

func probe(at float64, mac string, signal int8) frame {
	return frame{at: at, mac: mac, kind: layers.Dot11TypeMgmtProbeReq, signal: signal}
}

// bytes returns the packet with its radiotap header.
func (f frame) bytes(t testing.TB) []byte {
	t.Helper()
	mac, err := net.ParseMAC(f.mac)
	if err != nil {
		t.Fatal(err)
	}
	present := layers.RadioTapPresentFlags
	if f.signal != 0 {
		present |= layers.RadioTapPresentDBMAntennaSignal
	}
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	buf := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true},
		&layers.RadioTap{
			Present:        []layers.RadioTapPresent{present},
			RadioTapValues: []layers.RadioTapNamespace{{Flags: f.flags, DBMAntennaSignal: f.signal}},
		},
		&layers.Dot11{Type: f.kind, Address1: everybody, Address2: mac, Address3: everybody},
		gopacket.Payload{0, 4, 'c', 'a', 'f', 'e'}, // the network asked for
	)
	if err != nil {
		t.Fatal(err)
	}
	if f.harm != nil {
		return f.harm(buf.Bytes())
	}
	return buf.Bytes()
}

type packetWriter interface {
	WritePacket(gopacket.CaptureInfo, []byte) error
}

func writeFrames(t testing.TB, w packetWriter, frames []frame) {
	t.Helper()
	for _, f := range frames {
		b := f.bytes(t)
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at(f.at), CaptureLength: len(b), Length: len(b)}, b); err != nil {
			t.Fatal(err)
		}
	}
}

// pcapOf makes a capture in the older format.
func pcapOf(t testing.TB, link layers.LinkType, frames ...frame) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(4096, link); err != nil {
		t.Fatal(err)
	}
	writeFrames(t, w, frames)
	return b.Bytes()
}

// pcapngOf makes a capture in the newer format.
func pcapngOf(t testing.TB, link layers.LinkType, frames ...frame) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriterInterface(&b,
		pcapgo.NgInterface{Name: "mon0", LinkType: link, TimestampResolution: 6},
		// The file must not depend on the machine that runs the test.
		pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	writeFrames(t, w, frames)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// inFile writes content to a file of the given name and returns its path.
func inFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// golden compares got with a file in testdata, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update if that is right); got:\n%q", path, got)
	}
}

// read returns all items of r and closes it.
func read(r *Reader) (items []Item, err error) {
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items, r.Close()
		}
		if err != nil {
			return items, errors.Join(err, r.Close())
		}
		items = append(items, it)
	}
}

// readFiles opens and reads files.
func readFiles(paths ...string) ([]Item, Stats, error) {
	r, err := Open(paths, nil, options)
	if err != nil {
		return nil, Stats{}, err
	}
	items, err := read(r)
	return items, r.Stats(), err
}

// readString reads a file of the given content as stdin.
func readString(content string) ([]Item, Stats, error) {
	r, err := Open([]string{"-"}, bytes.NewReader([]byte(content)), options)
	if err != nil {
		return nil, Stats{}, err
	}
	items, err := read(r)
	return items, r.Stats(), err
}

// lines writes items as NDJSON.
func asLines(t testing.TB, items []Item) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteNDJSON(&b, slices.Values(items)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
