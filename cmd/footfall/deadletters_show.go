package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
)

// deadLetterShowCmd shows one dead letter.
type deadLetterShowCmd struct {
	clusterFlags
	Letter string `arg:"" name:"topic/partition/offset" help:"Topic, partition and offset of the dead letter, as list prints them."`
}

// Validate returns an error if the argument names no position in a dead-letter topic.
func (c *deadLetterShowCmd) Validate() error {
	at, err := kafka.ParsePosition(c.Letter)
	if err != nil {
		return err
	}
	if all := kafka.DeadLetterTopics(); !slices.Contains(all, at.Topic) {
		return fmt.Errorf("%s is no dead-letter topic; the topics are %s", at.Topic, strings.Join(all, ", "))
	}
	return nil
}

// Run reads the record and prints it.
func (c *deadLetterShowCmd) Run(ctx context.Context, s streams) error {
	at, err := kafka.ParsePosition(c.Letter)
	if err != nil {
		return err
	}
	client, err := c.client(ctx, kafka.ReadOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	// The commits of redrive show whether the dead letter was put back.
	redriver, err := kafka.NewRedriver(ctx, client)
	if err != nil {
		return err
	}
	letter, err := findDeadLetter(ctx, client, at)
	if err != nil {
		return err
	}
	printDeadLetter(s.out, letter, redriver.Done(at))
	return nil
}

// errNoRecord is the error for a position without a record: retention may have removed
// the record.
var errNoRecord = errors.New("no such record")

// findDeadLetter reads the dead letter at a position.
func findDeadLetter(ctx context.Context, client *kgo.Client, at kafka.Position) (*kafka.DeadLetter, error) {
	spans, err := kafka.ListOffsetRanges(ctx, client, at.Topic)
	if err != nil {
		return nil, err
	}
	if int(at.Partition) >= len(spans) {
		return nil, fmt.Errorf("%s: %w", at, errNoRecord)
	}
	// Read only the one offset. A gap of the offsets there means that no record
	// exists.
	s := spans[at.Partition]
	if at.Offset < s.From || at.Offset >= s.To {
		return nil, fmt.Errorf("%s: %w: the partition holds the offsets from %d to %d", at, errNoRecord, s.From, s.To-1)
	}
	s.From, s.To = at.Offset, at.Offset+1
	var found *kafka.DeadLetter
	err = kafka.Read(ctx, client, []kafka.OffsetRange{s}, func(r *kgo.Record) error {
		l := kafka.ParseDeadLetter(r)
		found = &l
		return nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("%s: %w", at, errNoRecord)
	}
	return found, err
}

// printDeadLetter prints a dead letter; back is true if redrive has put it back.
func printDeadLetter(w io.Writer, l *kafka.DeadLetter, back bool) {
	// The headers of the dead letter.
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, value) }
	row("dead letter", l.Position.String())
	row("origin", l.Origin.String())
	row("reason", printable([]byte(l.Reason)))
	row("error", printable([]byte(cmp.Or(l.Error, "-"))))
	row("stage", printable([]byte(cmp.Or(l.Stage, "-"))))
	row("record time", l.Time.UTC().Format(time.RFC3339Nano))
	row("redrives", strconv.Itoa(l.Redrives))
	row("put back", map[bool]string{true: "yes", false: "no"}[back])
	// The record's own headers, key and value.
	for _, h := range l.Headers {
		row("header", printable([]byte(h.Key))+" = "+printable(h.Value))
	}
	if l.Key == nil {
		row("key", "null")
	} else {
		row("key", printable(l.Key))
	}
	flush(t)
	printValue(w, l)
}

// maxDump is how many bytes of an undecodable value are shown.
const maxDump = 4 << 10

// printValue prints a value decoded as a record of its topic, or as bytes if it does
// not decode. Values hold no MAC addresses: ingest has replaced them.
func printValue(w io.Writer, l *kafka.DeadLetter) {
	if l.Value == nil {
		fmt.Fprintln(w, "value        null")
		return
	}
	decoded, err := decodeValue(l.Origin.Topic, l.Key, l.Value)
	if err == nil {
		fmt.Fprintf(w, "value        %d bytes, which decode to\n%s\n", len(l.Value), decoded)
		return
	}
	// Not decodable: print JSON indented, and other bytes as a hex dump.
	if json.Valid(l.Value) && bytes.ContainsAny(l.Value, "{") {
		fmt.Fprintf(w, "value        %d bytes of JSON: %v\n%s\n", len(l.Value), err, indented(l.Value))
		return
	}
	shown := l.Value[:min(len(l.Value), maxDump)]
	fmt.Fprintf(w, "value        %d bytes: %v\n%s", len(l.Value), err, hex.Dump(shown))
	if len(shown) < len(l.Value) {
		fmt.Fprintf(w, "and %d bytes more\n", len(l.Value)-len(shown))
	}
}

// decodeValue returns a record of a topic as JSON.
func decodeValue(topic string, key, value []byte) (string, error) {
	var v any
	var err error
	// Each topic has its own decoder.
	switch topic {
	case events.Sightings:
		var r events.SightingsRecord
		if err = events.DecodeSightings(key, value, &r); r.IsTick {
			v = r.Tick
		} else {
			v = r.Sighting
		}
	case events.CRMEvents, events.CRMEventsBackfill:
		v, err = events.DecodeCRM(key, value)
	case events.DeviceContacts:
		v, err = events.DecodeDeviceContact(key, value)
	case events.WalkIns:
		v, err = events.DecodeWalkIn(key, value)
	case events.VisitsEnded:
		v, err = events.DecodeVisitEnded(key, value)
	case events.EnrichedWalkIns:
		v, err = events.DecodeEnrichedWalkIn(key, value)
	case events.WalkInCounts:
		v, err = events.DecodeWalkInCount(key, value)
	default:
		err = fmt.Errorf("%q is not a topic with known records", topic)
	}
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(v)
	return indented(text), err
}

func indented(text []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return printable(text)
	}
	return out.String()
}
