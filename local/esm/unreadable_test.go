package esm

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"footfall/local/broker/brokertest"
	"footfall/shared/pipeline"
)

// onDisk is bubble with a broker that keeps its data in a directory.
func onDisk(t *testing.T, test func(h *harness, dir string)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{T: t}
		var err error
		h.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(h.net.Listen),
			kfake.SeedTopics(4, topic), kfake.SeedTopics(1, deadLetterTopic), kfake.DataDir(dir))
		h.must(err)
		t.Cleanup(h.cluster.Close)
		h.connect()
		test(h, dir)
	})
}

// TestADamagedBatchStopsItsPartitionOnly: a damaged batch stops its partition,
// and the log names topic, partition and offset. The records before it and the
// other partitions go on. After the group's offset was moved beyond the batch,
// the records behind it are delivered.
func TestADamagedBatchStopsItsPartitionOnly(t *testing.T) {
	onDisk(t, func(h *harness, dir string) {
		h.produce(0, 3)
		h.produce(0, 4) // offsets 3 to 6
		h.produce(0, 2)
		h.produce(1, 1)
		h.must(brokertest.Damage(dir, topic, 0, 4))
		var log bytes.Buffer
		f := h.start(pipeline.Mapping{Retries: -1, Window: time.Second}, func(o *Options) {
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			o.MaxBackoff = 5 * time.Second
		})
		f.expect("0:[0-2] 1:[0-0]").ok()
		for range 3 { // the others go on, however long it lasts
			time.Sleep(time.Minute)
			h.produce(1, 1)
			f.next().ok()
		}
		f.wantNoInvocation()
		h.wantCommitted(0, 3)
		h.wantCommitted(1, 4)
		f.stop()
		said := strings.Count(log.String(), `"cannot read a batch" stage=detect topic=sightings partition=0 offset=3 `)
		if least, most := 3*60/5, 3*60/5+10; said < least || said > most {
			h.Errorf("said %d times in three minutes, want %d to %d:\n%s", said, least, most, log.String())
		}
		if strings.Contains(log.String(), "partition=1") {
			h.Errorf("the other partition is named:\n%s", log.String())
		}
		h.commit(0, 7)
		f = h.start(pipeline.Mapping{Retries: -1})
		f.expect("0:[7-8]").ok()
		h.wantCommitted(0, 9)
	})
}

// TestADamagedBatchAtTheBeginning: if no record was fetched before the damage,
// the log names the offset at which fetching began.
func TestADamagedBatchAtTheBeginning(t *testing.T) {
	for _, c := range []struct {
		name      string
		committed int64
		damage    int64
		want      string
	}{
		{"of the log", -1, 0, "offset=0 "},
		{"of what is not committed", 2, 2, "offset=2 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			onDisk(t, func(h *harness, dir string) {
				h.produce(0, 2)
				h.produce(0, 2)
				h.must(brokertest.Damage(dir, topic, 0, c.damage))
				if c.committed >= 0 {
					h.commit(0, c.committed)
				}
				var log bytes.Buffer
				f := h.start(pipeline.Mapping{Retries: -1}, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				time.Sleep(time.Minute)
				f.wantNoInvocation()
				f.stop()
				if !strings.Contains(log.String(), "partition=0 "+c.want) {
					h.Errorf("the log does not say %q:\n%s", c.want, log.String())
				}
			})
		})
	}
}

func (h *harness) commit(partition int32, offset int64) {
	h.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	h.must(h.admin.CommitAllOffsets(h.Context(), pipeline.Group(pipeline.LocalDeployment, "detect", topic), offsets))
}
