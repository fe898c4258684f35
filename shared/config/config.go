// Package config is the one reader of the functions' environment, apart from the
// AWS SDK and the Lambda runtime, which read variables of their own. Only mains
// and their wiring use config, and pass values on.
//
// Start reading at Config, which documents every variable.
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

// Config is the settings of a function, one field per variable. Brokers must be
// set. The zero values of the others are usable: no authentication, tables by
// their plain names, partial answers, level info.
type Config struct {
	// Brokers are Kafka bootstrap addresses, host:port, at least one.
	Brokers []string `env:"FOOTFALL_BROKERS"`
	// KafkaAuth is how to authenticate with the brokers: none or iam.
	KafkaAuth KafkaAuth `env:"FOOTFALL_KAFKA_AUTH"`
	// TablePrefix precedes the name of each table of the graph. Several pipelines
	// with different prefixes can share an AWS account.
	TablePrefix string `env:"FOOTFALL_TABLE_PREFIX"`
	// WholeBatch is true if events come from on-demand pollers, which take a
	// partial answer for a success: true or false, see lambdarun.Runner.
	WholeBatch bool `env:"FOOTFALL_WHOLE_BATCH"`
	// PseudonymKeys is the source of the pseudonym keys: the path of a file, or the
	// ARN of a secret in Secrets Manager. Only ingest reads the keys.
	PseudonymKeys string `env:"FOOTFALL_PSEUDONYM_KEYS"`
	// LogLevel is the lowest level to be logged: debug, info, warn or error.
	LogLevel slog.Level `env:"FOOTFALL_LOG_LEVEL"`
}

// KafkaAuth is a way to authenticate with the brokers.
type KafkaAuth string

// The ways to authenticate. An empty KafkaAuth is AuthNone.
const (
	AuthNone KafkaAuth = "none" // plain text, for a broker on this machine
	AuthIAM  KafkaAuth = "iam"  // TLS and AWS_MSK_IAM with the function's credentials
)

// tableName matches the characters that DynamoDB accepts in the name of a table.
var tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

// Load reads the environment. If any variables are wrong, the error names every one
// of them with its mistake, and not only the first.
func Load() (Config, error) {
	var c Config
	err := env.Parse(&c)
	if err = errors.Join(nameVariables(err), c.finish()); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

// nameVariables returns an error of package env with the names of the variables.
// Package env itself names the fields of Config.
func nameVariables(err error) error {
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

// finish sets defaults and checks every field. The error names every mistake.
func (c *Config) finish() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("FOOTFALL_BROKERS: not set"))
	}
	// A list in the environment may have white space around its elements.
	for i, b := range c.Brokers {
		c.Brokers[i] = strings.TrimSpace(b)
		if !isHostPort(c.Brokers[i]) {
			errs = append(errs, fmt.Errorf("FOOTFALL_BROKERS: %q is not host:port", b))
		}
	}
	// A field that is not set has its default from here on.
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

// isHostPort reports whether s is host:port with a port from 1 to 65535.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && host != "" && n > 0
}
