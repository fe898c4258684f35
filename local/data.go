package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"footfall/events"
	"footfall/local/esm"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
)

// The parts of a data directory. Each is of use only together with the others: the
// tables hold what the functions decided up to the offsets that the broker holds,
// and the keys made the pseudonyms of the devices in both.
const (
	brokerDir = "broker"
	tablesDir = "tables"
	keysFile  = "pseudonym-keys.json"
)

// openData creates the data directory, and a temporary one if none is given.
func (s *Stack) openData(context.Context, pipeline.Graph) error {
	if s.o.DataDir != "" {
		return makeWritable(s.o.DataDir)
	}
	dir, err := os.MkdirTemp("", "footfall-")
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	s.o.DataDir, s.temporary = dir, true
	s.onClose(func() error { return os.RemoveAll(dir) })
	return nil
}

// makeWritable creates a directory, and returns an error if this process cannot
// write to it.
func makeWritable(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".writable-"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("data directory %s cannot be written to: make it writable for this user, or name another: %w", dir, err)
	}
	return nil
}

// checkData compares the topics and tables of earlier stacks with the options. An
// error means that the functions would decide wrongly on them; nothing has been
// changed by then.
func (s *Stack) checkData(ctx context.Context, g pipeline.Graph) error {
	topics, err := s.admin().ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	if err := s.checkPartitions(topics); err != nil {
		return err
	}
	// Data of earlier stacks are records on the broker or tables.
	records, err := s.hasRecords(ctx, topics)
	if err != nil {
		return err
	}
	tables, err := s.hasTables(ctx, g)
	if err != nil {
		return err
	}
	s.hasHistory = records || tables
	if tables {
		return nil
	}
	// The directory was used without tables, or its tables are lost.
	read, err := s.groupWithOffsets(ctx, g)
	if err == nil && read != "" {
		err = fmt.Errorf("the tables are missing: group %s has read records, but the table server (%s) has no table %s. "+
			"Visits would be counted again, or not at all. %s", read, s.tables, s.o.TablePrefix+pipeline.VisitLogTable, s.wayOut())
	}
	return err
}

// wayOut returns what an operator can do if tables are missing.
func (s *Stack) wayOut() string {
	if s.temporary || len(s.o.Brokers) > 0 {
		return "Name the data directory, or the table endpoint and prefix, that were used with these brokers, or use new topics"
	}
	return fmt.Sprintf("Put %s back from a copy, or name the prefix that was used, or remove %s to process all records of the topics again, "+
		"with the settings of businesses that are given at the start", filepath.Join(s.o.DataDir, tablesDir), s.offsetsFile())
}

// offsetsFile returns the path of the file in which the broker keeps the offsets
// that groups have committed. Without it the stages begin at the start of the topics.
func (s *Stack) offsetsFile() string { return filepath.Join(s.o.DataDir, brokerDir, "groups.log") }

// checkPartitions returns an error if a topic has another number of partitions than
// the options want.
func (s *Stack) checkPartitions(topics kadm.TopicDetails) error {
	if s.o.KeepPartitions {
		return nil
	}
	var differs []string
	for _, t := range events.Topics() {
		want := t.Partitions
		if s.o.Partitions > 0 {
			want = s.o.Partitions
		}
		if got := len(topics[t.Name].Partitions); topics.Has(t.Name) && got != int(want) {
			differs = append(differs, fmt.Sprintf("%s has %d, not %d", t.Name, got, want))
		}
	}
	if len(differs) == 0 {
		return nil
	}
	return fmt.Errorf("%d topics have another number of partitions, such as %s: give the number that they were created with, or none",
		len(differs), differs[0])
}

// hasRecords reports whether a topic of the graph has ever held a record.
func (s *Stack) hasRecords(ctx context.Context, topics kadm.TopicDetails) (bool, error) {
	var names []string
	for _, t := range events.Topics() {
		if topics.Has(t.Name) {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 { // kadm would ask for all topics
		return false, nil
	}
	ends, err := s.admin().ListEndOffsets(ctx, names...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return false, fmt.Errorf("end offsets of the topics: %w", err)
	}
	found := false
	ends.Each(func(o kadm.ListedOffset) { found = found || o.Offset > 0 })
	return found, nil
}

// hasTables reports whether the table server has a table of the graph.
func (s *Stack) hasTables(ctx context.Context, g pipeline.Graph) (bool, error) {
	pages := dynamodb.NewListTablesPaginator(s.TableClient(), &dynamodb.ListTablesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, fmt.Errorf("list tables: %w", err)
		}
		for _, t := range g.Tables {
			if slices.Contains(page.TableNames, s.o.TablePrefix+t.Name) {
				return true, nil
			}
		}
	}
	return false, nil
}

// groupWithOffsets returns the name of a stage's consumer group that has committed
// an offset, or "" if none has.
func (s *Stack) groupWithOffsets(ctx context.Context, g pipeline.Graph) (string, error) {
	var groups []string
	for _, spec := range g.Stages {
		for _, m := range spec.Reads {
			groups = append(groups, esm.GroupName(spec.Name, m.Topic))
		}
	}
	all := s.admin().FetchManyOffsets(ctx, groups...)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		committed := all[name]
		if err := committed.Err; err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return "", fmt.Errorf("offsets of group %s: %w", name, err)
		}
		found := false
		committed.Fetched.Each(func(o kadm.OffsetResponse) { found = found || o.At > 0 })
		if found {
			return name, nil
		}
	}
	return "", nil
}

// createTopicsAndTables creates the topics and tables that do not exist, and calls
// Prepare. A function that produces to a missing topic fails its batch.
func (s *Stack) createTopicsAndTables(ctx context.Context, g pipeline.Graph) error {
	replication := int16(-1) // the default of the given brokers
	if len(s.o.Brokers) == 0 {
		replication = 1
	}
	err := kafka.CreateTopics(ctx, s.client, events.Topics(), s.o.Partitions, replication)
	if err == nil {
		err = dynamo.CreateTables(ctx, s.TableClient(), s.o.TablePrefix, g.Tables)
	}
	if err == nil && s.o.Prepare != nil {
		err = s.o.Prepare(ctx, s.TableClient())
	}
	return err
}
