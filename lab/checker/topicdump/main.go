// Command topicdump prints all records of Kafka topics, one JSON object a line,
// with key and value as the bytes that the broker has (base64). The checker in
// the folder above runs it, and decodes the bytes by the published schemas alone:
// a fault of package events cannot hide behind the same fault in the checker.
//
//	topicdump BROKER TOPIC...
//
// It only reads. If it fails, it can be run again.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/kafka"
)

// record is a line of the output. encoding/json writes bytes as base64, and a
// missing value as null.
type record struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       []byte `json:"key"`
	Value     []byte `json:"value"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "topicdump:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("topicdump takes a broker and the names of topics")
	}
	client, err := kafka.NewClient(kafka.Config{Brokers: args[:1], Auth: "none", ClientID: "topicdump"}, kafka.ReadOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	// Read up to the present end of every topic, and write as the records come.
	ranges, err := kafka.ListOffsetRanges(ctx, client, args[1:]...)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(out)
	err = kafka.Read(ctx, client, ranges, func(r *kgo.Record) error {
		return lines.Encode(record{r.Topic, r.Partition, r.Offset, r.Key, r.Value})
	})
	return errors.Join(err, out.Flush())
}
