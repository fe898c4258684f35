package lambdarun

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"footfall/shared/stage"
)

// reference decodes an event with encoding/json alone, slowly and in the plainest
// way. documented is false for a payload of another shape than AWS documents, or
// with a name twice in an object, which the two decoders may read differently. For
// such a payload DecodeEvent must only be safe.
func reference(payload []byte) (parts []Partition, documented bool) {
	if !json.Valid(payload) {
		return nil, false
	}
	defer func() {
		// The first value of another shape than documented ends the walk.
		if p := recover(); p != nil {
			if _, ok := p.(undocumented); !ok {
				panic(p)
			}
			parts, documented = nil, false
		}
	}()
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	seen := map[string]bool{}
	for _, m := range tree(dec).members().must("records").members() {
		p := Partition{ID: m.name}
		for _, r := range m.value.elements() {
			p.Batch.Records = append(p.Batch.Records, referenceRecord(r.members()))
		}
		if len(p.Batch.Records) == 0 {
			continue
		}
		first := p.Batch.Records[0]
		p.Batch.Topic, p.Batch.Partition = first.Topic, first.Partition
		for i, r := range p.Batch.Records {
			want(r.Topic == first.Topic && r.Partition == first.Partition)
			want(i == 0 || r.Offset > p.Batch.Records[i-1].Offset)
		}
		name := fmt.Sprint(first.Topic, "/", first.Partition)
		want(!seen[name])
		seen[name] = true
		parts = append(parts, p)
	}
	return parts, true
}

func referenceRecord(m members) stage.Record {
	r := stage.Record{
		Topic:     m.must("topic").text(),
		Partition: int32(m.must("partition").integer(0, math.MaxInt32)),
		Offset:    m.must("offset").integer(0, math.MaxInt64),
	}
	want(r.Topic != "")
	if n, ok := m.get("timestamp"); ok {
		if ms := n.integer(math.MinInt64, math.MaxInt64); ms != -1 {
			r.Timestamp = time.UnixMilli(ms).UTC()
		}
	}
	var wrong string
	for _, f := range m { // the error is that of the last broken field
		switch f.name {
		case "key":
			r.Key = f.value.base64("key", &wrong)
		case "value":
			r.Value = f.value.base64("value", &wrong)
		case "headers":
			r.Headers = referenceHeaders(f.value, &wrong)
		}
	}
	if wrong != "" {
		r.Value = append([]byte("not base64: "), r.Value...)
		r.Headers = append(r.Headers, stage.Header{Key: "footfall-error", Value: []byte(wrong)})
	}
	return r
}

func referenceHeaders(n node, wrong *string) (hs []stage.Header) {
	if n.token == nil {
		return nil
	}
	for _, e := range n.elements() {
		for _, m := range e.members() {
			h := stage.Header{Key: m.name}
			if m.value.token == json.Delim('[') {
				h.Value = []byte{}
				for _, b := range m.value.elements() {
					h.Value = append(h.Value, byte(b.integer(-128, 255)))
				}
			} else {
				h.Value = m.value.base64("header", wrong)
			}
			hs = append(hs, h)
		}
	}
	return hs
}

// undocumented is the panic of want.
type undocumented struct{}

// want panics if a payload is not of the documented shape.
func want(ok bool) {
	if !ok {
		panic(undocumented{})
	}
}

// node is a JSON value. It keeps the order of an object's members.
type node struct {
	token json.Token // json.Delim('{') or ('['), string, json.Number, bool or nil
	names members    // of an object
	items []node     // of an array
}

type member struct {
	name  string
	value node
}

type members []member

// tree reads the next value.
func tree(dec *json.Decoder) node {
	t, err := dec.Token()
	want(err == nil)
	n := node{token: t}
	for t == json.Delim('{') && dec.More() {
		name, err := dec.Token()
		want(err == nil)
		n.names = append(n.names, member{name.(string), tree(dec)})
	}
	for t == json.Delim('[') && dec.More() {
		n.items = append(n.items, tree(dec))
	}
	if t == json.Delim('{') || t == json.Delim('[') {
		_, err = dec.Token()
		want(err == nil)
	}
	return n
}

func (n node) members() members {
	want(n.token == json.Delim('{'))
	seen := map[string]bool{}
	for _, m := range n.names {
		want(!seen[m.name])
		seen[m.name] = true
	}
	return n.names
}

func (n node) elements() []node {
	want(n.token == json.Delim('['))
	return n.items
}

func (n node) text() string {
	s, ok := n.token.(string)
	want(ok)
	return s
}

func (n node) integer(lowest, highest int64) int64 {
	number, ok := n.token.(json.Number)
	want(ok)
	i, err := strconv.ParseInt(string(number), 10, 64)
	want(err == nil && lowest <= i && i <= highest)
	return i
}

// base64 returns the decoded text, nil for null, and the text itself if it is not
// base64.
func (n node) base64(field string, wrong *string) []byte {
	if n.token == nil {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(n.text())
	if err != nil {
		*wrong = fmt.Sprintf("%s is not base64: %v", field, err)
		return []byte(n.text())
	}
	return b
}

func (ms members) get(name string) (node, bool) {
	for _, m := range ms {
		if m.name == name {
			return m.value, true
		}
	}
	return node{}, false
}

func (ms members) must(name string) node {
	n, ok := ms.get(name)
	want(ok)
	return n
}
