package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local/broker"
	"footfall/local/dynalite"
	"footfall/local/esm"
	"footfall/local/runtime"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
)

// checkInstalled returns an error of one line that names everything that is missing
// to start the stack, before any part is started: function binaries, and what the
// table server needs.
func (s *Stack) checkInstalled(_ context.Context, g pipeline.Graph) error {
	var missing, problems []string
	for _, spec := range g.Stages {
		switch _, err := os.Stat(s.binary(spec.Name)); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, spec.Name+"/bootstrap")
		case err != nil:
			problems = append(problems, err.Error())
		}
	}
	if len(missing) > 0 {
		problems = append(problems, fmt.Sprintf("no %s in %s: run make build in a checkout of Footfall, and name its folder bin with --bin",
			strings.Join(missing, ", "), s.o.BinDir))
	}
	// The table server, unless another one is given.
	if s.o.TableEndpoint == "" {
		if _, _, err := dynalite.Find(s.nodeDirs()...); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// nodeDirs returns the directories in which the search for the Node packages begins.
// The binaries are usually in the repository, which holds the packages.
func (s *Stack) nodeDirs() []string { return append([]string{s.o.BinDir}, s.o.NodeDirs...) }

// startBroker starts the broker, unless brokers are given.
func (s *Stack) startBroker(ctx context.Context, _ pipeline.Graph) error {
	s.brokers = s.o.Brokers
	if len(s.brokers) == 0 {
		var b *broker.Broker
		err := s.o.BrokerListen.try(func(hostPort string) (err error) {
			b, err = broker.Start(ctx, broker.Options{Dir: filepath.Join(s.o.DataDir, brokerDir), Listen: hostPort, Log: s.o.Log})
			return err
		})
		if err != nil {
			return err
		}
		s.onClose(b.Close)
		s.brokers = b.Addrs()
	}
	client, err := kafka.NewClient(kafka.Config{Brokers: s.brokers, Auth: "none", ClientID: "footfall-local", Logger: s.o.Log})
	if err != nil {
		return err
	}
	s.client = client
	s.onClose(func() error { client.Close(); return nil })
	return nil
}

// startTables starts the table server, unless one is given. With a temporary data
// directory the tables are kept in memory.
func (s *Stack) startTables(ctx context.Context, _ pipeline.Graph) error {
	s.tables = s.o.TableEndpoint
	if s.tables != "" {
		return nil
	}
	o := dynalite.Options{Dirs: s.nodeDirs()}
	if !s.temporary {
		o.DataDir = filepath.Join(s.o.DataDir, tablesDir)
	}
	var server *dynalite.Server
	err := s.o.TablesListen.try(func(hostPort string) (err error) {
		o.Listen = hostPort
		server, err = dynalite.Start(ctx, o)
		return err
	})
	if err != nil {
		return err
	}
	s.onClose(server.Close)
	s.tables = server.Endpoint()
	// Without its tables the stack cannot go on.
	go func() {
		<-server.Done()
		s.failed(errors.New("local: the table server ended by itself"))
	}()
	return nil
}

// startFunctions starts the processes of every stage. Their environment
// variables are those that infra sets on AWS, except for the endpoints.
func (s *Stack) startFunctions(ctx context.Context, g pipeline.Graph) error {
	// The variables of all functions.
	env := []string{
		"FOOTFALL_BROKERS=" + strings.Join(s.brokers, ","),
		"FOOTFALL_KAFKA_AUTH=none",
		"FOOTFALL_TABLE_PREFIX=" + s.o.TablePrefix,
		"FOOTFALL_LOG_LEVEL=" + s.o.LogLevel.String(),
		"AWS_ENDPOINT_URL_DYNAMODB=" + s.tables,
		"AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + accessKey,
		"AWS_SECRET_ACCESS_KEY=" + accessKey,
	}
	// One function for each stage, with the stage's limits.
	var functions []runtime.Function
	for _, spec := range g.Stages {
		env := slices.Clip(env)
		if spec.HTTP { // no other function may turn MAC addresses into pseudonyms
			env = append(env, "FOOTFALL_PSEUDONYM_KEYS="+s.o.PseudonymKeys)
		}
		functions = append(functions, runtime.Function{
			Name: spec.Name, Path: s.binary(spec.Name), Env: env,
			Timeout: spec.Timeout, MemoryMB: spec.MemoryMB, Environments: s.o.Environments,
		})
	}
	r, err := runtime.Start(ctx, runtime.Options{
		Functions: functions, InTurn: s.o.InTurn, Output: s.o.FunctionLogs, Log: s.o.Log,
	})
	if err != nil {
		return err
	}
	s.runtime = r
	s.onClose(r.Close)
	return nil
}

// startMappings starts an event source mapping for every topic that a stage
// reads. A mapping runs as many invocations at the same time as the stage has
// environments: more would only wait for each other, before their timeouts
// begin.
func (s *Stack) startMappings(_ context.Context, g pipeline.Graph) error {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	s.onClose(func() error { stop(); wg.Wait(); return nil })
	var client []kgo.Opt
	if s.o.SessionTimeout > 0 {
		client = append(client, kgo.SessionTimeout(s.o.SessionTimeout))
	}
	for _, spec := range g.Stages {
		for _, m := range spec.Reads {
			topic, _ := events.TopicByName(m.Topic)
			// The partitions in an event are the keys by which InTurn counts
			// turns.
			p, err := esm.New(esm.Options{
				Brokers: s.brokers, Client: client, Stage: spec.Name, Mapping: m, DeadLetters: topic.DeadLetters,
				Concurrency: s.o.Environments, Log: s.o.Log,
				Invoke: func(ctx context.Context, payload []byte) ([]byte, error) {
					return s.runtime.Invoke(runtime.WithKeys(ctx, esm.Partitions(ctx)...), spec.Name, payload)
				},
			})
			if err != nil {
				return err
			}
			// A mapping whose client cannot be created ends; the stack cannot
			// go on without it.
			s.mappings = append(s.mappings, mapping{spec.Name, p})
			wg.Go(func() {
				if err := p.Run(ctx); err != nil && ctx.Err() == nil {
					s.failed(err)
				}
			})
		}
	}
	return nil
}

// binary returns the path of a function's executable.
func (s *Stack) binary(function string) string {
	return filepath.Join(s.o.BinDir, function, "bootstrap")
}
