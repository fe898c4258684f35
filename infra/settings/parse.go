package settings

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"

	"footfall/shared/pipeline"
)

// Formats of AWS's ids, and of names that its services accept.
var (
	// A consumer group's name must be ASCII without a colon, names of buckets and
	// tables have no capitals, and the description of an alarm has a maximum length.
	name           = regexp.MustCompile(`^[a-z][a-z0-9-]{0,18}[a-z0-9]$`)
	email          = regexp.MustCompile(`^[^\s@,]+@[^\s@,]+\.[^\s@,]+$`)
	slackWorkspace = regexp.MustCompile(`^T[A-Z0-9]{7,}$`)
	slackChannel   = regexp.MustCompile(`^[CG][A-Z0-9]{7,}$`)
	// The ARN of a serverless cluster ends in -s and a digit.
	provisioned   = regexp.MustCompile(`^arn:aws[a-z-]*:kafka:[a-z0-9-]+:\d{12}:cluster/[A-Za-z0-9_-]+/[0-9a-f-]+-\d+$`)
	zone          = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d[a-z]$`)
	vpc           = regexp.MustCompile(`^vpc-[0-9a-f]+$`)
	subnet        = regexp.MustCompile(`^subnet-[0-9a-f]+$`)
	routeTable    = regexp.MustCompile(`^rtb-[0-9a-f]+$`)
	securityGroup = regexp.MustCompile(`^sg-[0-9a-f]+$`)
)

// Parse returns the settings in the context of a CDK app. Values are strings, as
// from -c, or JSON values. Keys of CDK's own are ignored. The error lists all
// mistakes, one a line.
func Parse(context map[string]any) (Settings, error) {
	var s Settings
	known := keys()
	given := map[string]string{}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(context)) {
		if isCDKKey(key) {
			continue
		}
		text, err := asText(context[key])
		if err == nil {
			err = checkType(key, text)
		}
		switch {
		case !slices.Contains(known, key):
			errs = append(errs, fmt.Errorf("%s: no such setting; the settings are %s", key, strings.Join(known, ", ")))
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		default:
			given[key] = strings.TrimSpace(text)
		}
	}
	// Each value was checked against the type of its field above, so this call
	// cannot fail on a value.
	if err := env.ParseWithOptions(&s, env.Options{TagName: "context", Environment: given}); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, s.complete())...); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// checkType returns an error if a value does not fit the type of its field.
func checkType(key, value string) error {
	value = strings.TrimSpace(value)
	for f := range reflect.TypeFor[Settings]().Fields() {
		if f.Tag.Get("context") != key || value == "" {
			continue
		}
		if n, err := strconv.Atoi(value); f.Type.Kind() == reflect.Int && (err != nil || n < 1) {
			return fmt.Errorf("%q is not a whole number above 0", value)
		}
		if f.Type.Kind() == reflect.Bool && value != "true" && value != "false" {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	}
	return nil
}

// isCDKKey reports whether a key of the context is CDK's own: feature flags, cached
// lookups, and switches of its command.
func isCDKKey(key string) bool {
	return strings.ContainsAny(key, "@:") || key == "cli-telemetry"
}

// keys returns the keys of all settings.
func keys() (all []string) {
	for f := range reflect.TypeFor[Settings]().Fields() {
		all = append(all, f.Tag.Get("context"))
	}
	return all
}

func asText(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64, int, bool:
		return fmt.Sprint(v), nil
	// A list in JSON is the same as its elements separated by commas.
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			part, ok := v[i].(string)
			if !ok {
				return "", fmt.Errorf("element %d is a %T, not a string", i, v[i])
			}
			parts[i] = part
		}
		return strings.Join(parts, ","), nil
	default:
		return "", fmt.Errorf("is a %T, not a string", value)
	}
}

// complete sets defaults and checks all values.
func (s *Settings) complete() error {
	// Defaults.
	if s.Name == "" {
		s.Name = "footfall"
	}
	if s.Size == "" {
		s.Size = "small"
	}
	// Checks, all of which run, so that every mistake is reported.
	c := checks{}
	c.matches("name", s.Name, name, "lower-case letters, digits and -, a letter first, 2 to 20 characters")
	if _, ok := SizeByName(s.Size); !ok {
		c.bad("size: %q is not one of %s", s.Size, strings.Join(sizeNames(), ", "))
	}
	if s.AlarmEmail != "" {
		c.matches("alarmEmail", s.AlarmEmail, email, "an address such as ops@example.com")
	}
	if (s.SlackWorkspace == "") != (s.SlackChannel == "") {
		c.bad("slackWorkspace and slackChannel: give both or neither")
	}
	if s.SlackWorkspace != "" {
		c.matches("slackWorkspace", s.SlackWorkspace, slackWorkspace, "the id of a workspace, such as T0123ABCD")
	}
	if s.SlackChannel != "" {
		c.matches("slackChannel", s.SlackChannel, slackChannel, "the id of a channel, such as C0123ABCD")
	}
	s.checkPosts(&c)
	s.checkAtOnce(&c)
	s.checkZones(&c)
	s.checkCluster(&c)
	return errors.Join(c.errs...)
}

// Posts that an account has in a region for all of its APIs.
const (
	accountRate  = 10_000
	accountBurst = 5_000
)

func (s *Settings) checkPosts(c *checks) {
	if s.PostRate > accountRate {
		c.bad("postRate: %d is over the limit of an account, %d a second", s.PostRate, accountRate)
	}
	if s.PostBurst > accountBurst {
		c.bad("postBurst: %d is over the limit of an account, %d at once", s.PostBurst, accountBurst)
	}
}

func (s *Settings) checkAtOnce(c *checks) {
	for i := range s.AtOnce {
		s.AtOnce[i] = strings.TrimSpace(s.AtOnce[i])
		if _, ok := pipeline.Default().Stage(s.AtOnce[i]); !ok {
			c.bad("atOnce: there is no stage %q", s.AtOnce[i])
		}
	}
}

// checkZones checks the zones of a new network.
func (s *Settings) checkZones(c *checks) {
	if len(s.Zones) == 0 {
		return
	}
	for i := range s.Zones {
		s.Zones[i] = strings.TrimSpace(s.Zones[i])
		c.matches("zones", s.Zones[i], zone, "the name of a zone, such as eu-central-1a")
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(s.Zones)))); n != 3 || len(s.Zones) != 3 {
		c.bad("zones: %d different zones given, the brokers need 3", n)
	}
	if s.Existing() {
		c.bad("zones: cannot be combined with clusterArn, whose subnets have their zones")
	}
}

// checkCluster checks the settings of an existing cluster.
func (s *Settings) checkCluster(c *checks) {
	for i := range s.ClusterSubnets {
		s.ClusterSubnets[i] = strings.TrimSpace(s.ClusterSubnets[i])
		c.matches("clusterSubnets", s.ClusterSubnets[i], subnet, "the id of a subnet, such as subnet-0123456789abcdef0")
	}
	for i := range s.ClusterRouteTables {
		s.ClusterRouteTables[i] = strings.TrimSpace(s.ClusterRouteTables[i])
		c.matches("clusterRouteTables", s.ClusterRouteTables[i], routeTable, "the id of a route table, such as rtb-0123456789abcdef0")
	}
	if s.ClusterARN == "" {
		if s.ClusterVPC != "" || s.ClusterSecurityGroup != "" || s.ClusterSecretsGroup != "" || len(s.ClusterSubnets)+len(s.ClusterRouteTables) > 0 {
			c.bad("clusterArn: not set, but other settings of an existing cluster are")
		}
		return
	}
	c.matches("clusterArn", s.ClusterARN, provisioned, "the ARN of a provisioned MSK cluster")
	c.matches("clusterVpc", s.ClusterVPC, vpc, "the id of the cluster's VPC, such as vpc-0123456789abcdef0")
	c.matches("clusterSecurityGroup", s.ClusterSecurityGroup, securityGroup, "the id of the cluster's group, such as sg-0123456789abcdef0")
	if s.ClusterSecretsGroup != "" {
		c.matches("clusterSecretsGroup", s.ClusterSecretsGroup, securityGroup, "the id of the group of its endpoint, such as sg-0123456789abcdef0")
	}
	if len(s.ClusterSubnets) < 2 {
		c.bad("clusterSubnets: %d given, a provisioned cluster has at least 2", len(s.ClusterSubnets))
	}
	// Pollers on demand need endpoints in the cluster's VPC, which may exist there
	// already.
	if size, ok := SizeByName(s.Size); ok && size.Pollers.Max == 0 {
		c.bad("clusterArn: cannot be combined with size %s, whose pollers on demand need endpoints in a new VPC", s.Size)
	}
}

// Existing reports whether the settings name an existing cluster.
func (s Settings) Existing() bool { return s.ClusterARN != "" }

// checks collects errors.
type checks struct{ errs []error }

func (c *checks) bad(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *checks) matches(key, value string, format *regexp.Regexp, wanted string) {
	if !format.MatchString(value) {
		c.bad("%s: %q is not %s", key, value, wanted)
	}
}

// SizeByName returns a size of Sizes; ok is false if no size has the name.
func SizeByName(name string) (s Size, ok bool) {
	for _, s := range Sizes() {
		if s.Name == name {
			return s, true
		}
	}
	return Size{}, false
}

func sizeNames() (names []string) {
	for _, s := range Sizes() {
		names = append(names, s.Name)
	}
	return names
}
