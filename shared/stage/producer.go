package stage

import (
	"context"
	"time"
)

// Producer produces records. Produce MUST return nil only if all in-sync
// replicas have acknowledged every record, MUST keep the order of the records of
// one partition, and MUST return before ctx is done. After an error some of the
// records may have been written.
type Producer interface {
	Produce(ctx context.Context, records []Record) error
}

// TopicInfo describes a topic. The id tells a topic from an earlier topic of the
// same name.
type TopicInfo struct {
	ID         string // the broker's topic id, which changes when a topic is recreated
	Partitions int32  // the number of partitions
}

// TopicInfos describes topics. Info MUST ask the broker if its stored
// description of topic is older than maxAge; with a maxAge of 0 it MUST always
// ask.
type TopicInfos interface {
	Info(ctx context.Context, topic string, maxAge time.Duration) (TopicInfo, error)
}
