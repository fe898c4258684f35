// Package config is the one reader of the environment, besides what the AWS SDK
// and the Lambda runtime read for themselves. Only mains use it.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Config is what every function is told. Brokers has no usable zero value, all
// the others have: no authentication, tables by their plain names, partial
// answers, level info.
type Config struct {
	// Brokers are Kafka bootstrap addresses, host:port, at least one.
	Brokers []string `env:"FOOTFALL_BROKERS"`
	// KafkaAuth is how to authenticate with the brokers.
	KafkaAuth KafkaAuth `env:"FOOTFALL_KAFKA_AUTH"`
	// TablePrefix is put before the name of each table of the graph, so that
	// several pipelines can share an AWS account.
	TablePrefix string `env:"FOOTFALL_TABLE_PREFIX"`
	// WholeBatch says that events come from pollers on demand, which take a
	// partial answer for a success: true or false, see lambdarun.Runner.
	WholeBatch bool `env:"FOOTFALL_WHOLE_BATCH"`
	// PseudonymKeys says where the keys of pseudonyms are: the path of a file, or
	// the ARN of a secret in Secrets Manager. Only ingest reads them.
	PseudonymKeys string `env:"FOOTFALL_PSEUDONYM_KEYS"`
	// LogLevel is the lowest level that is logged: debug, info, warn or error.
	LogLevel slog.Level `env:"FOOTFALL_LOG_LEVEL"`
}

// KafkaAuth is a way to authenticate with the brokers.
type KafkaAuth string

// The ways to authenticate. An empty KafkaAuth is AuthNone.
const (
	AuthNone KafkaAuth = "none" // plain text, for a broker on this machine
	AuthIAM  KafkaAuth = "iam"  // TLS and AWS_MSK_IAM with the function's credentials
)

// tableName is what DynamoDB accepts in the name of a table.
var tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

// Load reads the environment. Its error names every variable that is wrong,
// and how, not only the first.
func Load() (Config, error) {
	var c Config
	err := env.Parse(&c)
	if err = errors.Join(byVariable(err), c.complete()); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

// byVariable names the variables in an error of env, which names the fields.
func byVariable(err error) error {
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return err
	}
	var errs []error
	for _, err := range all.Errors {
		if parse, ok := errors.AsType[env.ParseError](err); ok {
			f, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
			err = fmt.Errorf("%s: %w", f.Tag.Get("env"), parse.Err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// complete puts in what is not set and checks the rest.
func (c *Config) complete() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("FOOTFALL_BROKERS: not set"))
	}
	for i, b := range c.Brokers {
		c.Brokers[i] = strings.TrimSpace(b)
		if !isAddress(c.Brokers[i]) {
			errs = append(errs, fmt.Errorf("FOOTFALL_BROKERS: %q is not host:port", b))
		}
	}
	switch c.KafkaAuth {
	case "":
		c.KafkaAuth = AuthNone
	case AuthNone, AuthIAM:
	default:
		errs = append(errs, fmt.Errorf("FOOTFALL_KAFKA_AUTH: %q is neither %s nor %s", c.KafkaAuth, AuthNone, AuthIAM))
	}
	if !tableName.MatchString(c.TablePrefix) {
		errs = append(errs, fmt.Errorf("FOOTFALL_TABLE_PREFIX: %q has characters other than letters, digits and _ . -", c.TablePrefix))
	}
	return errors.Join(errs...)
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && host != "" && n > 0
}
