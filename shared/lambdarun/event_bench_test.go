package lambdarun

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"footfall/shared/stage"
)

// benchEvent returns an event of records with values of 120 bytes and one header
// each, in four partitions.
func benchEvent(records int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"eventSource":"aws:kafka","eventSourceArn":"arn:aws:kafka:eu-west-1:123456789012:cluster/c/1","records":{`)
	for p := range 4 {
		if p > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"sightings-%d":[`, p)
		for i := range records / 4 {
			if i > 0 {
				b.WriteByte(',')
			}
			key := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "store-%d/%016x", i%7, i*7919))
			value := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i), 0xc3, 7}, 40))
			fmt.Fprintf(&b, `{"topic":"sightings","partition":%d,"offset":%d,"timestamp":1700000000%03d,"timestampType":"CREATE_TIME",`+
				`"key":%q,"value":%q,"headers":[{"from":[114,111,117,116,101,114]}]}`, p, 1000+i, i%1000, key, value)
		}
		b.WriteByte(']')
	}
	b.WriteString(`}}`)
	return b.Bytes()
}

func BenchmarkDecodeEvent(b *testing.B) {
	const records = 5000
	payload := benchEvent(records)
	for _, bb := range []struct {
		name   string
		decode func([]byte) (int, error)
	}{
		{"scanner", func(p []byte) (n int, err error) {
			parts, err := DecodeEvent(p)
			for _, part := range parts {
				n += len(part.Batch.Records)
			}
			return n, err
		}},
		{"encoding-json", decodeWithEncodingJSON},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				if n, err := bb.decode(payload); n != records || err != nil {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
		})
	}
}

// decodeWithEncodingJSON decodes the same records into batches with encoding/json
// and a struct of the event's shape. It returns the number of records.
func decodeWithEncodingJSON(payload []byte) (n int, err error) {
	var event struct {
		Records map[string][]struct {
			Topic     string             `json:"topic"`
			Partition int32              `json:"partition"`
			Offset    int64              `json:"offset"`
			Timestamp int64              `json:"timestamp"`
			Key       []byte             `json:"key"`
			Value     []byte             `json:"value"`
			Headers   []map[string][]int `json:"headers"`
		} `json:"records"`
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return 0, err
	}
	for _, rs := range event.Records {
		batch := make([]stage.Record, 0, len(rs))
		for _, r := range rs {
			rec := stage.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value,
				Timestamp: time.UnixMilli(r.Timestamp)}
			for _, hs := range r.Headers {
				for name, numbers := range hs {
					value := make([]byte, len(numbers))
					for i, b := range numbers {
						value[i] = byte(b)
					}
					rec.Headers = append(rec.Headers, stage.Header{Key: name, Value: value})
				}
			}
			batch = append(batch, rec)
		}
		n += len(batch)
	}
	return n, nil
}
