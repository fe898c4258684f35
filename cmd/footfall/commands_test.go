package main

import (
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
)

// commands are the script commands in addition to those of testscript.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"broker":  startBroker,
	"create":  createTables,
	"commit":  commitOffset,
	"join":    joinGroup,
	"people":  people,
	"policy":  policy,
	"produce": produceRecord,
	"plant":   plantCount,
	"tables":  startTables,
}

// startBroker starts a broker in memory for the rest of a script, with its
// address in $BROKER: broker [topic=partitions[,config=value...] ...]
func startBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("broker cannot fail")
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	ts.Check(err)
	ts.Defer(c.Close)
	for _, arg := range args {
		topic, configs, _ := strings.Cut(arg, ",")
		topic, partitions, _ := strings.Cut(topic, "=")
		n, err := strconv.Atoi(partitions)
		ts.Check(err)
		set := map[string]string{}
		for config := range strings.SplitSeq(configs, ",") {
			if name, value, ok := strings.Cut(config, "="); ok {
				set[name] = value
			}
		}
		ts.Check(c.CreateTopic(topic, int32(n), set))
	}
	ts.Setenv("BROKER", c.ListenAddrs()[0])
}
