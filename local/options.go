package local

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Options of a stack. BinDir is required.
type Options struct {
	// DataDir holds the broker's data, the tables and the keys of pseudonyms. It
	// can be used again after a crash. If empty, the stack uses a temporary
	// directory, which Close removes, and keeps the tables in memory.
	DataDir string
	// Partitions is the number of partitions of every topic that the stack
	// creates. 0 means the numbers of events.Topics. Topics that exist must have
	// that number too, unless KeepPartitions is set.
	Partitions     int32
	KeepPartitions bool
	// Brokers and TableEndpoint name servers to use instead of servers that the
	// stack starts. TablePrefix begins the name of every table.
	Brokers       []string
	TableEndpoint string
	TablePrefix   string
	// BrokerListen and TablesListen are the addresses of the servers that the
	// stack starts; empty means a free port of 127.0.0.1.
	BrokerListen, TablesListen Address
	// BinDir holds the function binaries as <name>/bootstrap.
	BinDir string
	// NodeDirs are the directories in which the search for the Node packages
	// begins, after BinDir; see dynalite.Options.
	NodeDirs []string
	// Environments is how many processes serve a function; 0 means one. They
	// work on different events, with disjoint partitions.
	Environments int
	// InTurn passes a function's events to its environments strictly in turn;
	// see runtime.Options.
	InTurn bool
	// SessionTimeout is how long the broker keeps partitions assigned to this
	// stack without a heartbeat. 0 means the default of package esm.
	SessionTimeout time.Duration
	// Schedule invokes the scheduled functions by the wall clock. A replay
	// leaves it false and produces its own ticks.
	Schedule bool
	// HTTPListen is the address at which posts of routers are taken. If empty, no
	// posts are taken.
	HTTPListen Address
	// PseudonymKeys is the file with the keys of pseudonyms. If empty, it is a
	// file in DataDir, which is created with a fresh key if it does not exist.
	PseudonymKeys string
	// Starting, if not nil, is called with the part that is started next.
	Starting func(part string)
	// Prepare, if not nil, writes the items that have to be in the tables
	// before any function runs, such as the businesses.
	Prepare func(ctx context.Context, tables *dynamodb.Client) error
	// FunctionLogs receives the output of the functions. nil discards it.
	FunctionLogs io.Writer
	// LogLevel is the lowest level that the functions log.
	LogLevel slog.Level
	Log      *slog.Logger // nil discards all messages
}
