package config

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

// set sets every variable of Config to its value in vars, or to "".
func set(t *testing.T, vars map[string]string) {
	for f := range reflect.TypeFor[Config]().Fields() {
		name := f.Tag.Get("env")
		t.Setenv(name, vars[name])
	}
}

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		name string
		vars map[string]string
		want Config
	}{
		{"brokers are enough", map[string]string{"FOOTFALL_BROKERS": "localhost:9092"},
			Config{Brokers: []string{"localhost:9092"}, KafkaAuth: AuthNone}},
		{"everything", map[string]string{
			"FOOTFALL_BROKERS": "b-1.kafka:9098, [::1]:9098", "FOOTFALL_KAFKA_AUTH": "iam",
			"FOOTFALL_TABLE_PREFIX": "shop_2.a-", "FOOTFALL_LOG_LEVEL": "debug", "FOOTFALL_WHOLE_BATCH": "true",
			"FOOTFALL_PSEUDONYM_KEYS": "keys.json",
		}, Config{
			Brokers: []string{"b-1.kafka:9098", "[::1]:9098"}, KafkaAuth: AuthIAM, TablePrefix: "shop_2.a-",
			WholeBatch: true, LogLevel: slog.LevelDebug, PseudonymKeys: "keys.json",
		}},
		{"auth none, level in capitals", map[string]string{
			"FOOTFALL_BROKERS": "b:1", "FOOTFALL_KAFKA_AUTH": "none", "FOOTFALL_LOG_LEVEL": "WARN",
		}, Config{Brokers: []string{"b:1"}, KafkaAuth: AuthNone, LogLevel: slog.LevelWarn}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set(t, tt.vars)
			got, err := Load()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// The error of Load names every mistake in the environment.
func TestLoadReportsEveryMistake(t *testing.T) {
	for _, tt := range []struct {
		name string
		vars map[string]string
		want []string
	}{
		{"nothing set", nil, []string{`FOOTFALL_BROKERS: not set`}},
		{"all wrong", map[string]string{
			"FOOTFALL_BROKERS": "localhost,b:1,:9092,b:0,b:70000,b:http,", "FOOTFALL_KAFKA_AUTH": "IAM",
			"FOOTFALL_TABLE_PREFIX": "shop/", "FOOTFALL_LOG_LEVEL": "loud", "FOOTFALL_WHOLE_BATCH": "perhaps",
		}, []string{
			`FOOTFALL_WHOLE_BATCH: strconv.ParseBool: parsing "perhaps": invalid syntax`,
			`FOOTFALL_LOG_LEVEL: slog: level string "loud": unknown name`,
			`FOOTFALL_BROKERS: "localhost" is not host:port`,
			`FOOTFALL_BROKERS: ":9092" is not host:port`,
			`FOOTFALL_BROKERS: "b:0" is not host:port`,
			`FOOTFALL_BROKERS: "b:70000" is not host:port`,
			`FOOTFALL_BROKERS: "b:http" is not host:port`,
			`FOOTFALL_BROKERS: "" is not host:port`,
			`FOOTFALL_KAFKA_AUTH: "IAM" is neither none nor iam`,
			`FOOTFALL_TABLE_PREFIX: "shop/" has characters other than letters, digits and _ . -`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set(t, tt.vars)
			got, err := Load()
			if err == nil || !reflect.DeepEqual(got, Config{}) {
				t.Fatalf("got %+v, %v, want no configuration and an error", got, err)
			}
			if want := "configuration: " + strings.Join(tt.want, "\n"); err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}
