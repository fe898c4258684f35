package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/pipeline"
)

// usedData returns a data directory in which a stage has read records.
func usedData(t *testing.T) string {
	t.Helper()
	o := options()
	o.DataDir = filepath.Join(t.TempDir(), "data")
	s := start(t, o)
	produce(t, s, events.Sightings, 20)
	drain(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o.DataDir
}

// without returns a function that removes parts of the data directory.
func without(parts ...string) func(*testing.T, *Options) {
	return func(t *testing.T, o *Options) {
		for _, part := range parts {
			if err := os.RemoveAll(filepath.Join(o.DataDir, part)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDataDirectoryKeepsTables: an item that was stored before a restart is there
// after it, whether the directory is named by a relative or an absolute path.
func TestDataDirectoryKeepsTables(t *testing.T) {
	t.Chdir(t.TempDir())
	o := options()
	o.DataDir = "data"
	s := start(t, o)
	item := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "cafe-1"}}
	table := aws.String(pipeline.BusinessesTable)
	_, err := s.TableClient().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: item})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if o.DataDir, err = filepath.Abs("data"); err != nil {
		t.Fatal(err)
	}
	got, err := start(t, o).TableClient().GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: item})
	if err != nil || len(got.Item) == 0 {
		t.Errorf("got %v, %v after a restart, want the item", got, err)
	}
}

// TestStartRefusesDamagedData: a start on a directory of which a part is missing, or
// with other partitions, fails with an error that names the way out, changes nothing
// and leaves no process.
func TestStartRefusesDamagedData(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, o *Options)
		want   []string
	}{
		{"tables that were in memory", without("tables"),
			[]string{"the tables are missing", "footfall-detect-sightings", "tables back from a copy", "groups.log"}},
		{"tables emptied", func(t *testing.T, o *Options) {
			without("tables")(t, o)
			if err := os.Mkdir(filepath.Join(o.DataDir, "tables"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"the tables are missing"}},
		{"other prefix", func(_ *testing.T, o *Options) { o.TablePrefix = "other-" }, []string{"no table other-visit-log", "prefix"}},
		{"more partitions", func(_ *testing.T, o *Options) { o.Partitions = 8 },
			[]string{"16 topics", "sightings has 4, not 8"}},
		{"partitions of AWS", func(_ *testing.T, o *Options) { o.Partitions = 0 }, []string{"sightings has 4, not 32"}},
		{"keys lost", without(keysFile), []string{keysFile + " is missing", "back from a copy", "another data directory"}},
		{"tables and keys lost", without("tables", keysFile), []string{"the tables are missing"}},
		{"broker and keys lost", without("broker", keysFile), []string{keysFile + " is missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			o.DataDir = usedData(t)
			c.damage(t, &o)
			// A second attempt finds the same: the first has changed nothing.
			for range 2 {
				s, err := Start(t.Context(), o)
				if err == nil {
					t.Fatal(errors.Join(errors.New("started"), s.Close()))
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("got error %q, want it to contain %q", err, want)
					}
				}
			}
			wantNoChildren(t)
		})
	}
}

// TestStartTakesData: stages go on in a directory that was moved, or whose topics
// are gone, and with keys that are elsewhere.
func TestStartTakesData(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, o *Options){
		"any partitions":     func(_ *testing.T, o *Options) { o.Partitions, o.KeepPartitions = 8, true },
		"topics begun anew":  without("broker"),
		"keys are elsewhere": func(t *testing.T, o *Options) { o.PseudonymKeys = moved(t, filepath.Join(o.DataDir, keysFile)) },
		"directory moved":    func(t *testing.T, o *Options) { o.DataDir = moved(t, o.DataDir) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.DataDir = usedData(t)
			change(t, &o)
			s := start(t, o)
			produce(t, s, events.Sightings, 5)
			drain(t, s)
			if got := statsOf(t, s, pipeline.Detect); got.Records != 5 {
				t.Errorf("%+v, want the 5 new records", got)
			}
		})
	}
}

// TestTablesAreMadeAgain: without tables, and without the file of offsets that the
// error of a refused start names, all records are processed again.
func TestTablesAreMadeAgain(t *testing.T) {
	o := options()
	o.DataDir = usedData(t)
	without("tables", filepath.Join("broker", "groups.log"))(t, &o)
	s := start(t, o)
	drain(t, s)
	if got := statsOf(t, s, pipeline.Detect); got.Records != 20 {
		t.Errorf("%+v, want the 20 records of the first run", got)
	}
}

// moved moves a file or directory and returns its new path.
func moved(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(path, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestHalfWrittenDirectory: a first start that was killed before it stored anything
// leaves a directory that can be used.
func TestHalfWrittenDirectory(t *testing.T) {
	for _, made := range [][]string{{}, {"broker"}, {"broker", "tables"}} {
		o := options()
		o.DataDir = t.TempDir()
		for _, part := range made {
			if err := os.Mkdir(filepath.Join(o.DataDir, part), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := start(t, o).Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSecondStackIsKeptOut: of two stacks on one directory the second fails, before
// it writes anything.
func TestSecondStackIsKeptOut(t *testing.T) {
	o := options()
	o.DataDir = filepath.Join(t.TempDir(), "data")
	start(t, o)
	without(keysFile)(t, &o)
	s, err := Start(t.Context(), o)
	if err == nil {
		t.Fatal(errors.Join(errors.New("started"), s.Close()))
	}
	if want := "another process has the directory open"; !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want it to contain %q", err, want)
	}
	if _, err := os.Stat(filepath.Join(o.DataDir, keysFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of the keys returned %v, want that they do not exist", err)
	}
}

// TestUnwritableDataDirectory: the error names the directory and what to do.
func TestUnwritableDataDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := filepath.Join(t.TempDir(), "read-only")
	if err := os.Mkdir(readOnly, 0o555); err != nil {
		t.Fatal(err)
	}
	dirs := []string{file, filepath.Join(file, "data")}
	if os.Getuid() != 0 { // root writes anywhere
		dirs = append(dirs, readOnly)
	}
	for _, dir := range dirs {
		o := options()
		o.DataDir = dir
		s, err := Start(t.Context(), o)
		if err == nil {
			t.Fatal(errors.Join(errors.New("started"), s.Close()))
		}
		if want := "data directory " + dir + " cannot be written to"; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got error %q, want it to contain %q in one line", err, want)
		}
	}
}
